//! The bins of average pools: windows, or parts into which planes are cut.

use std::ops::Range;

use super::ratio::Ratio;
use crate::ops::flag;
use crate::shape::Size2d;

/// The pixels over which a pool takes means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bins {
    /// Sliding windows, whose padding, of at most half a window, adds zeros.
    Windows {
        /// Extents of a window.
        kernel: Size2d,
        /// Distance between two windows.
        stride: Size2d,
        /// Rows and columns added on each side of the plane.
        padding: Size2d,
        /// Whether sums are divided by the window's area, or by the number of pixels in it.
        count_padding: bool,
    },
    /// Along each axis, bin o is from pixel `⌊o·in/out⌋` to before `⌈(o + 1)·in/out⌉`, as in
    /// PyTorch's adaptive pools.
    Adaptive,
}

/// N·C planes, and the bins into which each is cut.
#[derive(Debug, Clone, Copy)]
pub struct Pool {
    /// N·C.
    pub planes: usize,
    /// H×W.
    pub input: Size2d,
    /// OH×OW: bins.
    pub output: Size2d,
    /// The pixels of each bin.
    pub bins: Bins,
}

impl Pool {
    /// One bin per plane of `area` pixels.
    pub fn global(planes: usize, area: usize) -> Self {
        Pool {
            planes,
            input: (1, area).into(),
            output: 1.into(),
            bins: Bins::Adaptive,
        }
    }

    pub(in crate::ops) fn input_area(&self) -> usize {
        self.input.height * self.input.width
    }

    pub(in crate::ops) fn output_area(&self) -> usize {
        self.output.height * self.output.width
    }

    /// Height, then width: pixels, bins, and a window's kernel, stride and padding.
    pub(in crate::ops) fn axes(&self) -> [Axis; 2] {
        let (kernel, stride, padding, adaptive) = match self.bins {
            Bins::Adaptive => (1.into(), 1.into(), 0.into(), true),
            Bins::Windows {
                kernel,
                stride,
                padding,
                ..
            } => (kernel, stride, padding, false),
        };
        let axis = |of: fn(Size2d) -> usize| Axis {
            pixels: of(self.input),
            bins: of(self.output),
            kernel: of(kernel),
            stride: of(stride),
            padding: of(padding),
            adaptive,
        };
        [axis(|size| size.height), axis(|size| size.width)]
    }

    /// What the sum over pixels of these ranges is divided by.
    pub(in crate::ops) fn divisor(&self, rows: &Range<usize>, columns: &Range<usize>) -> f64 {
        let size = match self.bins {
            Bins::Windows {
                kernel,
                count_padding: true,
                ..
            } => kernel.height * kernel.width,
            _ => rows.len() * columns.len(),
        };
        size as f64
    }

    pub(in crate::ops) fn constants(&self) -> Vec<(&'static str, f64)> {
        let [rows, columns] = self.axes();
        let (of_rows, of_columns) = (rows.ratio(), columns.ratio());
        let counts = matches!(
            self.bins,
            Bins::Windows {
                count_padding: true,
                ..
            }
        );
        let sizes = [
            ("PLANES", self.planes),
            ("H", rows.pixels),
            ("W", columns.pixels),
            ("OH", rows.bins),
            ("OW", columns.bins),
            ("PIXELS_H", of_rows.input),
            ("BINS_H", of_rows.output),
            ("PIXELS_W", of_columns.input),
            ("BINS_W", of_columns.output),
            ("KH", rows.kernel),
            ("KW", columns.kernel),
            ("STRIDE_H", rows.stride),
            ("STRIDE_W", columns.stride),
            ("PAD_H", rows.padding),
            ("PAD_W", columns.padding),
        ];
        let sizes = sizes.map(|(name, value)| (name, value as f64));
        let flags = [
            ("ADAPTIVE", flag(rows.adaptive)),
            ("COUNT_PADDING", flag(counts)),
        ];
        sizes.into_iter().chain(flags).collect()
    }
}

/// One axis of a [`Pool`].
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct Axis {
    pub pixels: usize,
    pub bins: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    adaptive: bool,
}

impl Axis {
    fn ratio(&self) -> Ratio {
        Ratio::new(self.pixels, self.bins)
    }

    /// The pixels of a bin.
    pub fn pixels_of(&self, bin: usize) -> Range<usize> {
        if self.adaptive {
            let end = ((bin + 1) * self.pixels).div_ceil(self.bins);
            return bin * self.pixels / self.bins..end;
        }
        let begin = bin * self.stride;
        let end = (begin + self.kernel).saturating_sub(self.padding);
        begin.saturating_sub(self.padding)..end.min(self.pixels)
    }

    /// The most pixels of a bin, or one more.
    pub fn longest_bin(&self) -> usize {
        match self.adaptive {
            true => self.ratio().longest_bin().min(self.pixels),
            false => self.kernel.min(self.pixels),
        }
    }

    /// The most bins that contain a pixel, or one more.
    pub fn most_bins(&self) -> usize {
        match self.adaptive {
            true => self.ratio().reversed().longest_bin().min(self.bins),
            false => self.kernel.div_ceil(self.stride).min(self.bins),
        }
    }

    /// The bins that contain a pixel.
    pub fn bins_over(&self, pixel: usize) -> impl Iterator<Item = usize> + use<> {
        let axis = *self;
        let near = match self.adaptive {
            true => pixel * self.bins / self.pixels,
            false => ((pixel + self.padding) / self.stride).min(self.bins - 1),
        };
        let begin = near.saturating_sub(self.most_bins());
        let end = (near + self.most_bins() + 1).min(self.bins);
        (begin..end).filter(move |&bin| axis.pixels_of(bin).contains(&pixel))
    }
}
