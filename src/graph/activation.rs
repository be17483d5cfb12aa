//! Smooth activations and leaky ReLU.

use super::text::Options;
use super::{Function, Site};
use crate::error::{Error, Result};
pub use crate::ops::Activation;
use crate::ops::{ActivationBackward, ActivationForward};
use crate::shape::Shape;

impl Activation {
    pub(super) fn read_leaky_relu(options: &Options<'_>) -> Option<Box<dyn Function>> {
        Some(Box::new(Activation::LeakyRelu(options.get("slope")?)))
    }

    pub(super) fn read_gelu(options: &Options<'_>) -> Option<Box<dyn Function>> {
        let approximation: Option<String> = options.get("approximation");
        match approximation.as_deref() {
            None => Some(Box::new(Activation::Gelu)),
            Some("tanh") => Some(Box::new(Activation::GeluTanh)),
            Some(_) => None,
        }
    }
}

/// `output = f(input)` for each element, of any shape.
impl Function for Activation {
    fn name(&self) -> &'static str {
        match self {
            Activation::LeakyRelu(_) => "leaky_relu",
            Activation::Sigmoid => "sigmoid",
            Activation::Tanh => "tanh",
            Activation::Silu => "silu",
            Activation::Gelu | Activation::GeluTanh => "gelu",
        }
    }

    fn options(&self) -> String {
        match self {
            Activation::LeakyRelu(slope) => format!("slope {slope}"),
            Activation::GeluTanh => "approximation tanh".to_owned(),
            _ => String::new(),
        }
    }

    fn is_one_op(&self) -> bool {
        true
    }

    fn output_shape(&self, at: &str, inputs: &[&Shape]) -> Result<Shape> {
        match self {
            Activation::LeakyRelu(slope) if !slope.is_finite() => {
                let what = format!("{at}: slope");
                Err(Error::value(what, "a finite number", slope))
            }
            _ => Ok(inputs[0].clone()),
        }
    }

    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let op = ActivationForward {
            function: *self,
            len: site.output_shape().elements(),
        };
        let (input, output) = (site.input(0)?, site.make_output()?);
        site.forward(op, &[input], &[output])
    }

    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let op = ActivationBackward {
            function: *self,
            len: site.output_shape().elements(),
        };
        let (input, d_output) = (site.input(0)?, site.d_output()?);
        match site.d_input(0)? {
            Some(d_input) => site.backward(op, &[input, d_output], &[d_input]),
            None => Ok(()),
        }
    }
}
