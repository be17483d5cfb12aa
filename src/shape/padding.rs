//! The padding of a plane.

use std::fmt;
use std::str::FromStr;

use super::Size2d;
use crate::error::{Error, Result};

/// The rows and columns of zeros that are added on each side of a plane.
///
/// ```
/// use wgrad::shape::Padding;
/// assert_eq!(Padding::from((1, 2)), Padding::sides(1, 1, 2, 2));
/// assert_eq!(Padding::from((1, 2)).to_string(), "1×2");
/// assert_eq!(Padding::sides(0, 1, 2, 2).to_string(), "top 0 bottom 1 left 2 right 2");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Padding {
    /// Rows above the first.
    pub top: usize,
    /// Rows below the last.
    pub bottom: usize,
    /// Columns before the first.
    pub left: usize,
    /// Columns after the last.
    pub right: usize,
}

impl Padding {
    /// A padding of each side.
    pub const fn sides(top: usize, bottom: usize, left: usize, right: usize) -> Self {
        Padding {
            top,
            bottom,
            left,
            right,
        }
    }

    /// Height and width, if opposite sides are equal.
    pub fn symmetric(self) -> Option<Size2d> {
        let is_symmetric = self.top == self.bottom && self.left == self.right;
        is_symmetric.then_some(Size2d {
            height: self.top,
            width: self.left,
        })
    }

    /// Both sides of each axis together; saturates.
    pub fn both(self) -> Size2d {
        Size2d {
            height: self.top.saturating_add(self.bottom),
            width: self.left.saturating_add(self.right),
        }
    }
}

impl From<usize> for Padding {
    fn from(all: usize) -> Self {
        Padding::sides(all, all, all, all)
    }
}

impl From<(usize, usize)> for Padding {
    fn from((height, width): (usize, usize)) -> Self {
        Padding::sides(height, height, width, width)
    }
}

impl From<Size2d> for Padding {
    fn from(Size2d { height, width }: Size2d) -> Self {
        Padding::from((height, width))
    }
}

impl FromStr for Padding {
    type Err = Error;

    /// Parses `1×2`, or `top 0 bottom 1 left 2 right 2`.
    fn from_str(text: &str) -> Result<Self> {
        if !text.starts_with("top ") {
            return Ok(text.parse::<Size2d>()?.into());
        }
        let words: Vec<&str> = text.split(' ').collect();
        let number = |text: &str| {
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse().ok())?
        };
        let sides = match words[..] {
            ["top", top, "bottom", bottom, "left", left, "right", right] => {
                [top, bottom, left, right].map(number)
            }
            _ => [None; 4],
        };
        match sides {
            [Some(top), Some(bottom), Some(left), Some(right)] => {
                Ok(Padding::sides(top, bottom, left, right))
            }
            _ => {
                let expected = "`top 0 bottom 1 left 0 right 1`";
                Err(Error::value("padding", expected, format!("`{text}`")))
            }
        }
    }
}

impl fmt::Display for Padding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(size) = self.symmetric() {
            return write!(f, "{size}");
        }
        let Padding {
            top,
            bottom,
            left,
            right,
        } = self;
        write!(f, "top {top} bottom {bottom} left {left} right {right}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_back() {
        for padding in [
            Padding::from((3, 0)),
            Padding::sides(0, 1, 2, 3),
            Padding::sides(4, 4, 1, 0),
        ] {
            let text = padding.to_string();
            assert_eq!(text.parse::<Padding>().unwrap(), padding, "{text}");
        }
        for wrong in [
            "top 0 bottom 1 left 0",
            "top 0 bottom 1 left 0 right +1",
            "top 0 bottom 1 right 0 left 1",
        ] {
            assert_eq!(
                wrong.parse::<Padding>().unwrap_err().to_string(),
                format!("padding: expected `top 0 bottom 1 left 0 right 1`, got `{wrong}`")
            );
        }
    }
}
