//! Models as text, one line per layer, and back.

use std::fmt;
use std::str::FromStr;

use super::{
    Conv2d, ConvTranspose2d, Dropout, Dropout2d, Flatten, GELU, LeakyReLU, Linear, MaxPool2d,
    Normalize, ReLU, Sequential, SiLU, Sigmoid, Tanh, Ties,
};
use crate::error::{Error, Result};
use crate::shape::{Padding, Size2d};

impl fmt::Display for Sequential {
    /// One line per layer: `Conv2d(1 → 4, 3×3)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, layer) in self.layers().enumerate() {
            let end_of_last = if i == 0 { "" } else { "\n" };
            write!(f, "{end_of_last}{}", layer.describe())?;
        }
        Ok(())
    }
}

impl FromStr for Sequential {
    type Err = Error;

    /// Parses the text of a [`Sequential`]. `->` and `x` are accepted for `→` and `×`.
    ///
    /// ```
    /// use wgrad::nn::Sequential;
    /// let model: Sequential = "Conv2d(1 -> 4, 3x3)\nReLU\nMaxPool2d(2x2)\nFlatten\nLinear(10)".parse()?;
    /// assert_eq!(model.len(), 5);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// A line is not a layer: the first such line.
    fn from_str(text: &str) -> Result<Self> {
        let mut model = Sequential::new();
        for (i, line) in text.lines().enumerate() {
            model = add(model, line).ok_or_else(|| {
                let shown: String = line.chars().take(60).collect();
                Error::value(
                    format!("model, line {}", i + 1),
                    "a layer such as `Conv2d(1 → 4, 3×3)`",
                    format!("`{shown}`"),
                )
            })?;
        }
        Ok(model)
    }
}

fn add(model: Sequential, line: &str) -> Option<Sequential> {
    let line = line
        .trim()
        .replace("->", "→")
        .replace('x', "×")
        .replace("Ma×", "Max");
    let Some((kind, arguments)) = line.split_once('(') else {
        return match line.as_str() {
            "ReLU" => Some(model.with(ReLU)),
            "Flatten" => Some(model.with(Flatten)),
            "GELU" => Some(model.with(GELU::new())),
            "SiLU" => Some(model.with(SiLU)),
            "Sigmoid" => Some(model.with(Sigmoid)),
            "Tanh" => Some(model.with(Tanh)),
            _ => None,
        };
    };
    let mut arguments = arguments.strip_suffix(')')?.split(", ");
    let first = arguments.next()?;
    match kind {
        "Conv2d" => {
            let (inputs, outputs) = first.split_once(" → ")?;
            let kernel: Size2d = arguments.next()?.parse().ok()?;
            let mut layer = Conv2d::new(number(inputs)?, number(outputs)?, kernel);
            for option in arguments {
                layer = match option.split_once(' ')? {
                    ("stride", value) => layer.stride(value.parse::<Size2d>().ok()?),
                    ("padding", "same") => layer.padding_same(),
                    ("padding", value) => layer.padding(value.parse::<Padding>().ok()?),
                    ("dilation", value) => layer.dilation(value.parse::<Size2d>().ok()?),
                    ("groups", value) => layer.groups(number(value)?),
                    ("no", "bias") => layer.bias(false),
                    _ => return None,
                };
            }
            Some(model.with(layer))
        }
        "ConvTranspose2d" => {
            let (inputs, outputs) = first.split_once(" → ")?;
            let kernel: Size2d = arguments.next()?.parse().ok()?;
            let mut layer = ConvTranspose2d::new(number(inputs)?, number(outputs)?, kernel);
            for option in arguments {
                layer = match option.split_once(' ')? {
                    ("stride", value) => layer.stride(value.parse::<Size2d>().ok()?),
                    ("padding", value) => layer.padding(value.parse::<Padding>().ok()?),
                    ("output", value) => {
                        let padding = value.strip_prefix("padding ")?;
                        layer.output_padding(padding.parse::<Size2d>().ok()?)
                    }
                    ("dilation", value) => layer.dilation(value.parse::<Size2d>().ok()?),
                    ("groups", value) => layer.groups(number(value)?),
                    ("no", "bias") => layer.bias(false),
                    _ => return None,
                };
            }
            Some(model.with(layer))
        }
        "Dropout" => Some(model.with(Dropout::new(first.parse().ok()?))),
        "Dropout2d" => Some(model.with(Dropout2d::new(first.parse().ok()?))),
        "GELU" if first == "tanh" => Some(model.with(GELU::tanh())),
        "LeakyReLU" => Some(model.with(LeakyReLU::new(first.parse().ok()?))),
        "MaxPool2d" => {
            let mut layer = MaxPool2d::new(first.parse::<Size2d>().ok()?);
            for option in arguments {
                layer = match option.split_once(' ')? {
                    ("stride", value) => layer.stride(value.parse::<Size2d>().ok()?),
                    ("padding", value) => layer.padding(value.parse::<Size2d>().ok()?),
                    ("all", "ties") => layer.ties(Ties::All),
                    _ => return None,
                };
            }
            Some(model.with(layer))
        }
        "Normalize" => {
            let numbers = line.strip_prefix("Normalize(")?.strip_suffix(')')?;
            Some(model.with(numbers.parse::<Normalize>().ok()?))
        }
        "Linear" => {
            let mut layer = match first.split_once(" → ") {
                Some((inputs, outputs)) => {
                    Linear::new(number(outputs)?).in_features(number(inputs)?)
                }
                None => Linear::new(number(first)?),
            };
            for option in arguments {
                layer = match option {
                    "no bias" => layer.bias(false),
                    _ => return None,
                };
            }
            Some(model.with(layer))
        }
        _ => None,
    }
}

/// Digits only: no sign, no space.
fn number(text: &str) -> Option<usize> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}
