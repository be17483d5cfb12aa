//! The sliding windows of a convolution, as a matrix that is never materialised.

use super::arithmetic::{COLUMNS, Factor, RUN, RowPanels, is_contiguous, tables, vectorized};
use super::sums::Sums;
use crate::ops::ConvSizes;
use crate::shape::{Padding, Window, WindowedPlanes};

/// Tables by which padded planes are the matrix (C·KH·KW, OH·OW) of the unrolled windows of C
/// planes: under cell f at position p lies the value `cells[f] + positions[p]`. Of the padded
/// planes little is there but what windows see, so that they are at most four times as large as
/// that matrix.
#[derive(Debug)]
pub(in crate::ops) struct Windows {
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

/// Rows or columns of a padded plane. Where no two windows see the same row, each has its own rows
/// and the gaps are left out.
#[derive(Debug)]
struct Axis {
    /// From one window to the next.
    step: usize,
    /// From one cell of the kernel to the next.
    cell: usize,
    len: usize,
    /// The parts that are not padding.
    pieces: Vec<Piece>,
}

impl Axis {
    fn new([input, output]: [usize; 2], kernel: usize, steps: [usize; 2], padding: usize) -> Self {
        let [stride, dilation] = steps;
        let unit = greatest_common_divisor(stride, dilation);
        let [step, cell] = [stride / unit, dilation / unit];
        // One window's cell k and another's cell k' see one row only if k − k' is a multiple of
        // `step`, and the number of windows between them one of `cell`. Then `len` is below
        // 2·output·kernel.
        let share_rows = output > cell && kernel > step;
        let (step, cell, len) = match share_rows {
            true => (step, cell, (output - 1) * step + (kernel - 1) * cell + 1),
            false => (kernel, 1, output * kernel),
        };
        let row_at = |padded: usize| match share_rows {
            true => padded * unit,
            false => padded / kernel * stride + padded % kernel * dilation,
        };
        let mut pieces: Vec<Piece> = Vec::new();
        for padded in 0..len {
            let row = row_at(padded).checked_sub(padding);
            let Some(plane) = row.filter(|&row| row < input) else {
                continue;
            };
            match pieces.last_mut() {
                Some(last)
                    if [last.padded + last.len, last.plane + last.len] == [padded, plane] =>
                {
                    last.len += 1;
                }
                _ => pieces.push(Piece {
                    padded,
                    plane,
                    len: 1,
                }),
            }
        }
        Axis {
            step,
            cell,
            len,
            pieces,
        }
    }
}

fn greatest_common_divisor(mut a: usize, mut b: usize) -> usize {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
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
            dilation,
        } = window;
        let (sizes, steps) = (
            [input.height, output.height],
            [stride.height, dilation.height],
        );
        let rows = Axis::new(sizes, kernel.height, steps, padding.top);
        let (sizes, steps) = ([input.width, output.width], [stride.width, dilation.width]);
        let columns = Axis::new(sizes, kernel.width, steps, padding.left);
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
        let cell = |c, (y, x)| at(c, y * rows.cell, x * columns.cell);
        let cells_of = |c| geometry.cells().map(move |place| cell(c, place));
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
        vectorized(
            #[inline(always)]
            || {
                for piece in &self.pieces {
                    let padded = padded[piece.padded..][..piece.len].iter_mut();
                    for (padded, &value) in padded.zip(&planes[piece.plane..]) {
                        *padded = value.into();
                    }
                }
            },
        );
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

    /// Adds each element of A × B, an unrolled matrix, to the value that it is read from.
    pub fn scatter<T: Copy + Into<f64>>(
        &self,
        a: &RowPanels,
        b: &Factor<'_, T>,
        sums: &mut Sums,
        padded: &mut [f64],
    ) {
        sums.each_panel(a, b, |panel, sums| {
            let positions = &self.positions[panel * COLUMNS..];
            for (i, run) in positions.chunks(RUN).take(COLUMNS / RUN).enumerate() {
                vectorized(
                    #[inline(always)]
                    || self.scatter_run(run, sums, i * RUN, padded),
                );
            }
        });
    }

    /// Adds the columns from `first` on of an unrolled matrix, whose positions are `run`.
    #[inline(always)]
    fn scatter_run(
        &self,
        run: &[usize],
        sums: &[[f64; COLUMNS]],
        first: usize,
        padded: &mut [f64],
    ) {
        let contiguous = is_contiguous(run);
        for (&cell, sums) in self.cells.iter().zip(sums) {
            let (values, sums) = (&mut padded[cell..], &sums[first..][..run.len()]);
            if contiguous && let Ok(sums) = <&[f64; RUN]>::try_from(sums) {
                for (value, sum) in values[run[0]..][..RUN].iter_mut().zip(sums) {
                    *value += sum;
                }
            } else {
                for (&position, sum) in run.iter().zip(sums) {
                    values[position] += sum;
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
pub(in crate::ops) struct Convolution {
    /// The elements of an image.
    image: usize,
    /// The channels and the area of its output.
    output: [usize; 2],
    windows: Windows,
    weight: RowPanels,
}

/// Memory reused from image to image.
#[derive(Debug, Default)]
pub(in crate::ops) struct Scratch {
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
            image: sizes.in_channels * sizes.geometry.input_area(),
            output: [sizes.out_channels, sizes.geometry.output_area()],
            windows: sizes.windows(),
            weight: weight.row_panels(),
        }
    }

    /// The gradient of the input of a convolution by that weight, as the convolution of the output's
    /// gradient with the flipped filters; `None` if it is none: with a stride, or where the padding
    /// is wider than what windows reach.
    pub fn of_gradients(sizes: ConvSizes, weight: &[f32]) -> Option<Self> {
        let geometry = sizes.geometry;
        let Window {
            kernel,
            stride,
            padding,
            dilation,
        } = geometry.window;
        let reach = [
            (kernel.height - 1) * dilation.height,
            (kernel.width - 1) * dilation.width,
        ];
        let padding = Padding {
            top: reach[0].checked_sub(padding.top)?,
            bottom: reach[0].checked_sub(padding.bottom)?,
            left: reach[1].checked_sub(padding.left)?,
            right: reach[1].checked_sub(padding.right)?,
        };
        if stride != 1.into() {
            return None;
        }
        let flipped = WindowedPlanes {
            planes: sizes.batch * sizes.out_channels,
            input: geometry.output,
            output: geometry.input,
            window: Window {
                padding,
                ..geometry.window
            },
        };
        let (cells, fan_in) = (geometry.kernel_area(), sizes.fan_in());
        let rows: Vec<usize> = (0..sizes.in_channels).map(|c| c * cells).collect();
        let cells_of = |o| (0..cells).rev().map(move |cell| o * fan_in + cell);
        let columns: Vec<usize> = (0..sizes.out_channels).flat_map(cells_of).collect();
        let weight = Factor {
            values: weight,
            rows: &rows,
            columns: &columns,
        };
        Some(Convolution {
            image: sizes.out_channels * geometry.output_area(),
            output: [sizes.in_channels, geometry.input_area()],
            windows: Windows::new(sizes.out_channels, flipped),
            weight: weight.row_panels(),
        })
    }

    /// The sums (O, OH·OW) of image `n`.
    pub fn of_image<'a>(&self, input: &[f32], n: usize, scratch: &'a mut Scratch) -> &'a Sums {
        let Scratch { padded, sums } = scratch;
        padded.resize(self.windows.len(), 0.0);
        self.windows.pad(&input[n * self.image..], padded);
        let [channels, area] = self.output;
        sums.set_zero(channels, area);
        sums.add_product_with_windows(&self.weight, &self.windows.unrolled(padded));
        sums
    }
}
