//! The sliding windows of a convolution, as a matrix that is never materialised.

use super::arithmetic::{COLUMNS, Factor, RowPanels, Sums, tables};
use super::conv_sizes::ConvSizes;
use crate::shape::{Window, WindowedPlanes};

/// Tables by which padded planes are the matrix (C·KH·KW, OH·OW) of the unrolled windows of C
/// planes: cell f at position p reads the value at `cells[f] + positions[p]`. The padded planes
/// hold only the elements that windows read, so that they are never larger than that matrix.
#[derive(Debug)]
pub(super) struct Windows {
    len: usize,
    pieces: Vec<Piece>,
    /// The offset of each cell of the filters in the window at the first position.
    pub cells: Vec<usize>,
    /// The offset of each window.
    pub positions: Vec<usize>,
}

/// A contiguous run on a plane that is also contiguous on the padded plane: part of a row, or of an
/// axis.
#[derive(Debug, Clone, Copy)]
struct Piece {
    padded: usize,
    plane: usize,
    len: usize,
}

/// Rows or columns of a padded plane, without the gaps that the stride leaves between windows.
#[derive(Debug)]
struct Axis {
    /// From one window to the next.
    step: usize,
    len: usize,
    /// The parts that are not padding.
    pieces: Vec<Piece>,
}

impl Axis {
    fn new([input, output]: [usize; 2], kernel: usize, stride: usize, padding: usize) -> Self {
        let step = stride.min(kernel);
        let len = (output - 1) * step + kernel;
        // Windows that touch or overlap are one stretch.
        let stretches = if stride > kernel { output } else { 1 };
        let seen = if stride > kernel { kernel } else { len };
        let pieces = (0..stretches).filter_map(|at| {
            let first = at * stride;
            let begin = first.max(padding);
            let end = (first + seen).min(padding + input);
            (begin < end).then(|| Piece {
                padded: at * step + begin - first,
                plane: begin - padding,
                len: end - begin,
            })
        });
        Axis {
            step,
            len,
            pieces: pieces.collect(),
        }
    }
}

impl Windows {
    /// On `channels` of the planes at a time.
    pub fn new(channels: usize, geometry: WindowedPlanes) -> Self {
        let WindowedPlanes {
            input,
            output,
            window,
            ..
        } = geometry;
        let Window {
            kernel,
            stride,
            padding,
        } = window;
        let rows = [input.height, output.height];
        let rows = Axis::new(rows, kernel.height, stride.height, padding.height);
        let columns = [input.width, output.width];
        let columns = Axis::new(columns, kernel.width, stride.width, padding.width);
        let at = |c: usize, y: usize, x: usize| (c * rows.len + y) * columns.len + x;
        let mut pieces = Vec::new();
        for c in 0..channels {
            for piece in &rows.pieces {
                for row in 0..piece.len {
                    let plane = (c * input.height + piece.plane + row) * input.width;
                    let padded = at(c, piece.padded + row, 0);
                    pieces.extend(columns.pieces.iter().map(|piece| Piece {
                        padded: padded + piece.padded,
                        plane: plane + piece.plane,
                        len: piece.len,
                    }));
                }
            }
        }
        let cells_of = |c| geometry.cells().map(move |(y, x)| at(c, y, x));
        let first = |(y, x)| at(0, y * rows.step, x * columns.step);
        Windows {
            len: at(channels, 0, 0),
            pieces,
            cells: (0..channels).flat_map(cells_of).collect(),
            positions: geometry.positions().map(first).collect(),
        }
    }

    /// The elements of the padded planes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Writes planes into the padded planes, which must be zero where the padding is.
    pub fn pad<T: From<f32>>(&self, planes: &[f32], padded: &mut [T]) {
        for piece in &self.pieces {
            let padded = padded[piece.padded..][..piece.len].iter_mut();
            for (padded, &value) in padded.zip(&planes[piece.plane..]) {
                *padded = value.into();
            }
        }
    }

    /// Rounds the padded planes into planes without the padding; zero where no window reads.
    pub fn crop(&self, padded: &[f64], planes: &mut [f32]) {
        planes.fill(0.0);
        for piece in &self.pieces {
            let values = planes[piece.plane..][..piece.len].iter_mut();
            for (value, &sum) in values.zip(&padded[piece.padded..]) {
                *value = sum as f32;
            }
        }
    }

    /// Adds each element of an unrolled matrix to the value that it was read from.
    pub fn scatter(&self, unrolled: &Sums, padded: &mut [f64]) {
        for (f, &cell) in self.cells.iter().enumerate() {
            let padded = &mut padded[cell..];
            for (positions, sums) in self.positions.chunks(COLUMNS).zip(unrolled.row(f)) {
                for (&position, sum) in positions.iter().zip(sums) {
                    padded[position] += sum;
                }
            }
        }
    }

    /// The matrix of unrolled windows, (C·KH·KW, OH·OW).
    pub fn unrolled<'a>(&'a self, padded: &'a [f64]) -> Factor<'a, f64> {
        Factor {
            values: padded,
            rows: &self.cells,
            columns: &self.positions,
        }
    }
}

/// The convolution of images with one set of weights, in f64.
#[derive(Debug)]
pub(super) struct Convolution {
    sizes: ConvSizes,
    windows: Windows,
    weight: RowPanels,
}

/// Memory reused from image to image.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    padded: Vec<f64>,
    sums: Sums,
}

impl Convolution {
    /// By the weight (O, C·KH·KW).
    pub fn new(sizes: ConvSizes, weight: &[f32]) -> Self {
        let [rows, columns] = tables([sizes.out_channels, sizes.fan_in()], false);
        let weight = Factor {
            values: weight,
            rows: &rows,
            columns: &columns,
        };
        Convolution {
            sizes,
            windows: sizes.windows(),
            weight: weight.row_panels(),
        }
    }

    /// The sums (O, OH·OW) of image `n`.
    pub fn of_image<'a>(&self, input: &[f32], n: usize, scratch: &'a mut Scratch) -> &'a Sums {
        let (sizes, Scratch { padded, sums }) = (self.sizes, scratch);
        padded.resize(self.windows.len(), 0.0);
        self.windows.pad(sizes.image(input, n), padded);
        sums.set_zero(sizes.out_channels, sizes.geometry.output_area());
        sums.add_product(&self.weight, &self.windows.unrolled(padded));
        sums
    }
}
