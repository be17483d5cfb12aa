//! A fully connected layer.

use std::fmt;

use super::Initializer;
use crate::error::{Error, Result};
use crate::graph::{self, Module, Parameter, Var};

/// `output = input × weightᵀ + bias`. Input (N, I), weight (O, I), output (N, O).
///
/// `Linear::new(32)` infers I from its input's shape when the model is recorded;
/// [`Linear::in_features`] fixes it, and then another shape is an error.
#[derive(Debug, Clone)]
pub struct Linear {
    in_features: Option<usize>,
    out_features: usize,
    bias: bool,
    init: Initializer,
}

impl Linear {
    /// A layer of `out_features` outputs, with a bias.
    pub fn new(out_features: usize) -> Self {
        Linear {
            in_features: None,
            out_features,
            bias: true,
            init: Initializer::default(),
        }
    }

    /// Sets the number of inputs that the layer expects.
    #[must_use]
    pub fn in_features(mut self, in_features: usize) -> Self {
        self.in_features = Some(in_features);
        self
    }

    /// Sets whether a bias is added to each output.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// Sets the distribution of the initial weights.
    #[must_use]
    pub fn init(mut self, init: Initializer) -> Self {
        self.init = init;
        self
    }
}

impl fmt::Display for Linear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Linear(")?;
        if let Some(in_features) = self.in_features {
            write!(f, "{in_features} → ")?;
        }
        write!(f, "{}", self.out_features)?;
        if !self.bias {
            write!(f, ", no bias")?;
        }
        write!(f, ")")
    }
}

impl Module for Linear {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        if self.out_features == 0 {
            let what = format!("{}: features", input.place());
            return Err(Error::value(what, "at least 1", 0));
        }
        let shape = input.shape();
        let fan_in = match (shape.dims(), self.in_features) {
            ([_, features], None) => *features,
            (_, Some(features)) => features,
            (_, None) => {
                return Err(Error::Shape {
                    at: input.place(),
                    expected: "(N, I)".to_owned(),
                    got: shape.to_string(),
                });
            }
        };
        let shape = [self.out_features, fan_in];
        let init = self.init.weight(fan_in, self.out_features);
        let mut parameters = vec![Parameter::trained("weight", shape, init)];
        if self.bias {
            let shape = [self.out_features];
            parameters.push(Parameter::trained("bias", shape, self.init.bias(fan_in)));
        }
        input.layer(graph::Linear, &[], &parameters)
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}
