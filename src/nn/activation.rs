//! Smooth activations and leaky ReLU: functions of each element, for values of any shape.

use std::fmt;

use crate::error::Result;
use crate::graph::{Activation, Module, Var};

/// Layers without parameters: their documentation, name and function.
macro_rules! activations {
    ($($(#[$doc:meta])* $layer:ident, $function:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $layer;

        impl fmt::Display for $layer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($layer))
            }
        }

        impl Module for $layer {
            fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
                input.layer($function, &[], &[])
            }

            fn describe(&self) -> String {
                self.to_string()
            }
        }
    )+};
}

activations! {
    /// 1/(1 + e⁻ˣ).
    Sigmoid, Activation::Sigmoid;
    /// The hyperbolic tangent.
    Tanh, Activation::Tanh;
    /// x·sigmoid(x), also called swish (Ramachandran et al., 2017).
    SiLU, Activation::Silu;
}

/// x above zero, slope·x otherwise. Its derivative at 0 is the slope, as in PyTorch.
#[derive(Debug, Clone, Copy)]
pub struct LeakyReLU {
    slope: f32,
}

impl LeakyReLU {
    /// With that slope below zero; PyTorch's default is 0.01.
    pub fn new(slope: f32) -> Self {
        LeakyReLU { slope }
    }
}

impl fmt::Display for LeakyReLU {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeakyReLU({})", self.slope)
    }
}

impl Module for LeakyReLU {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        input.layer(Activation::LeakyRelu(self.slope), &[], &[])
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}

/// x·Φ(x), with the normal distribution's integral Φ (Hendrycks and Gimpel, 2016).
#[derive(Debug, Clone, Copy)]
pub struct GELU {
    function: Activation,
}

impl GELU {
    /// The exact function.
    pub fn new() -> Self {
        GELU {
            function: Activation::Gelu,
        }
    }

    /// Approximated as x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2.
    pub fn tanh() -> Self {
        GELU {
            function: Activation::GeluTanh,
        }
    }
}

impl Default for GELU {
    fn default() -> Self {
        GELU::new()
    }
}

impl fmt::Display for GELU {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.function {
            Activation::GeluTanh => "GELU(tanh)",
            _ => "GELU",
        })
    }
}

impl Module for GELU {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        input.layer(self.function, &[], &[])
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}
