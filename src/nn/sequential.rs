//! A chain of layers.

use std::fmt;

use crate::error::Result;
use crate::graph::{Module, Var};

/// Layers, each applied to the output of the one before.
///
/// ```
/// use wgrad::nn::{Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential};
/// let model = Sequential::new()
///     .with(Conv2d::new(1, 4, 3))
///     .with(ReLU)
///     .with(MaxPool2d::new(2))
///     .with(Flatten)
///     .with(Linear::new(32))
///     .with(ReLU)
///     .with(Linear::new(10).in_features(32));
/// # assert_eq!(model.len(), 7);
/// ```
#[derive(Debug, Default)]
pub struct Sequential {
    layers: Vec<Box<dyn Module>>,
}

impl Sequential {
    /// A model without layers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `layer`.
    #[must_use]
    pub fn with(mut self, layer: impl Module + 'static) -> Self {
        self.layers.push(Box::new(layer));
        self
    }

    /// Appends the layers of `other`.
    #[must_use]
    pub fn then(mut self, other: Sequential) -> Self {
        self.layers.extend(other.layers);
        self
    }

    /// The layers, in order.
    pub fn layers(&self) -> impl Iterator<Item = &dyn Module> {
        self.layers.iter().map(AsRef::as_ref)
    }

    /// Number of layers.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there are no layers.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }
}

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

impl Module for Sequential {
    /// Layers are named by their indices, as in PyTorch: `0.weight`.
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        let mut flowing = input;
        for (place, layer) in self.layers.iter().enumerate() {
            flowing = flowing.apply(&place.to_string(), layer.as_ref())?;
        }
        Ok(flowing)
    }
}
