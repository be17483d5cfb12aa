//! Shapes, and the arithmetic of sliding windows.

mod padding;

use std::fmt;
use std::str::FromStr;

pub use padding::Padding;

use crate::error::{Error, Result};

/// Maximum elements of a tensor: kernels index with u32, and the workgroups that cover a tensor
/// extend a little past its end.
pub(crate) const MOST_ELEMENTS: usize = 1 << 31;

/// The extents of a tensor, outermost first: `(N, C, H, W)` or `(N, F)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// A shape from its extents.
    pub fn new(dims: impl Into<Vec<usize>>) -> Self {
        Shape(dims.into())
    }

    /// The extents, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// The number of elements; a shape without extents holds one.
    ///
    /// Saturates, so that a product past `usize` is refused by the same check as any other excess.
    pub fn elements(&self) -> usize {
        self.0.iter().fold(1, |all, &dim| all.saturating_mul(dim))
    }

    /// Checks that kernels can address a tensor of this shape; `at` names it in errors.
    ///
    /// # Errors
    /// There are no elements, or more than 32-bit indices can address.
    pub(crate) fn check(&self, at: &str) -> Result<()> {
        let elements = self.elements();
        if elements == 0 || elements > MOST_ELEMENTS {
            return Err(Error::Shape {
                at: at.to_owned(),
                expected: format!("1 to {MOST_ELEMENTS} elements"),
                got: format!("{self}, {elements} elements"),
            });
        }
        Ok(())
    }
}

impl<const D: usize> From<[usize; D]> for Shape {
    fn from(dims: [usize; D]) -> Self {
        Shape(dims.to_vec())
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Shape(dims.to_vec())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.0.iter().map(usize::to_string).collect();
        write!(f, "({})", dims.join(", "))
    }
}

/// A value for each of the two spatial axes: height, then width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Size2d {
    /// Along the rows.
    pub height: usize,
    /// Along the columns.
    pub width: usize,
}

impl From<usize> for Size2d {
    fn from(both: usize) -> Self {
        Size2d {
            height: both,
            width: both,
        }
    }
}

impl From<(usize, usize)> for Size2d {
    fn from((height, width): (usize, usize)) -> Self {
        Size2d { height, width }
    }
}

impl FromStr for Size2d {
    type Err = Error;

    /// Parses a size, `3×2`; `x` is accepted for `×`.
    fn from_str(text: &str) -> Result<Self> {
        // Digits only: no sign, no space.
        let number = |text: &str| {
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse().ok())?
        };
        let wrong = || Error::value("size", "`height×width`", format!("`{text}`"));
        let (height, width) = text.split_once(['×', 'x']).ok_or_else(wrong)?;
        let size = number(height).zip(number(width)).ok_or_else(wrong)?;
        Ok(Size2d::from(size))
    }
}

impl fmt::Display for Size2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{}", self.height, self.width)
    }
}

/// A sliding window of a convolution or a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// Extents of the window.
    pub kernel: Size2d,
    /// Distance between two positions of the window.
    pub stride: Size2d,
    /// Rows and columns of zeros added on each side of the plane.
    pub padding: Padding,
    /// Distance between two neighbouring cells of the kernel.
    pub dilation: Size2d,
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Window {
            kernel,
            stride,
            padding,
            dilation,
        } = *self;
        write!(f, "kernel {kernel}, stride {stride}, padding {padding}")?;
        if dilation != 1.into() {
            write!(f, ", dilation {dilation}")?;
        }
        Ok(())
    }
}

impl Window {
    /// A kernel of that extent that moves by one pixel, without padding, its cells side by side.
    pub fn new(kernel: impl Into<Size2d>) -> Self {
        Window {
            kernel: kernel.into(),
            stride: 1.into(),
            padding: 0.into(),
            dilation: 1.into(),
        }
    }

    /// What the kernel covers, from its first cell to its last: `dilation·(kernel − 1) + 1` per
    /// axis.
    pub(crate) fn extent(&self) -> Size2d {
        let along = |kernel: usize, dilation: usize| {
            let gaps = kernel.saturating_sub(1);
            dilation.saturating_mul(gaps).saturating_add(1)
        };
        let (k, d) = (self.kernel, self.dilation);
        Size2d {
            height: along(k.height, d.height),
            width: along(k.width, d.width),
        }
    }

    /// The padding with which planes keep their size at stride 1: `dilation·(kernel − 1)` per axis,
    /// half before and half after, and an odd one after.
    pub fn padding_same(&self) -> Padding {
        let extent = self.extent();
        let [height, width] = [extent.height - 1, extent.width - 1];
        Padding::sides(height / 2, height.div_ceil(2), width / 2, width.div_ceil(2))
    }

    /// The number of positions on a plane of size `input`:
    /// `(in + padding − dilation·(kernel − 1) − 1) / stride + 1` per axis, rounded down, with the
    /// padding of both sides.
    ///
    /// # Errors
    /// A kernel, a stride or a dilation of zero, one or a padded plane of more rows or columns than
    /// kernels can count, or a kernel that covers more than the padded plane. `at` names the layer.
    pub fn output(&self, input: Size2d, at: &str) -> Result<Size2d> {
        let (k, s, p, d) = (self.kernel, self.stride, self.padding, self.dilation);
        let both = p.both();
        let plane = Size2d {
            height: input.height.saturating_add(both.height),
            width: input.width.saturating_add(both.width),
        };
        let sizes = [
            ("kernel", k),
            ("stride", s),
            ("dilation", d),
            ("padded plane", plane),
        ];
        for (what, size) in sizes {
            if size.height == 0 || size.width == 0 {
                return Err(Error::value(format!("{at}: {what}"), "at least 1×1", size));
            }
            if size.height > MOST_ELEMENTS || size.width > MOST_ELEMENTS {
                let expected = format!("at most {MOST_ELEMENTS}×{MOST_ELEMENTS}");
                return Err(Error::value(format!("{at}: {what}"), expected, size));
            }
        }
        let extent = self.extent();
        let along = |padded: usize, extent: usize, stride: usize| {
            Some(padded.checked_sub(extent)? / stride + 1)
        };
        let height = along(plane.height, extent.height, s.height);
        let width = along(plane.width, extent.width, s.width);
        match (height, width) {
            (Some(height), Some(width)) => Ok(Size2d { height, width }),
            _ => Err(Error::Shape {
                at: at.to_owned(),
                expected: match p.symmetric() {
                    Some(p) => {
                        format!("a plane of at least {extent} with a padding of {p} on each side")
                    }
                    None => format!("a plane of at least {extent} with a padding of {p}"),
                },
                got: format!("a plane of {input}"),
            }),
        }
    }
}

/// A [`Window`] on each of `planes` planes: the shape arithmetic that im2col, col2im and max-pool
/// share. For a batch, `planes` is N·C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WindowedPlanes {
    /// The number of planes, N·C.
    pub planes: usize,
    /// H×W of each.
    pub input: Size2d,
    /// OH×OW of each.
    pub output: Size2d,
    /// The sliding window.
    pub window: Window,
}

impl WindowedPlanes {
    /// `window` on `planes` planes of size `input`.
    ///
    /// # Errors
    /// As [`Window::output`].
    pub fn new(planes: usize, input: Size2d, window: Window, at: &str) -> Result<Self> {
        Ok(WindowedPlanes {
            planes,
            input,
            output: window.output(input, at)?,
            window,
        })
    }

    /// H·W.
    pub fn input_area(&self) -> usize {
        self.input.height.saturating_mul(self.input.width)
    }

    /// OH·OW.
    pub fn output_area(&self) -> usize {
        self.output.height.saturating_mul(self.output.width)
    }

    /// KH·KW.
    pub fn kernel_area(&self) -> usize {
        let Size2d { height, width } = self.window.kernel;
        height.saturating_mul(width)
    }

    /// The sizes as the `override` constants that the WGSL files declare.
    pub fn constants(&self) -> Vec<(&'static str, f64)> {
        let w = &self.window;
        [
            ("PLANES", self.planes),
            ("H", self.input.height),
            ("W", self.input.width),
            ("OH", self.output.height),
            ("OW", self.output.width),
            ("KH", w.kernel.height),
            ("KW", w.kernel.width),
            ("STRIDE_H", w.stride.height),
            ("STRIDE_W", w.stride.width),
            ("PAD_H", w.padding.top),
            ("PAD_W", w.padding.left),
            ("DILATION_H", w.dilation.height),
            ("DILATION_W", w.dilation.width),
        ]
        .map(|(name, value)| (name, value as f64))
        .to_vec()
    }

    /// The input pixel `(h, w)` under cell `(kh, kw)` of the window at output position `(oh, ow)`,
    /// or `None` if that cell is on the padding.
    pub fn pixel(&self, (oh, ow): (usize, usize), (kh, kw): (usize, usize)) -> Option<usize> {
        let w = &self.window;
        let (y, x) = (oh * w.stride.height, ow * w.stride.width);
        let y = (y + kh * w.dilation.height).checked_sub(w.padding.top)?;
        let x = (x + kw * w.dilation.width).checked_sub(w.padding.left)?;
        (y < self.input.height && x < self.input.width).then_some(y * self.input.width + x)
    }

    /// The output position whose window has cell `(kh, kw)` on input pixel `pixel` of a plane, or
    /// `None` if there is none: the inverse of [`WindowedPlanes::pixel`].
    pub fn position_over(&self, pixel: usize, (kh, kw): (usize, usize)) -> Option<usize> {
        let w = &self.window;
        let along = |at: usize, padding: usize, cell: usize, stride: usize, positions: usize| {
            let distance = (at + padding).checked_sub(cell)?;
            let position = distance / stride;
            (distance % stride == 0 && position < positions).then_some(position)
        };
        let (y, x) = (pixel / self.input.width, pixel % self.input.width);
        let (stride, padding, output) = (w.stride, w.padding, self.output);
        let (kh, kw) = (kh * w.dilation.height, kw * w.dilation.width);
        let oh = along(y, padding.top, kh, stride.height, output.height)?;
        let ow = along(x, padding.left, kw, stride.width, output.width)?;
        Some(oh * output.width + ow)
    }

    /// Every cell of the window, row by row.
    pub fn cells(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let Size2d { height, width } = self.window.kernel;
        (0..height).flat_map(move |kh| (0..width).map(move |kw| (kh, kw)))
    }

    /// Every output position, row by row.
    pub fn positions(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let Size2d { height, width } = self.output;
        (0..height).flat_map(move |oh| (0..width).map(move |ow| (oh, ow)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(kernel: (usize, usize), stride: (usize, usize), padding: (usize, usize)) -> Window {
        Window {
            stride: stride.into(),
            padding: padding.into(),
            ..Window::new(kernel)
        }
    }

    #[test]
    fn dilated_kernels_cover_more_and_saturate() {
        let dilated = |dilation: (usize, usize)| Window {
            dilation: dilation.into(),
            ..window((3, 2), (2, 1), (1, 0))
        };
        let out = dilated((2, 3)).output((7, 9).into(), "t").unwrap();
        assert_eq!(out, (3, 6).into());
        let error = |dilation| dilated(dilation).output((7, 9).into(), "t").unwrap_err();
        assert_eq!(
            error((5, 1)).to_string(),
            "t: expected a plane of at least 11×2 with a padding of 1×0 on each side, got a plane of 7×9"
        );
        assert!(error((0, 1)).to_string().contains("dilation"));
        assert!(error((1, usize::MAX)).to_string().contains("dilation"));
        assert_eq!(dilated((usize::MAX, 1)).extent().height, usize::MAX);
    }

    #[test]
    fn output_size_rounds_down_and_keeps_axes_apart() {
        let out = window((3, 2), (2, 3), (1, 0))
            .output((7, 9).into(), "t")
            .unwrap();
        assert_eq!(out, (4, 3).into());
    }

    #[test]
    fn too_large_a_kernel_names_the_layer_and_both_sizes() {
        let error = window((5, 5), (1, 1), (0, 1))
            .output((4, 9).into(), "conv1")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "conv1: expected a plane of at least 5×5 with a padding of 0×1 on each side, got a plane of 4×9"
        );
        assert!(
            window((3, 3), (0, 1), (0, 0))
                .output((4, 9).into(), "t")
                .is_err()
        );
    }

    #[test]
    fn elements_saturate() {
        assert_eq!(Shape::from([usize::MAX, 3]).elements(), usize::MAX);
        assert_eq!(Shape::from([2, 3, 5]).to_string(), "(2, 3, 5)");
    }
}
