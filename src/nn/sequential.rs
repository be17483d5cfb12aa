//! A chain of layers, and how it becomes a plan for training.

use std::collections::HashMap;

use super::{Around, Layer};
use crate::error::{Error, Result};
use crate::loss::Loss;
use crate::ops::{Gather, Zero};
use crate::optim::Sgd;
use crate::plan::{Builder, Element, Phase, Plan, Port, Role, TensorId};
use crate::shape::Shape;

/// Layers, each fed by the one before.
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
    layers: Vec<Box<dyn Layer>>,
}

/// What a model is lowered for.
#[derive(Debug, Clone)]
pub struct Training {
    /// The shape of one sample, without the batch: (C, H, W) or (F).
    pub sample: Shape,
    /// N: rows of a batch.
    pub batch_size: usize,
    /// What is minimised.
    pub loss: Loss,
    /// What minimises it.
    pub optimizer: Sgd,
    /// Samples of a byte data set that batches are gathered from; without one the host writes
    /// `images` and `labels` itself.
    pub dataset: Option<usize>,
    /// Whether backward adds to the gradients (and `ZeroGrad` clears them), as in PyTorch, or
    /// overwrites them, which saves that dispatch.
    pub accumulate: bool,
}

impl Sequential {
    /// A model without layers.
    pub fn new() -> Self {
        Self::default()
    }

    /// The model with `layer` after the others.
    #[must_use]
    pub fn with(mut self, layer: impl Layer + 'static) -> Self {
        self.layers.push(Box::new(layer));
        self
    }

    /// The model with the layers of `other` after its own.
    #[must_use]
    pub fn then(mut self, other: Sequential) -> Self {
        self.layers.extend(other.layers);
        self
    }

    /// The layers, in order.
    pub fn layers(&self) -> impl Iterator<Item = &dyn Layer> {
        self.layers.iter().map(AsRef::as_ref)
    }

    /// How many layers there are.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there is no layer.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The plan of a training step: gather, forward, loss, backward, update.
    ///
    /// # Errors
    /// A layer that does not fit the shape that reaches it (the error names the layer and both
    /// shapes), an output that is not (N, classes), a model without parameters, an option out of
    /// range.
    pub fn lower(&self, training: &Training) -> Result<Plan> {
        let mut plan = Builder::new(training.accumulate);
        let (images, labels) = lower_inputs(&mut plan, training)?;

        let mut lowered: Vec<(String, &dyn Layer, TensorId, TensorId)> = Vec::new();
        let mut trained_before = vec![false];
        let mut counts: HashMap<&str, usize> = HashMap::new();
        let mut flowing = images;
        for layer in &self.layers {
            let count = counts.entry(layer.stem()).or_default();
            *count += 1;
            let scope = format!("{}{count}", layer.stem());
            plan.set_scope(&scope);
            let input = flowing;
            flowing = layer.forward(&mut plan, input)?;
            plan.close_layer(layer, flowing);
            lowered.push((scope, layer.as_ref(), input, flowing));
            trained_before.push(plan.has_parameters());
        }

        plan.set_scope("");
        let logits_shape = plan.get(flowing).shape.clone();
        let logits = plan.view(flowing, "logits", logits_shape)?;
        plan.set_port(Port::Logits, logits);
        let mut d_flowing = training.loss.lower(&mut plan, logits, labels)?;

        for (number, (scope, layer, input, output)) in lowered.into_iter().enumerate().rev() {
            plan.set_scope(&scope);
            let around = Around {
                input,
                output,
                d_output: d_flowing,
                needs_d_input: trained_before[number],
            };
            match layer.backward(&mut plan, around)? {
                Some(d_input) => d_flowing = d_input,
                None if !around.needs_d_input => break,
                None => {
                    let what = format!("{}: gradient of the input", super::place(&plan, layer));
                    return Err(Error::value(
                        what,
                        "a tensor, for the layers before it",
                        "none",
                    ));
                }
            }
        }

        plan.set_scope("");
        let (parameters, gradients) = plan.arenas()?;
        training.optimizer.lower(&mut plan, parameters, gradients)?;
        let zero = Zero {
            len: plan.get(gradients).words(),
        };
        plan.op(Phase::ZeroGrad, zero, &[], &[gradients])?;
        Ok(plan.finish())
    }
}

/// The batch (`images`, `labels`), and the op that gathers it if there is a data set.
fn lower_inputs(plan: &mut Builder, training: &Training) -> Result<(TensorId, TensorId)> {
    let n = training.batch_size;
    if n == 0 {
        return Err(Error::value("batch size", "at least 1", n));
    }
    let with_first = |first: usize| -> Shape {
        let sample = training.sample.dims().iter().copied();
        Shape::new(std::iter::once(first).chain(sample).collect::<Vec<_>>())
    };
    let images = plan.tensor("images", with_first(n), Element::F32, Role::Input)?;
    let labels = plan.tensor("labels", [n], Element::U32, Role::Input)?;
    plan.set_port(Port::Images, images);
    plan.set_port(Port::Labels, labels);
    if let Some(samples) = training.dataset {
        plan.set_scope("dataset");
        let bytes = plan.tensor("images", with_first(samples), Element::U8, Role::Dataset)?;
        let classes = plan.tensor("labels", [samples], Element::U8, Role::Dataset)?;
        let order = plan.tensor("order", [samples], Element::U32, Role::Dataset)?;
        plan.set_port(Port::DatasetImages, bytes);
        plan.set_port(Port::DatasetLabels, classes);
        plan.set_port(Port::Order, order);
        let gather = Gather {
            rows: n,
            sample_len: training.sample.elements(),
            samples,
        };
        plan.op(
            Phase::Gather,
            gather,
            &[bytes, classes, order],
            &[images, labels],
        )?;
    }
    Ok((images, labels))
}
