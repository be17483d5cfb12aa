//! Layers, and the models made of them. A layer owns its hyper-parameters and lowers itself to ops
//! of a plan; it knows nothing of devices.

mod conv2d;
mod description;
mod flatten;
mod init;
mod linear;
mod max_pool2d;
pub mod models;
mod relu;
mod sequential;

use std::fmt::{Debug, Display};

pub use conv2d::Conv2d;
pub use flatten::Flatten;
pub use init::initial_parameters;
pub use linear::Linear;
pub use max_pool2d::{MaxPool2d, Ties};
pub use relu::ReLU;
pub use sequential::{Sequential, Training};

use crate::error::{Error, Result};
use crate::plan::{Builder, TensorId};
use crate::shape::{Shape, Size2d};

/// The tensors around a layer when its backward phase is lowered.
#[derive(Debug, Clone, Copy)]
pub struct Around {
    /// What forward read.
    pub input: TensorId,
    /// What forward wrote.
    pub output: TensorId,
    /// The loss's gradient with respect to `output`.
    pub d_output: TensorId,
    /// Whether anything before this layer needs the gradient with respect to `input`.
    pub needs_d_input: bool,
}

/// One layer of a model. Its `Display` is its line in the model's table: `Conv2d(1 → 4, 3×3)`.
pub trait Layer: Debug + Display + Send + Sync {
    /// The stem of its name in the plan: the second `conv` is `conv2`.
    fn stem(&self) -> &'static str;

    /// Appends the ops from `input` to the layer's output, and returns that.
    ///
    /// # Errors
    /// An input that does not fit; the error names the layer, the shape it wanted and the one it got.
    fn forward(&self, plan: &mut Builder, input: TensorId) -> Result<TensorId>;

    /// Appends the ops from `around.d_output` to the gradients of the parameters, and of the input
    /// where it is needed; returns the latter. Tensors made by [`Layer::forward`] are found by name
    /// with [`Builder::own`].
    ///
    /// # Errors
    /// None that `forward` did not report, unless the layer is wrong.
    fn backward(&self, plan: &mut Builder, around: Around) -> Result<Option<TensorId>>;
}

/// The layer as errors name it: `conv1: Conv2d(1 → 4, 3×3)`.
fn place(plan: &Builder, layer: &dyn Layer) -> String {
    format!("{}: {layer}", plan.scope())
}

/// (N, C, H×W) of an image batch, or the layer's shape error.
fn images(
    plan: &Builder,
    layer: &dyn Layer,
    input: TensorId,
    channels: Option<usize>,
) -> Result<(usize, usize, Size2d)> {
    let shape = &plan.get(input).shape;
    match *shape.dims() {
        [n, c, height, width] if channels.is_none_or(|channels| channels == c) => {
            Ok((n, c, Size2d { height, width }))
        }
        _ => {
            let channels = channels.map_or("C".to_owned(), |channels| channels.to_string());
            Err(wrong_shape(
                plan,
                layer,
                &format!("(N, {channels}, H, W)"),
                shape,
            ))
        }
    }
}

fn wrong_shape(plan: &Builder, layer: &dyn Layer, expected: &str, got: &Shape) -> Error {
    Error::Shape {
        at: place(plan, layer),
        expected: expected.to_owned(),
        got: got.to_string(),
    }
}
