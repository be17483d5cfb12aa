//! Average pooling: of windows, of bins, of whole planes.

use super::text::Options;
use super::{Function, Site};
use crate::error::{Error, Result};
use crate::ops::{AvgPoolBackward, AvgPoolForward, Bins, Pool, check_ratios};
use crate::shape::{Shape, Size2d, Window};

/// The mean of each window of each channel. (N, C, H, W) to (N, C, OH, OW).
#[derive(Debug, Clone)]
pub struct AvgPool {
    /// Extents of a window.
    pub kernel: Size2d,
    /// Distance between two windows.
    pub stride: Size2d,
    /// Rows and columns of zeros on each side, at most half a window.
    pub padding: Size2d,
    /// Whether the mean is over the whole window, or over its pixels without the padding.
    pub count_padding: bool,
}

/// The mean of each of OH×OW bins into which a plane is cut, like PyTorch's adaptive pool: bin o of
/// an axis is from pixel `⌊o·in/out⌋` to before `⌈(o + 1)·in/out⌉`.
#[derive(Debug, Clone)]
pub struct AdaptiveAvgPool {
    /// OH×OW.
    pub output: Size2d,
}

/// The mean of each plane: (N, C, H, W) to (N, C, 1, 1).
#[derive(Debug, Clone)]
pub struct GlobalAvgPool;

impl AvgPool {
    pub(super) fn read(options: &Options<'_>) -> Option<Box<dyn Function>> {
        let divisor: String = options.get("divisor")?;
        Some(Box::new(AvgPool {
            kernel: options.get("kernel")?,
            stride: options.get("stride")?,
            padding: options.get("padding")?,
            count_padding: match divisor.as_str() {
                "window" => true,
                "pixels" => false,
                _ => return None,
            },
        }))
    }

    fn pool(&self, at: &str, input: &Shape) -> Result<Pool> {
        let (planes, input) = planes(at, input)?;
        let (kernel, stride, padding) = (self.kernel, self.stride, self.padding);
        // With a larger padding a window could contain no pixel.
        if padding.height > kernel.height / 2 || padding.width > kernel.width / 2 {
            let expected = format!("at most half the kernel of {kernel}");
            return Err(Error::value(format!("{at}: padding"), expected, padding));
        }
        let window = Window {
            stride,
            padding: padding.into(),
            ..Window::new(kernel)
        };
        Ok(Pool {
            planes,
            input,
            output: window.output(input, at)?,
            bins: Bins::Windows {
                kernel,
                stride,
                padding,
                count_padding: self.count_padding,
            },
        })
    }
}

impl AdaptiveAvgPool {
    pub(super) fn read(options: &Options<'_>) -> Option<Box<dyn Function>> {
        let output = options.get("output")?;
        Some(Box::new(AdaptiveAvgPool { output }))
    }

    fn pool(&self, at: &str, input: &Shape) -> Result<Pool> {
        let (planes, input) = planes(at, input)?;
        check_ratios(at, input, self.output)?;
        Ok(Pool {
            planes,
            input,
            output: self.output,
            bins: Bins::Adaptive,
        })
    }
}

impl GlobalAvgPool {
    fn pool(&self, at: &str, input: &Shape) -> Result<Pool> {
        let (planes, input) = planes(at, input)?;
        let area = input.height.saturating_mul(input.width);
        Ok(Pool::global(planes, area))
    }
}

/// N·C and H×W of (N, C, H, W).
fn planes(at: &str, input: &Shape) -> Result<(usize, Size2d)> {
    match *input.dims() {
        [n, c, height, width] => Ok((n.saturating_mul(c), Size2d { height, width })),
        _ => Err(Error::Shape {
            at: at.to_owned(),
            expected: "(N, C, H, W)".to_owned(),
            got: input.to_string(),
        }),
    }
}

/// The parts of [`Function`] that all pools share.
macro_rules! pool {
    () => {
        fn is_one_op(&self) -> bool {
            true
        }

        fn output_shape(&self, at: &str, inputs: &[&Shape]) -> Result<Shape> {
            let Size2d { height, width } = self.pool(at, inputs[0])?.output;
            let dims = inputs[0].dims();
            Ok([dims[0], dims[1], height, width].into())
        }

        fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
            let pool = self.pool("", site.shape(0))?;
            let (input, output) = (site.input(0)?, site.make_output()?);
            site.forward(AvgPoolForward { pool }, &[input], &[output])
        }

        fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
            let pool = self.pool("", site.shape(0))?;
            let d_output = site.d_output()?;
            match site.d_input(0)? {
                Some(d_input) => site.backward(AvgPoolBackward { pool }, &[d_output], &[d_input]),
                None => Ok(()),
            }
        }
    };
}

impl Function for AvgPool {
    fn name(&self) -> &'static str {
        "avg_pool"
    }

    fn options(&self) -> String {
        let (kernel, stride, padding) = (self.kernel, self.stride, self.padding);
        let divisor = if self.count_padding {
            "window"
        } else {
            "pixels"
        };
        format!("kernel {kernel}, stride {stride}, padding {padding}, divisor {divisor}")
    }

    pool!();
}

impl Function for AdaptiveAvgPool {
    fn name(&self) -> &'static str {
        "adaptive_avg_pool"
    }

    fn options(&self) -> String {
        format!("output {}", self.output)
    }

    pool!();
}

impl Function for GlobalAvgPool {
    fn name(&self) -> &'static str {
        "global_avg_pool"
    }

    pool!();
}
