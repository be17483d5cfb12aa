//! Plans, to which models are lowered: ops over named tensors, in phases. Plain data, which
//! executors replay, verification checks and profiles time.

mod builder;
mod check;
mod constants;
mod display;
mod host;
mod init;
mod loops;
mod memory;
mod ports;
mod speed;

pub use builder::Builder;
pub use init::initial_parameters;
pub(crate) use init::initial_states;
pub(crate) use memory::share as share_memory;
pub(crate) use ports::MetricTables;
pub use ports::Port;
pub use speed::{CARDS, Figures};

pub use crate::target::Element;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::ops::{Op, Step};
use crate::shape::Shape;

/// Alignment of the tensors of an arena, in elements: WebGPU's largest alignment of a storage
/// binding, 256 bytes.
pub const ARENA_ALIGNMENT: usize = 64;

/// A tensor of one [`Plan`]; in another plan the same id names another tensor, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TensorId(usize);

/// A buffer of a [`Plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BufferId(usize);

impl BufferId {
    /// Its index in [`Plan::buffers`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// The role of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The data set and the order of its samples, written by the host.
    Dataset,
    /// The batch: gathered from the data set or written by the host.
    Input,
    /// A trained parameter, in the arena of parameters.
    Parameter,
    /// The gradient of a parameter, in the arena of gradients.
    Gradient,
    /// All parameters or all gradients as one array, for the optimizer.
    Arena,
    /// State of the optimizer, in the arena's layout.
    OptimizerState,
    /// Written by the forward phase.
    Activation,
    /// Written and read only within a step.
    Scratch,
    /// Not trained, but persistent: running statistics, counters. Training's forward passes update
    /// it.
    State,
    /// Read by the host during training.
    Metric,
    /// Written once, before the first step.
    Constant,
}

/// Maximum steps per run of an executor, and the number of slots in the tables of metrics.
pub const STEPS_PER_RUN: usize = 256;

/// The initial values of a parameter or state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All the same value.
    Constant(f32),
    /// Normal, with mean 0.
    Normal {
        /// The standard deviation.
        deviation: f64,
    },
    /// Uniform in [−bound, bound).
    Uniform {
        /// The bound.
        bound: f64,
    },
}

impl Init {
    /// All zero.
    pub const ZEROS: Init = Init::Constant(0.0);

    /// All one.
    pub const ONES: Init = Init::Constant(1.0);

    /// Normal with standard deviation √(2/fan_in) (He et al., 2015, arXiv:1502.01852); `fan_in` is
    /// the number of inputs of each output.
    pub fn he_normal(fan_in: usize) -> Self {
        Init::Normal {
            deviation: (2.0 / fan_in as f64).sqrt(),
        }
    }
}

/// A named array of a plan.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// `0.weight`, `0.d_weight`, `0.columns`, …, prefixed with the layer.
    pub name: String,
    /// Its extents.
    pub shape: Shape,
    /// The layout of its words.
    pub element: Element,
    /// Its role.
    pub role: Role,
    /// Its buffer.
    pub buffer: BufferId,
    /// Its offset in that buffer, in words.
    pub offset: usize,
    /// Its initial values, if it is a parameter or a state.
    pub init: Option<Init>,
    /// Its words, if it is a constant.
    pub values: Option<Arc<[u32]>>,
}

impl Tensor {
    /// Its length in 32-bit words.
    pub fn words(&self) -> usize {
        self.element.words(self.shape.elements())
    }
}

/// A region of memory: one tensor and its views, or an arena.
#[derive(Debug, Clone)]
pub struct Buffer {
    /// The name of its tensor, or of the arena.
    pub name: String,
    /// Its length in 32-bit words.
    pub words: usize,
}

/// A stage of a training step, run alone or in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Gathers the batch from the data set.
    Gather,
    /// From the batch to the logits, in training.
    Forward,
    /// From the batch to the logits, in inference.
    Infer,
    /// The loss, its gradient and the metrics.
    Loss,
    /// From the gradient of the logits to those of all parameters.
    Backward,
    /// The optimizer's step.
    Update,
    /// Clears the gradients.
    ZeroGrad,
}

impl Phase {
    /// The phases of evaluation.
    pub const EVALUATE: [Phase; 3] = [Phase::Gather, Phase::Infer, Phase::Loss];
    /// The phases of training, if gradients are overwritten.
    pub const TRAIN: [Phase; 5] = [
        Phase::Gather,
        Phase::Forward,
        Phase::Loss,
        Phase::Backward,
        Phase::Update,
    ];
    /// The phases of training, if gradients are added to.
    pub const ACCUMULATE: [Phase; 6] = [
        Phase::Gather,
        Phase::Forward,
        Phase::Loss,
        Phase::Backward,
        Phase::Update,
        Phase::ZeroGrad,
    ];
    /// The phases of ops that are the same in training and inference.
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
    /// The phases that run it: one, or [`Phase::FORWARD`].
    pub phases: &'static [Phase],
    /// The op.
    pub op: Box<dyn Op>,
    /// Read, in binding order.
    pub inputs: Vec<TensorId>,
    /// Written, in binding order.
    pub outputs: Vec<TensorId>,
}

/// A summary of a layer, for tables.
#[derive(Debug, Clone)]
pub struct LayerSummary {
    /// `0`, or `layer1.0.conv1`.
    pub name: String,
    /// `Conv2d(1 → 4, 3×3)`.
    pub layer: String,
    /// The shape of its output, with the batch first.
    pub output: Shape,
    /// Number of trained values.
    pub parameters: usize,
}

/// A lowered model. Made by a [`Builder`].
#[derive(Debug, Clone)]
pub struct Plan {
    tensors: Vec<Tensor>,
    buffers: Vec<Buffer>,
    nodes: Vec<Node>,
    ports: BTreeMap<Port, TensorId>,
    layers: Vec<LayerSummary>,
    written_readably: Vec<String>,
    /// Number of classes, if the targets are classes.
    classes: Option<usize>,
}

impl Plan {
    /// All tensors, in order of creation.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// All buffers.
    pub fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    /// All ops, in the order in which phases run them.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The indices, in [`Plan::nodes`], of the ops of `phases`, phase by phase.
    pub fn nodes_of<'a>(&'a self, phases: &'a [Phase]) -> impl Iterator<Item = usize> + 'a {
        phases.iter().flat_map(move |&phase| {
            let nodes = self.nodes.iter().enumerate();
            nodes.filter_map(move |(i, node)| node.phases.contains(&phase).then_some(i))
        })
    }

    /// Whether an op runs in that step: those of the update only if it updates.
    pub(crate) fn runs(&self, node: usize, step: &Step) -> bool {
        let of_update = [Phase::Update, Phase::ZeroGrad];
        let mut phases = self.nodes[node].phases.iter();
        step.updates() || !phases.all(|phase| of_update.contains(phase))
    }

    /// The model's layers, in forward order.
    pub fn layers(&self) -> &[LayerSummary] {
        &self.layers
    }

    /// The graph's nodes for which a fast plan has only the readable ops.
    pub fn written_readably(&self) -> &[String] {
        &self.written_readably
    }

    pub(crate) fn set_written_readably(&mut self, nodes: Vec<String>) {
        self.written_readably = nodes;
    }

    /// The tensor with id `id`, which must be this plan's.
    ///
    /// # Panics
    /// The id is that of another plan, with more tensors.
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0]
    }

    /// The tensor called `name`.
    ///
    /// # Errors
    /// No such tensor.
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

    /// The tensors of one role, in order of creation.
    pub fn tensors_of(&self, role: Role) -> impl Iterator<Item = (TensorId, &Tensor)> {
        let tensors = self.tensors.iter().enumerate();
        tensors.filter_map(move |(i, t)| (t.role == role).then_some((TensorId(i), t)))
    }

    /// Replaces each op for which `other` returns one, which must have the same bindings.
    pub(crate) fn replace_ops(&mut self, other: impl Fn(&dyn Op) -> Option<Box<dyn Op>>) {
        for node in &mut self.nodes {
            if let Some(op) = other(node.op.as_ref()) {
                node.op = op;
            }
        }
    }

    /// The total words of all buffers.
    pub fn words(&self) -> usize {
        self.buffers.iter().map(|buffer| buffer.words).sum()
    }
}
