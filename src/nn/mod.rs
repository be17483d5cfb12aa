//! Layers and models. A layer owns its hyper-parameters and records itself into a graph; it knows
//! nothing of ops and devices.

mod activation;
mod avg_pool2d;
mod batch_norm2d;
mod concat;
mod conv2d;
mod conv_transpose2d;
mod dropout;
#[cfg(feature = "model-files")]
mod file;
mod flatten;
mod global_avg_pool2d;
mod group_norm;
mod initializer;
mod linear;
mod max_pool2d;
pub mod models;
mod normalize;
mod relu;
mod residual;
mod sequential;
mod softmax;
mod squeeze_excitation;
mod upsample;

pub use activation::{GELU, LeakyReLU, SiLU, Sigmoid, Tanh};
pub use avg_pool2d::{AdaptiveAvgPool2d, AvgPool2d};
pub use batch_norm2d::BatchNorm2d;
pub use concat::Concat;
pub use conv_transpose2d::ConvTranspose2d;
pub use conv2d::Conv2d;
pub use dropout::{Dropout, Dropout2d};
#[cfg(feature = "model-files")]
pub use file::ModelFile;
pub use flatten::Flatten;
pub use global_avg_pool2d::GlobalAvgPool2d;
pub use group_norm::{GroupNorm, LayerNorm};
pub use initializer::Initializer;
pub use linear::Linear;
pub use max_pool2d::MaxPool2d;
pub use normalize::Normalize;
pub(crate) use normalize::Normalized;
pub use relu::ReLU;
pub use residual::Residual;
pub use sequential::Sequential;
pub use softmax::Softmax;
pub use squeeze_excitation::SqueezeExcitation;
pub use upsample::Upsample;

pub use crate::graph::{Interpolation, Module, Ties, Training, Var};
pub use crate::plan::initial_parameters;
