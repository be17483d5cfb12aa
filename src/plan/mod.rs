//! What a model is lowered to: ops over named tensors, in phases. Plain data, which executors
//! replay, verification checks and profiles time.

mod builder;
mod display;
mod host;
mod init;
mod loops;
mod memory;
mod ports;

pub use builder::Builder;
pub use init::initial_parameters;
pub(crate) use init::initial_states;
pub(crate) use memory::share as share_memory;
pub use ports::Port;

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::ops::Op;
use crate::shape::Shape;

/// Elements between the beginnings of two tensors of an arena: WebGPU's largest alignment of a
/// storage binding, 256 bytes.
pub const ARENA_ALIGNMENT: usize = 64;

/// A tensor of a [`Plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TensorId(usize);

/// A buffer of a [`Plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BufferId(usize);

impl BufferId {
    /// Its place in [`Plan::buffers`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// What a tensor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The data set and the order of its samples, written by the host.
    Dataset,
    /// The batch: gathered from the data set or written by the host.
    Input,
    /// Trained; lives in the arena of parameters.
    Parameter,
    /// Of the parameter of the same layout; lives in the arena of gradients.
    Gradient,
    /// All parameters or all gradients as one array, for the optimizer.
    Arena,
    /// The optimizer's, of the arena's layout.
    OptimizerState,
    /// Written by the forward phase.
    Activation,
    /// Written and read within a step, of no interest to anyone else.
    Scratch,
    /// Neither trained nor of one step: running statistics, counters. Forward passes of training update it.
    State,
    /// Read by the host while training goes on.
    Metric,
}

/// How the elements of a tensor lie in 32-bit words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// An f32 a word.
    F32,
    /// A u32 a word.
    U32,
    /// Four bytes a word, the first in the lowest bits.
    U8,
}

impl Element {
    /// Words that `elements` of this kind take.
    pub fn words(self, elements: usize) -> usize {
        match self {
            Element::F32 | Element::U32 => elements,
            Element::U8 => elements.div_ceil(4),
        }
    }
}

/// The most steps that one run of an executor takes, and the slots of the metrics' tables.
pub const STEPS_PER_RUN: usize = 256;

/// How a parameter's values are drawn before training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// Normal, mean 0, standard deviation `√(2 / fan_in)` (He et al., 2015, arXiv:1502.01852).
    HeNormal {
        /// Inputs that feed one output.
        fan_in: usize,
    },
}

/// A named array of a plan.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// `0.weight`, `0.d_weight`, `0.columns`, …, after the layer.
    pub name: String,
    /// Its extents.
    pub shape: Shape,
    /// What its words hold.
    pub element: Element,
    /// What it is for.
    pub role: Role,
    /// The buffer that it lies in.
    pub buffer: BufferId,
    /// Where in that buffer it begins, in words.
    pub offset: usize,
    /// How it starts, if it is a parameter or a state.
    pub init: Option<Init>,
}

impl Tensor {
    /// 32-bit words that it takes.
    pub fn words(&self) -> usize {
        self.element.words(self.shape.elements())
    }
}

/// A stretch of memory: one tensor and its views, or an arena.
#[derive(Debug, Clone)]
pub struct Buffer {
    /// Its tensor's name, or the arena's.
    pub name: String,
    /// Its length in 32-bit words.
    pub words: usize,
}

/// A stage of a training step, run on its own or in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Picks the batch from the data set.
    Gather,
    /// From the batch to the logits, in training.
    Forward,
    /// From the batch to the logits, as a trained model computes them.
    Infer,
    /// The loss, its gradient and the metrics.
    Loss,
    /// From the loss's gradient to every parameter's.
    Backward,
    /// The optimizer's step.
    Update,
    /// Clears the gradients.
    ZeroGrad,
}

impl Phase {
    /// What evaluation runs.
    pub const EVALUATE: [Phase; 3] = [Phase::Gather, Phase::Infer, Phase::Loss];
    /// What training runs, where gradients are overwritten.
    pub const TRAIN: [Phase; 5] = [
        Phase::Gather,
        Phase::Forward,
        Phase::Loss,
        Phase::Backward,
        Phase::Update,
    ];
    /// Where ops stand that compute the same in training and in inference.
    pub const FORWARD: &[Phase] = &[Phase::Forward, Phase::Infer];

    /// This phase alone.
    pub fn alone(self) -> &'static [Phase] {
        match self {
            Phase::Gather => &[Phase::Gather],
            Phase::Forward => &[Phase::Forward],
            Phase::Infer => &[Phase::Infer],
            Phase::Loss => &[Phase::Loss],
            Phase::Backward => &[Phase::Backward],
            Phase::Update => &[Phase::Update],
            Phase::ZeroGrad => &[Phase::ZeroGrad],
        }
    }
}

/// One op, and the tensors that it works on.
#[derive(Debug, Clone)]
pub struct Node {
    /// When it runs: in one phase, or in [`Phase::FORWARD`].
    pub phases: &'static [Phase],
    /// What runs.
    pub op: Box<dyn Op>,
    /// Read, in binding order.
    pub inputs: Vec<TensorId>,
    /// Written, in binding order.
    pub outputs: Vec<TensorId>,
}

/// The tables, of [`STEPS_PER_RUN`] slots each, that the loss phase fills.
#[derive(Debug, Clone, Copy)]
pub struct MetricTables {
    /// Σ of the rows' losses.
    pub loss_sum: TensorId,
    /// Rows classified right.
    pub correct: TensorId,
}

/// What a layer was lowered to, for tables and summaries.
#[derive(Debug, Clone)]
pub struct LayerSummary {
    /// `0`, or `layer1.0.conv1`.
    pub name: String,
    /// `Conv2d(1 → 4, 3×3)`.
    pub layer: String,
    /// The shape of its output, with the batch first.
    pub output: Shape,
    /// How many numbers it trains.
    pub parameters: usize,
}

/// A lowered model. Made by a [`Builder`].
#[derive(Debug, Clone)]
pub struct Plan {
    tensors: Vec<Tensor>,
    buffers: Vec<Buffer>,
    nodes: Vec<Node>,
    metrics: Option<MetricTables>,
    ports: BTreeMap<Port, TensorId>,
    layers: Vec<LayerSummary>,
    written_readably: Vec<String>,
}

impl Plan {
    /// Every tensor, in the order in which it was made.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Every buffer.
    pub fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    /// Every op, in the order in which phases run it.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The places, in [`Plan::nodes`], of the ops that `phases` run, phase by phase.
    pub fn nodes_of<'a>(&'a self, phases: &'a [Phase]) -> impl Iterator<Item = usize> + 'a {
        phases.iter().flat_map(move |&phase| {
            let nodes = self.nodes.iter().enumerate();
            nodes.filter_map(move |(i, node)| node.phases.contains(&phase).then_some(i))
        })
    }

    /// The tables of the steps' metrics, if the plan has a loss.
    pub fn metrics(&self) -> Option<MetricTables> {
        self.metrics
    }

    /// The model's layers, in the order in which the batch meets them.
    pub fn layers(&self) -> &[LayerSummary] {
        &self.layers
    }

    /// The nodes of the graph for which a fast plan has no ops but the readable ones.
    pub fn written_readably(&self) -> &[String] {
        &self.written_readably
    }

    pub(crate) fn set_written_readably(&mut self, nodes: Vec<String>) {
        self.written_readably = nodes;
    }

    /// The tensor of that id.
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0]
    }

    /// The tensor of that name.
    ///
    /// # Errors
    /// No tensor has it.
    pub fn find(&self, name: &str) -> Result<TensorId> {
        let place = self.tensors.iter().position(|tensor| tensor.name == name);
        place.map(TensorId).ok_or_else(|| {
            let names: Vec<_> = self.tensors.iter().map(|tensor| &*tensor.name).collect();
            let expected = format!("one of {}", names.join(", "));
            Error::value("tensor", expected, format!("`{name}`"))
        })
    }

    /// The parameters, layer by layer.
    pub fn parameters(&self) -> impl Iterator<Item = (TensorId, &Tensor)> {
        self.tensors_of(Role::Parameter)
    }

    /// The tensors of one role, in the order in which they were made.
    pub fn tensors_of(&self, role: Role) -> impl Iterator<Item = (TensorId, &Tensor)> {
        let tensors = self.tensors.iter().enumerate();
        tensors.filter_map(move |(i, t)| (t.role == role).then_some((TensorId(i), t)))
    }

    /// Puts another op in the place of each for which `other` has one: one that reads and writes the same.
    pub(crate) fn replace_ops(&mut self, other: impl Fn(&dyn Op) -> Option<Box<dyn Op>>) {
        for node in &mut self.nodes {
            if let Some(op) = other(node.op.as_ref()) {
                node.op = op;
            }
        }
    }

    /// The words that all buffers take together.
    pub fn words(&self) -> usize {
        self.buffers.iter().map(|buffer| buffer.words).sum()
    }
}
