//! The state of lowering a graph to the ops of a plan.

use std::collections::HashSet;

use super::differentiate::Gradients;
use super::{Flatten, Graph, NodeId, Source, Value, ValueId};
use crate::error::{Error, Result};
use crate::ops::Op;
use crate::plan::{Builder, Phase, TensorId};
use crate::shape::Shape;

/// The state of lowering a graph: the plan so far, and the tensors of the values and gradients.
#[derive(Debug)]
pub struct Lowering<'g> {
    graph: &'g Graph,
    pub(super) plan: Builder,
    tensors: Vec<Option<TensorId>>,
    pub(super) gradients: Gradients,
    /// Outputs of ReLU whose gradient is already masked: zero where ReLU was.
    masked: HashSet<ValueId>,
}

impl<'g> Lowering<'g> {
    /// A plan with all parameters and states in the order in which they were recorded, and no op:
    /// so the arena of parameters is the same however the graph is lowered.
    ///
    /// # Errors
    /// A size exceeds the kernels' indices.
    pub(crate) fn new(graph: &'g Graph) -> Result<Self> {
        let mut lowering = Lowering {
            graph,
            plan: match graph.purpose() {
                Some(training) => Builder::new(training.accumulate),
                None => Builder::for_inference(),
            },
            tensors: vec![None; graph.values.len()],
            gradients: Gradients::of(graph),
            masked: HashSet::new(),
        };
        for id in graph.values() {
            let Value {
                name,
                shape,
                source,
            } = graph.value(id);
            let (scope, own) = name.rsplit_once('.').unwrap_or(("", name));
            lowering.plan.set_scope(scope);
            lowering.tensors[id.0] = match *source {
                Source::Parameter(init) => {
                    Some(lowering.plan.parameter(own, shape.clone(), init)?)
                }
                Source::State(element, init) => {
                    Some(lowering.plan.state(own, shape.clone(), element, init)?)
                }
                Source::Batch | Source::Node(_) => None,
            };
        }
        Ok(lowering)
    }

    /// The graph to lower.
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// The plan under construction.
    pub fn plan(&mut self) -> &mut Builder {
        &mut self.plan
    }

    /// Whether the plan trains the model, or only runs inference.
    pub fn trains(&self) -> bool {
        self.graph.purpose().is_some()
    }

    pub(crate) fn finish(self) -> Builder {
        self.plan
    }

    /// Names later tensors after `node`.
    pub fn enter(&mut self, node: NodeId) {
        self.plan.set_scope(&self.graph.node(node).name);
    }

    /// The tensor that holds a value.
    ///
    /// # Errors
    /// The value is not computed yet.
    pub fn tensor(&self, value: ValueId) -> Result<TensorId> {
        self.tensors[value.0].ok_or_else(|| {
            let name = &self.graph.value(value).name;
            Error::value("model", format!("{name} before it is read"), "after")
        })
    }

    /// Sets the tensor that holds a value.
    pub fn set_tensor(&mut self, value: ValueId, tensor: TensorId) {
        self.tensors[value.0] = Some(tensor);
    }

    /// Creates the tensor `output` for a value.
    ///
    /// # Errors
    /// A size exceeds the kernels' indices.
    pub fn make_output(&mut self, value: ValueId) -> Result<TensorId> {
        let shape = self.graph.value(value).shape.clone();
        let tensor = self.plan.activation("output", shape)?;
        self.set_tensor(value, tensor);
        Ok(tensor)
    }

    /// Appends an op that runs in training and in inference.
    ///
    /// # Errors
    /// As [`Builder::op`].
    pub fn forward_op(
        &mut self,
        op: impl Op,
        inputs: &[TensorId],
        outputs: &[TensorId],
    ) -> Result<()> {
        self.plan
            .op_of(Phase::FORWARD, Box::new(op), inputs, outputs)
    }

    /// Appends an op of the forward pass of training alone.
    ///
    /// # Errors
    /// As [`Builder::op`].
    pub fn training_op(
        &mut self,
        op: impl Op,
        inputs: &[TensorId],
        outputs: &[TensorId],
    ) -> Result<()> {
        if !self.trains() {
            return Ok(());
        }
        self.plan.op(Phase::Forward, op, inputs, outputs)
    }

    /// Appends an op of inference alone.
    ///
    /// # Errors
    /// As [`Builder::op`].
    pub fn inference_op(
        &mut self,
        op: impl Op,
        inputs: &[TensorId],
        outputs: &[TensorId],
    ) -> Result<()> {
        self.plan.op(Phase::Infer, op, inputs, outputs)
    }

    /// Appends an op of the backward pass.
    ///
    /// # Errors
    /// As [`Builder::op`].
    pub fn backward_op(
        &mut self,
        op: impl Op,
        inputs: &[TensorId],
        outputs: &[TensorId],
    ) -> Result<()> {
        self.plan.op(Phase::Backward, op, inputs, outputs)
    }

    /// The ReLU output that `value` is or flattens, if `value` is its only use: an op that computes
    /// the gradient of `value` may then apply ReLU's mask itself, and call
    /// [`Lowering::set_masked`].
    pub(crate) fn rectified(&self, value: ValueId) -> Option<ValueId> {
        let writer = self.graph.writer(value)?;
        self.graph.only_reader(value)?;
        if self.graph.function::<Flatten>(writer).is_some() {
            return self.rectified(self.graph.node(writer).inputs[0]);
        }
        self.graph.function::<super::Relu>(writer).map(|_| value)
    }

    /// Marks the gradient of a ReLU's output as masked: zero where ReLU was.
    pub(crate) fn set_masked(&mut self, rectified: ValueId) {
        self.masked.insert(rectified);
    }

    /// Whether the gradient of a ReLU's output is masked: zero where ReLU was.
    pub(crate) fn is_masked(&self, rectified: ValueId) -> bool {
        self.masked.contains(&rectified)
    }
}

/// A node during lowering.
#[derive(Debug)]
pub struct Site<'a, 'g> {
    lowering: &'a mut Lowering<'g>,
    node: NodeId,
}

impl<'a, 'g> Site<'a, 'g> {
    /// Enters `node`, after which later tensors are named.
    pub(crate) fn new(lowering: &'a mut Lowering<'g>, node: NodeId) -> Self {
        lowering.enter(node);
        Site { lowering, node }
    }

    pub(super) fn lowering(&mut self) -> &mut Lowering<'g> {
        self.lowering
    }

    /// Its id in the graph.
    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    /// Whether the plan trains the model, or only runs inference.
    pub fn trains(&self) -> bool {
        self.lowering.trains()
    }

    /// The plan, for tensors between a node's ops.
    pub fn plan(&mut self) -> &mut Builder {
        self.lowering.plan()
    }

    fn value(&self, input: usize) -> ValueId {
        self.lowering.graph.node(self.node).inputs[input]
    }

    fn output_value(&self) -> ValueId {
        self.lowering.graph.node(self.node).output
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.lowering.graph.node(self.node).inputs.len()
    }

    /// The shape of an input.
    pub fn shape(&self, input: usize) -> &'g Shape {
        &self.lowering.graph.value(self.value(input)).shape
    }

    /// The shape of the output.
    pub fn output_shape(&self) -> &'g Shape {
        &self.lowering.graph.value(self.output_value()).shape
    }

    /// The tensor of an input.
    ///
    /// # Errors
    /// None, unless the graph is invalid.
    pub fn input(&self, input: usize) -> Result<TensorId> {
        self.lowering.tensor(self.value(input))
    }

    /// The tensor of the output, which `forward` created.
    ///
    /// # Errors
    /// `forward` created none.
    pub fn output(&self) -> Result<TensorId> {
        self.lowering.tensor(self.output_value())
    }

    /// Creates the tensor of the output.
    ///
    /// # Errors
    /// A size exceeds the kernels' indices.
    pub fn make_output(&mut self) -> Result<TensorId> {
        self.lowering.make_output(self.output_value())
    }

    /// Sets the tensor of the output: a view of an input's.
    pub fn set_output(&mut self, tensor: TensorId) {
        self.lowering.set_tensor(self.output_value(), tensor);
    }

    /// Appends an op that runs in training and in inference.
    ///
    /// # Errors
    /// As [`Builder::op`].
    pub fn forward(
        &mut self,
        op: impl Op,
        inputs: &[TensorId],
        outputs: &[TensorId],
    ) -> Result<()> {
        self.lowering.forward_op(op, inputs, outputs)
    }

    /// Appends an op of the forward pass of training alone.
    ///
    /// # Errors
    /// As [`Builder::op`].
    pub fn train(&mut self, op: impl Op, inputs: &[TensorId], outputs: &[TensorId]) -> Result<()> {
        self.lowering.training_op(op, inputs, outputs)
    }

    /// Appends an op of inference alone.
    ///
    /// # Errors
    /// As [`Builder::op`].
    pub fn infer(&mut self, op: impl Op, inputs: &[TensorId], outputs: &[TensorId]) -> Result<()> {
        self.lowering.inference_op(op, inputs, outputs)
    }

    /// Appends an op of the backward pass.
    ///
    /// # Errors
    /// As [`Builder::op`].
    pub fn backward(
        &mut self,
        op: impl Op,
        inputs: &[TensorId],
        outputs: &[TensorId],
    ) -> Result<()> {
        self.lowering.backward_op(op, inputs, outputs)
    }

    /// The loss's gradient with respect to the output.
    ///
    /// # Errors
    /// As [`super::Function::forward`].
    pub fn d_output(&mut self) -> Result<TensorId> {
        self.lowering.gradient(self.output_value())
    }

    /// Creates the tensor of this node's contribution to an input's gradient; `None` if none is
    /// needed.
    ///
    /// # Errors
    /// A size exceeds the kernels' indices.
    pub fn d_input(&mut self, input: usize) -> Result<Option<TensorId>> {
        if !self.lowering.has_gradient(self.value(input)) {
            return Ok(None);
        }
        let name = match input {
            0 => "d_input".to_owned(),
            other => format!("d_input{}", other + 1),
        };
        let shape = self.shape(input).clone();
        let tensor = self.plan().scratch(&name, shape)?;
        self.give(input, tensor);
        Ok(Some(tensor))
    }

    /// Sets `tensor` as this node's contribution to an input's gradient, if one is needed.
    pub fn give(&mut self, input: usize, tensor: TensorId) {
        self.lowering.give_gradient(self.value(input), tensor);
    }

    /// The tensor for the gradient of an input that is a parameter, and whether ops add to it.
    ///
    /// # Errors
    /// The input is not a parameter.
    pub fn d_parameter(&mut self, input: usize) -> Result<(TensorId, bool)> {
        self.lowering.parameter_gradient(self.value(input))
    }

    /// Whether the gradient of the output, of a ReLU, is already masked.
    pub(super) fn is_masked(&self) -> bool {
        self.lowering.is_masked(self.output_value())
    }
}
