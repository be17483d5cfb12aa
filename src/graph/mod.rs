//! The graph of a model: functions over named values (convolutions, batch norms, sums), independent
//! of kernels.
//!
//! Layers record themselves here ([`Var`], [`Module`]); `differentiate.rs` determines which values
//! have gradients and adds these up; [`crate::expand`] lowers the graph to the ops of a plan, in
//! one of two ways.

mod activation;
mod add;
mod avg_pool;
mod batch_norm;
mod concat;
mod conv_transpose;
mod convolution;
mod depthwise;
mod differentiate;
mod dropout;
mod flatten;
mod fold;
mod function;
mod group_norm;
mod linear;
mod lowering;
mod max_pool;
mod module;
mod multiply;
mod normalize;
mod record;
mod relu;
mod softmax;
mod text;
mod training;
mod until;
mod upsample;

pub use activation::Activation;
pub use add::Add;
pub use avg_pool::{AdaptiveAvgPool, AvgPool, GlobalAvgPool};
pub use batch_norm::BatchNorm;
pub(crate) use batch_norm::Norm;
pub use concat::Concat;
pub use conv_transpose::ConvTranspose;
pub(crate) use conv_transpose::Products;
pub use convolution::Convolution;
pub(crate) use depthwise::Depthwise;
pub(crate) use differentiate::{Piece, backward};
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use fold::Weights;
pub use function::{Function, FunctionClone};
pub use group_norm::{GroupNorm, LayerNorm};
pub use linear::Linear;
pub(crate) use linear::sizes as linear_sizes;
pub use lowering::{Lowering, Site};
pub use max_pool::{MaxPool, Ties};
pub use module::Module;
pub use multiply::Multiply;
pub use normalize::Normalize;
pub use record::{Parameter, Recorder, Var};
pub use relu::Relu;
pub use softmax::Softmax;
pub use training::Training;
pub use upsample::{Interpolation, Scale, Upsample};

use std::any::Any;

use crate::error::{Error, Result};
use crate::plan::{Element, Init, LayerSummary};
use crate::shape::Shape;

/// A value of a [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub(crate) usize);

/// A node of a [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) usize);

/// The source of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Source {
    /// The batch.
    Batch,
    /// Trained.
    Parameter(Init),
    /// Not trained, but persistent: running statistics, counters.
    State(Element, Init),
    /// Computed.
    Node(NodeId),
}

impl Source {
    /// Whether it belongs to the model, trained or not.
    pub fn is_of_model(self) -> bool {
        matches!(self, Source::Parameter(_) | Source::State(..))
    }
}

/// A value of the model: the batch, a parameter, a state, or the output of a node.
#[derive(Debug, Clone)]
pub struct Value {
    /// `layer1.0.conv1.weight`; the output of a node has the node's name.
    pub name: String,
    /// Its extents.
    pub shape: Shape,
    /// Its source.
    pub source: Source,
}

/// A function applied to values.
#[derive(Debug, Clone)]
pub struct Node {
    /// The name of its layer, as PyTorch nests them: `layer1.0.conv1`.
    pub name: String,
    /// Its function.
    pub function: Box<dyn Function>,
    /// Its inputs.
    pub inputs: Vec<ValueId>,
    /// Its output.
    pub output: ValueId,
}

/// A model, from a batch of images to its logits, and its training.
#[derive(Debug, Clone)]
pub struct Graph {
    values: Vec<Value>,
    nodes: Vec<Node>,
    layers: Vec<LayerSummary>,
    images: ValueId,
    logits: ValueId,
    training: Option<Training>,
}

impl Graph {
    /// Records `model` on a batch, with the loss and the optimizer that train it.
    ///
    /// # Errors
    /// A layer does not accept its input's shape (the error names the layer and both shapes), the
    /// output does not fit the target, or a value has no reader.
    pub fn training(model: &dyn Module, training: &Training) -> Result<Graph> {
        let mut graph = record(model, &training.sample, training.batch_size)?;
        graph.check(&format!("loss: {}", training.loss))?;
        graph.training = Some(training.clone());
        graph.check_training(training)?;
        Ok(graph)
    }

    /// Records `model` on a batch of `rows` samples, for inference only.
    ///
    /// # Errors
    /// As [`Graph::training`].
    pub fn inference(model: &dyn Module, sample: impl Into<Shape>, rows: usize) -> Result<Graph> {
        let graph = record(model, &sample.into(), rows)?;
        graph.check("model")?;
        Ok(graph)
    }

    /// The graph of these parts, for inference.
    fn from_parts(
        values: Vec<Value>,
        nodes: Vec<Node>,
        images: ValueId,
        logits: ValueId,
    ) -> Result<Graph> {
        let graph = Graph {
            values,
            nodes,
            layers: Vec::new(),
            images,
            logits,
            training: None,
        };
        graph.check("model")?;
        Ok(graph)
    }

    /// The graph on a batch of `rows` samples, for inference.
    ///
    /// # Errors
    /// A function does not accept the new shapes.
    pub fn with_rows(&self, rows: usize) -> Result<Graph> {
        let mut graph = Graph {
            training: None,
            ..self.clone()
        };
        let sample = &self.value(self.images).shape.dims()[1..];
        graph.values[self.images.0].shape = batch_of(&Shape::new(sample), rows)?;
        for node in self.nodes() {
            let node = self.node(node);
            let inputs = node.inputs.iter().map(|&input| &graph.value(input).shape);
            let inputs: Vec<&Shape> = inputs.collect();
            graph.values[node.output.0].shape = node.function.output_shape(&node.name, &inputs)?;
        }
        Ok(graph)
    }

    fn check(&self, at: &str) -> Result<()> {
        let logits = &self.value(self.logits).shape;
        if logits.dims().len() < 2 {
            return Err(Error::Shape {
                at: at.to_owned(),
                expected: "an output (N, …)".to_owned(),
                got: logits.to_string(),
            });
        }
        match self
            .values()
            .find(|&id| self.readers(id).is_empty() && id != self.logits)
        {
            None => Ok(()),
            Some(id) if id == self.images => Err(Error::value(
                "model",
                "an output that is computed from the input",
                "one that is not",
            )),
            Some(id) => Err(Error::value(
                format!("model: output of {}", self.value(id).name),
                "a layer that reads it",
                "none",
            )),
        }
    }

    /// All values, in the order of recording.
    pub fn values(&self) -> impl Iterator<Item = ValueId> + use<> {
        (0..self.values.len()).map(ValueId)
    }

    /// All nodes, in the order of recording: each after its inputs.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map(NodeId)
    }

    /// The value with id `id`.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }

    /// The node with id `id`.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// The function of a node, if it is a `T`.
    pub fn function<T: Function>(&self, id: NodeId) -> Option<&T> {
        let function: &dyn Any = self.node(id).function.as_ref();
        function.downcast_ref()
    }

    /// The node that computes a value; `None` for the batch and the model's tensors.
    pub fn writer(&self, id: ValueId) -> Option<NodeId> {
        match self.value(id).source {
            Source::Node(node) => Some(node),
            Source::Batch | Source::Parameter(_) | Source::State(..) => None,
        }
    }

    /// The nodes that read a value, once per use.
    pub fn readers(&self, id: ValueId) -> Vec<NodeId> {
        let reads = self.nodes().flat_map(|node| {
            let inputs = self.node(node).inputs.iter();
            inputs.filter_map(move |&input| (input == id).then_some(node))
        });
        reads.collect()
    }

    /// The only reader of a value, if it has just one.
    pub fn only_reader(&self, id: ValueId) -> Option<NodeId> {
        match self.readers(id)[..] {
            [node] if id != self.logits => Some(node),
            _ => None,
        }
    }

    /// The only reader of `node`'s output, if its function is a `T`.
    pub fn next<T: Function>(&self, node: NodeId) -> Option<NodeId> {
        let next = self.only_reader(self.node(node).output)?;
        self.function::<T>(next).map(|_| next)
    }

    /// The batch.
    pub fn images(&self) -> ValueId {
        self.images
    }

    /// The model's output: (N, classes), or any (N, …).
    pub fn logits(&self) -> ValueId {
        self.logits
    }

    /// The model's layers, in forward order.
    pub fn layers(&self) -> &[LayerSummary] {
        &self.layers
    }

    /// The model's training; `None` for inference.
    pub fn purpose(&self) -> Option<&Training> {
        self.training.as_ref()
    }
}

/// The shape of a batch of `rows` samples.
fn batch_of(sample: &Shape, rows: usize) -> Result<Shape> {
    if rows == 0 {
        return Err(Error::value("batch size", "at least 1", rows));
    }
    if sample.dims().is_empty() {
        return Err(Error::value("sample", "at least one extent", sample));
    }
    let dims = std::iter::once(rows).chain(sample.dims().iter().copied());
    let batch = Shape::new(dims.collect::<Vec<_>>());
    batch.check("images")?;
    Ok(batch)
}

fn record(model: &dyn Module, sample: &Shape, rows: usize) -> Result<Graph> {
    let recorder = Recorder::default();
    let images = recorder.batch(batch_of(sample, rows)?);
    let logits = images.apply("", model)?;
    let (images, logits) = (images.id(), logits.id());
    let (values, nodes, layers) = recorder.finish();
    Ok(Graph {
        values,
        nodes,
        layers,
        images,
        logits,
        training: None,
    })
}
