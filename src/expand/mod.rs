//! Lowers a graph to the ops of a plan: the readable one, or a fast one.
//!
//! The readable plan has an op for each step of the mathematics and a tensor for each result, as
//! each function defines ([`Function::forward`](crate::graph::Function::forward)). The fast plan
//! computes nodes, or chains of them, by one kernel; nodes without such a kernel are lowered as in
//! the readable plan, which lists them.

mod add;
mod batch_norm;
mod conv_pool;
mod conv_transpose;
mod convolution;
mod depthwise;
mod linear;
mod relu;
mod relu_pool;
mod strategy;

use std::collections::HashSet;

use crate::augment::Augmentation;
use crate::error::Result;
use crate::graph::{Graph, Lowering, NodeId, Piece, Site, Training, ValueId, backward};
use crate::ops::{Augment, Gather, GatherArray, MixLabels, Stored, Zero};
use crate::optim::average;
use crate::plan::{Builder, Element, Phase, Plan, Port, Role, TensorId, share_memory};
use crate::shape::{Shape, Size2d};
use crate::target::Target;
pub use strategy::{Strategies, Strategy};

/// A node lowered as in the readable plan.
#[derive(Debug)]
struct Readable(NodeId);

impl Piece for Readable {
    fn output(&self, graph: &Graph) -> ValueId {
        graph.node(self.0).output
    }

    fn forward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        let function = &lowering.graph().node(self.0).function;
        function.forward(&mut Site::new(lowering, self.0))
    }

    fn backward(&self, lowering: &mut Lowering<'_>) -> Result<()> {
        let function = &lowering.graph().node(self.0).function;
        function.backward(&mut Site::new(lowering, self.0))
    }
}

/// Nodes that are computed together, and the piece that computes them.
struct Group {
    nodes: Vec<NodeId>,
    piece: Box<dyn Piece>,
    /// Whether the batch is read directly from the data set.
    gathers: bool,
}

impl Group {
    fn new(nodes: Vec<NodeId>, piece: impl Piece + 'static) -> Self {
        Group {
            nodes,
            piece: Box::new(piece),
            gathers: false,
        }
    }
}

impl Graph {
    /// The plan of a training step and of inference, with an op for each step of the mathematics.
    ///
    /// # Errors
    /// A size exceeds the kernels' indices, the model has no parameters, or an option is out of
    /// range.
    pub fn readable(&self) -> Result<Plan> {
        let pieces = self
            .nodes()
            .map(|node| Box::new(Readable(node)) as Box<dyn Piece>);
        write(self, &pieces.collect::<Vec<_>>(), None)
    }

    /// The same computation as [`Graph::readable`] in fewer ops, over tensors that share memory.
    ///
    /// Convolutions not in `strategies` are computed as [`Strategy::Gathered`] if they have few
    /// input channels, else as [`Strategy::Columns`]; fully connected layers as
    /// [`Strategy::Separate`].
    ///
    /// # Errors
    /// As [`Graph::readable`].
    pub fn fast(&self, strategies: &Strategies) -> Result<Plan> {
        let mut taken = HashSet::new();
        let (mut pieces, mut gathers, mut unknown) = (Vec::new(), false, Vec::new());
        for node in self.nodes() {
            if taken.contains(&node) {
                continue;
            }
            let found = convolution::find(self, node, strategies)
                .or_else(|| depthwise::find(self, node))
                .or_else(|| conv_transpose::find(self, node))
                .or_else(|| linear::find(self, node, strategies))
                .or_else(|| relu_pool::find(self, node))
                .or_else(|| relu::find(self, node))
                .or_else(|| batch_norm::find(self, node))
                .or_else(|| add::find(self, node));
            let group = found.unwrap_or_else(|| {
                if !self.node(node).function.is_one_op() {
                    unknown.push(self.node(node).name.clone());
                }
                Group::new(vec![node], Readable(node))
            });
            taken.extend(group.nodes);
            gathers |= group.gathers;
            pieces.push(group.piece);
        }
        let mut plan = share_memory(write(self, &pieces, Some(gathers))?);
        plan.set_written_readably(unknown);
        Ok(plan)
    }
}

/// Lowers `pieces`, the batch, the loss and the optimizer. If `fast` is set, the loss and its
/// metrics are one op, and its value says whether the batch is read directly from the data set.
fn write(graph: &Graph, pieces: &[Box<dyn Piece>], fast: Option<bool>) -> Result<Plan> {
    let mut lowering = Lowering::new(graph)?;
    let gathers = fast == Some(true);
    let labels = write_inputs(&mut lowering, gathers)?;
    for piece in pieces {
        piece.forward(&mut lowering)?;
    }

    let flowing = lowering.tensor(graph.logits())?;
    let shape = graph.value(graph.logits()).shape.clone();
    let plan = lowering.plan();
    plan.set_scope("");
    let logits = plan.view(flowing, "logits", shape)?;
    plan.set_port(Port::Logits, logits);
    plan.set_layers(graph.layers().to_vec());
    if let Some(training) = graph.purpose() {
        write_training(&mut lowering, pieces, training, [logits, labels], fast)?;
    }
    Ok(lowering.finish().finish())
}

/// The loss of `logits` and `labels`, the backward pass, and the optimizer.
fn write_training(
    lowering: &mut Lowering<'_>,
    pieces: &[Box<dyn Piece>],
    training: &Training,
    [logits, labels]: [TensorId; 2],
    fast: Option<bool>,
) -> Result<()> {
    let target = lowering.graph().batch_target();
    let plan = lowering.plan();
    let gathers = fast == Some(true);
    let samples = training.dataset.filter(|_| gathers);
    let loss = &training.loss;
    let d_logits = match fast {
        None => loss.lower(plan, logits, labels, &target)?,
        Some(_) => loss.lower_fast(plan, logits, labels, &target, samples)?,
    };
    lowering.give_gradient(lowering.graph().logits(), d_logits);
    backward(lowering, pieces)?;

    let plan = lowering.plan();
    plan.set_scope("");
    let (parameters, gradients) = plan.arenas()?;
    training.clipping.lower(plan, gradients)?;
    training.optimizer.lower(plan, parameters, gradients)?;
    average(plan, parameters, training.averaging)?;
    let zero = Zero {
        len: plan.get(gradients).words(),
    };
    plan.op(Phase::ZeroGrad, zero, &[], &[gradients])
}

/// The batch, and the ops that gather it if there is a data set and no other op reads it. Returns
/// the targets.
fn write_inputs(lowering: &mut Lowering<'_>, gathers: bool) -> Result<TensorId> {
    let graph = lowering.graph();
    let plan = lowering.plan();
    plan.set_scope("");
    let batch = graph.value(graph.images()).shape.clone();
    let rows = batch.dims()[0];
    let sample = Shape::new(&batch.dims()[1..]);
    let images = plan.tensor("images", batch, Element::F32, Role::Input)?;
    plan.set_port(Port::Images, images);
    lowering.set_tensor(graph.images(), images);
    let plan = lowering.plan();
    let target = graph.target();
    let of_loss = graph.batch_target();
    let of_batch = match &of_loss {
        Target::Classes(array, _) => Some((array, Element::U32)),
        Target::Numbers(array) => Some((array, Element::F32)),
        Target::Input => None,
    };
    let targets = of_batch.map(|(array, element)| {
        let shape = with_rows(rows, &array.shape);
        plan.tensor("labels", shape, element, Role::Input)
    });
    let targets = targets.transpose()?;
    if let Some(targets) = targets {
        plan.set_port(Port::Targets, targets);
    }
    if let Target::Classes(_, classes) = target {
        plan.set_classes(Some(classes));
    }
    let Some((samples, stored)) = graph.purpose().and_then(|t| Some((t.dataset?, t.stored))) else {
        return Ok(targets.unwrap_or(images));
    };
    plan.set_scope("dataset");
    let shape = with_rows(samples, &sample);
    let inputs = plan.tensor("images", shape, stored, Role::Dataset)?;
    plan.set_port(Port::DatasetImages, inputs);
    let stored_targets = target.array().map(|array| {
        let shape = with_rows(samples, &array.shape);
        plan.tensor("labels", shape, array.element, Role::Dataset)
    });
    let stored_targets = stored_targets.transpose()?;
    if let Some(targets) = stored_targets {
        plan.set_port(Port::DatasetTargets, targets);
    }
    let order = plan.tensor("order", [samples], Element::U32, Role::Dataset)?;
    plan.set_port(Port::Order, order);
    if gathers {
        return Ok(targets.unwrap_or(images));
    }
    let gather = |len, stored| GatherArray {
        rows,
        len,
        samples,
        stored,
    };
    match (targets, stored_targets) {
        (Some(labels), Some(classes)) if graph.readable_dataset().is_some() => {
            let both = Gather {
                rows,
                sample_len: sample.elements(),
                samples,
            };
            plan.op(
                Phase::Gather,
                both,
                &[inputs, classes, order],
                &[images, labels],
            )?;
        }
        _ => {
            gather_inputs(plan, graph, [inputs, order, images])?;
            if let (Some(targets), Some(stored), Some(array)) =
                (targets, stored_targets, target.array())
            {
                if of_loss != target
                    && let Target::Classes(_, classes) = target
                {
                    let op = MixLabels {
                        rows,
                        classes,
                        samples,
                    };
                    plan.op(Phase::Gather, op, &[stored, order], &[targets])?;
                    return Ok(targets);
                }
                let how = match (&target, array.element) {
                    (Target::Classes(..), Element::U8) => Stored::Bytes,
                    (_, element) => as_floats(element),
                };
                let op = gather(array.shape.elements(), how);
                plan.op(Phase::Gather, op, &[stored, order], &[targets])?;
            }
        }
    }
    Ok(targets.unwrap_or(images))
}

/// Appends the op that gathers the batch, changed at random if the training wants it.
fn gather_inputs(
    plan: &mut Builder,
    graph: &Graph,
    [inputs, order, images]: [TensorId; 3],
) -> Result<()> {
    let Some(training) = graph.purpose() else {
        return Ok(());
    };
    let rows = plan.get(images).shape.dims()[0];
    let samples = plan.get(order).shape.elements();
    let (inputs, images) = ([inputs, order], [images]);
    if let (&[channels, height, width], true) = (
        training.sample.dims(),
        training.augmentation != Augmentation::new(),
    ) {
        let op = Augment {
            rows,
            channels,
            plane: Size2d { height, width },
            samples,
            changes: training.augmentation.changes(&training.sample)?,
        };
        return plan.op(Phase::Gather, op, &inputs, &images);
    }
    let op = GatherArray {
        rows,
        len: training.sample.elements(),
        samples,
        stored: as_floats(training.stored),
    };
    plan.op(Phase::Gather, op, &inputs, &images)
}

/// Bytes as their 255ths, words as they are.
fn as_floats(stored: Element) -> Stored {
    match stored {
        Element::U8 => Stored::Scaled,
        Element::U32 | Element::F32 => Stored::Words,
    }
}

/// An array of `rows` arrays of that shape.
fn with_rows(rows: usize, shape: &Shape) -> Shape {
    let dims = std::iter::once(rows).chain(shape.dims().iter().copied());
    Shape::new(dims.collect::<Vec<_>>())
}
