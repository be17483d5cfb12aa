//! The sliding windows of a convolution, as a matrix that is never materialised.

use std::ops::Range;

use super::arithmetic::{COLUMNS, Factor, RUN, RowPanels, is_contiguous, tables, vectorized};
use super::sums::Sums;
use crate::ops::ConvSizes;
use crate::shape::{Padding, Window, WindowedPlanes};

/// Tables by which padded planes are the matrix (C·KH·KW, OH·OW) of the unrolled windows of C
/// planes: under cell f at position p lies the value `cells[f] + positions[p]`. A padded plane holds
/// only what windows see, so it is never larger than its part of that matrix.
#[derive(Debug)]
pub(in crate::ops) struct Windows {
    len: usize,
    pieces: Vec<Piece>,
    /// From one value of a piece to the next, on the plane.
    step: usize,
    /// The offset of each cell of the filters in the window at the first position.
    pub cells: Vec<usize>,
    /// The offset of each window: those of a row lie next to each other.
    pub positions: Vec<usize>,
}

/// Values next to each other on the padded plane, and a stride apart on the plane.
#[derive(Debug, Clone, Copy)]
struct Piece {
    padded: usize,
    plane: usize,
    len: usize,
}

/// Rows or columns of a padded plane: for each cell of the kernel those that it sees, window by
/// window. So a window's cell lies next to the same cell of the next window, whatever the stride.
#[derive(Debug)]
struct Axis {
    len: usize,
    /// The place of each cell of the first window.
    cells: Vec<usize>,
    /// The parts that are not padding.
    pieces: Vec<Piece>,
}

impl Axis {
    fn new([input, output]: [usize; 2], kernel: usize, steps: [usize; 2], padding: usize) -> Self {
        let [stride, dilation] = steps;
        // Cells a multiple of the stride apart see the same rows, in other windows.
        let mut order: Vec<usize> = (0..kernel).collect();
        order.sort_by_key(|cell| (cell * dilation % stride, *cell));
        let (mut cells, mut runs) = (vec![0; kernel], Vec::<Run>::new());
        for cell in order {
            let (row, places) = (cell * dilation, runs.last().map_or(0, Run::end));
            let run = runs.pop_if(|run| run.steps_to(row).is_some());
            let run = run.unwrap_or(Run {
                place: places,
                first: row,
                stride,
                len: 0,
            });
            let steps = run.steps_to(row).unwrap_or(0);
            cells[cell] = run.place + steps;
            runs.push(Run {
                len: steps + output,
                ..run
            });
        }
        let plane = padding..padding + input;
        Axis {
            len: runs.last().map_or(0, Run::end),
            cells,
            pieces: runs.iter().filter_map(|run| run.on_plane(&plane)).collect(),
        }
    }
}

/// Rows of the plane with its padding, `stride` apart from `first` on, in places next to each other
/// from `place` on.
#[derive(Debug)]
struct Run {
    place: usize,
    first: usize,
    stride: usize,
    len: usize,
}

impl Run {
    fn end(&self) -> usize {
        self.place + self.len
    }

    /// The number of steps to `row`, if it is in the run or next to its end.
    fn steps_to(&self, row: usize) -> Option<usize> {
        let rows = row.checked_sub(self.first)?;
        let steps = rows / self.stride;
        (rows % self.stride == 0 && steps <= self.len).then_some(steps)
    }

    /// The part on the plane, whose rows these are.
    fn on_plane(&self, plane: &Range<usize>) -> Option<Piece> {
        let steps_before = |row: usize| {
            row.saturating_sub(self.first)
                .div_ceil(self.stride)
                .min(self.len)
        };
        let steps = steps_before(plane.start)..steps_before(plane.end);
        (!steps.is_empty()).then(|| Piece {
            padded: self.place + steps.start,
            plane: self.first + steps.start * self.stride - plane.start,
            len: steps.len(),
        })
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
                    let y = piece.plane + row * stride.height;
                    let plane = (c * input.height + y) * input.width;
                    let padded = at(c, piece.padded + row, 0);
                    pieces.extend(columns.pieces.iter().map(|piece| Piece {
                        padded: padded + piece.padded,
                        plane: plane + piece.plane,
                        len: piece.len,
                    }));
                }
            }
        }
        let cell = |c, (y, x): (usize, usize)| at(c, rows.cells[y], columns.cells[x]);
        let cells_of = |c| geometry.cells().map(move |place| (c, place));
        let cells = (0..channels).flat_map(cells_of);
        Windows {
            len: at(channels, 0, 0),
            pieces,
            step: stride.width,
            cells: cells.map(|(c, place)| cell(c, place)).collect(),
            positions: geometry.positions().map(|(y, x)| at(0, y, x)).collect(),
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
                    let plane = &planes[piece.plane..];
                    if self.step == 1 {
                        for (padded, &value) in padded.zip(plane) {
                            *padded = value.into();
                        }
                    } else {
                        for (padded, &value) in padded.zip(plane.iter().step_by(self.step)) {
                            *padded = value.into();
                        }
                    }
                }
            },
        );
    }

    /// Rounds the padded planes into planes without the padding; zero where no window reads.
    pub fn crop(&self, padded: &[f64], planes: &mut [f32]) {
        planes.fill(0.0);
        for piece in &self.pieces {
            let values = planes[piece.plane..].iter_mut().step_by(self.step);
            for (value, &sum) in values.zip(&padded[piece.padded..][..piece.len]) {
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
