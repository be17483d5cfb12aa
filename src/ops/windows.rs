//! The windows that a convolution slides over an image, as a matrix that is never written down.

use std::ops::Range;

use super::arithmetic::{COLUMNS, Factor, RowPanels, Sums, tables};
use super::conv::ConvSizes;
use crate::shape::{Size2d, WindowedPlanes};

/// Tables by which padded planes are the matrix (C·KH·KW, OH·OW) of the unrolled windows of C planes:
/// under cell f at position p lies the value `cells[f] + positions[p]`.
#[derive(Debug)]
pub(super) struct Windows {
    channels: usize,
    geometry: WindowedPlanes,
    /// Of a plane with its padding.
    padded: Size2d,
    /// Where each cell of the kernels lies in the window at the first position.
    pub cells: Vec<usize>,
    /// Where each window begins.
    pub positions: Vec<usize>,
}

impl Windows {
    /// On `channels` of the planes at a time.
    pub fn new(channels: usize, geometry: WindowedPlanes) -> Self {
        let Size2d { height, width } = geometry.window.padding;
        let padded = Size2d {
            height: geometry.input.height + 2 * height,
            width: geometry.input.width + 2 * width,
        };
        let stride = geometry.window.stride;
        let at = |c: usize, y: usize, x: usize| (c * padded.height + y) * padded.width + x;
        let cells_of = |c| geometry.cells().map(move |(y, x)| at(c, y, x));
        let first = |(y, x)| at(0, y * stride.height, x * stride.width);
        Windows {
            channels,
            geometry,
            padded,
            cells: (0..channels).flat_map(cells_of).collect(),
            positions: geometry.positions().map(first).collect(),
        }
    }

    /// The elements of the padded planes.
    pub fn len(&self) -> usize {
        self.channels * self.padded.height * self.padded.width
    }

    /// The rows of the planes without their padding, each as a range of the padded planes.
    fn rows(&self) -> impl Iterator<Item = Range<usize>> {
        let WindowedPlanes { input, window, .. } = self.geometry;
        let planes =
            (0..self.channels).map(move |c| c * self.padded.height + window.padding.height);
        let rows = planes.flat_map(move |first| first..first + input.height);
        let begins = rows.map(move |row| row * self.padded.width + window.padding.width);
        begins.map(move |begin| begin..begin + input.width)
    }

    /// Whether each value of the padded planes is one of the planes.
    pub fn inside(&self) -> Vec<bool> {
        let mut inside = vec![false; self.len()];
        self.rows().for_each(|row| inside[row].fill(true));
        inside
    }

    /// Writes planes into the padded planes, which must be zero where the padding is.
    pub fn pad<T: From<f32>>(&self, planes: &[f32], padded: &mut [T]) {
        for (row, values) in self.rows().zip(planes.chunks(self.geometry.input.width)) {
            for (padded, &value) in padded[row].iter_mut().zip(values) {
                *padded = value.into();
            }
        }
    }

    /// Rounds the padded planes into planes without the padding.
    pub fn crop(&self, padded: &[f64], planes: &mut [f32]) {
        for (row, values) in self
            .rows()
            .zip(planes.chunks_mut(self.geometry.input.width))
        {
            for (value, &sum) in values.iter_mut().zip(&padded[row]) {
                *value = sum as f32;
            }
        }
    }

    /// Adds each element of an unrolled matrix to the value that it stands for.
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

/// Memory that one image after the other uses.
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
