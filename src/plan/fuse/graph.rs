//! A plan while passes rewrite it.

use crate::error::Result;
use crate::ops::Op;
use crate::plan::{Buffer, BufferId, Element, Node, Phase, Plan, Role, Tensor, TensorId};
use crate::shape::Shape;

/// The ops of a plan, who writes what and who reads it.
#[derive(Debug)]
pub(super) struct Graph {
    plan: Plan,
    nodes: Vec<Option<Node>>,
}

impl Graph {
    pub fn new(mut plan: Plan) -> Self {
        let nodes = std::mem::take(&mut plan.nodes);
        let nodes = nodes.into_iter().map(Some).collect();
        Graph { plan, nodes }
    }

    pub fn finish(self) -> Plan {
        let nodes = self.nodes.into_iter().flatten().collect();
        Plan { nodes, ..self.plan }
    }

    /// The places of all ops.
    pub fn places(&self) -> std::ops::Range<usize> {
        0..self.nodes.len()
    }

    /// The op at that place, if it is a `T` of that phase.
    pub fn op<T: Op>(&self, place: usize, phase: Phase) -> Option<&T> {
        let node = self.nodes[place]
            .as_ref()
            .filter(|node| node.phase == phase)?;
        let op: &dyn std::any::Any = node.op.as_ref();
        op.downcast_ref()
    }

    /// What the op at that place reads.
    pub fn inputs(&self, place: usize) -> Vec<TensorId> {
        self.nodes[place]
            .as_ref()
            .map_or_else(Vec::new, |node| node.inputs.clone())
    }

    /// What the op at that place writes.
    pub fn outputs(&self, place: usize) -> Vec<TensorId> {
        self.nodes[place]
            .as_ref()
            .map_or_else(Vec::new, |node| node.outputs.clone())
    }

    /// Whether two tensors are the same memory, one perhaps a view of the other.
    pub fn same(&self, a: TensorId, b: TensorId) -> bool {
        let at = |id| {
            let tensor: &Tensor = self.plan.tensor(id);
            (tensor.buffer, tensor.offset, tensor.words())
        };
        at(a) == at(b)
    }

    /// The places of the ops that read a tensor.
    pub fn readers(&self, tensor: TensorId) -> Vec<usize> {
        self.places()
            .filter(|&place| self.inputs(place).iter().any(|&id| self.same(id, tensor)))
            .collect()
    }

    /// The only reader of a tensor, if there is just one and it is a `T` of that phase.
    pub fn only_reader<T: Op>(&self, tensor: TensorId, phase: Phase) -> Option<usize> {
        match *self.readers(tensor).as_slice() {
            [place] if self.op::<T>(place, phase).is_some() => Some(place),
            _ => None,
        }
    }

    /// The place of the op that writes a tensor.
    pub fn writer(&self, tensor: TensorId) -> Option<usize> {
        self.places()
            .find(|&place| self.outputs(place).iter().any(|&id| self.same(id, tensor)))
    }

    pub fn tensor(&self, id: TensorId) -> &Tensor {
        self.plan.tensor(id)
    }

    /// A new tensor that lives within a step.
    pub fn scratch(&mut self, name: String, shape: impl Into<Shape>) -> TensorId {
        let buffer = BufferId(self.plan.buffers.len());
        let tensor = Tensor {
            name: name.clone(),
            shape: shape.into(),
            element: Element::F32,
            role: Role::Scratch,
            buffer,
            offset: 0,
            init: None,
        };
        self.plan.buffers.push(Buffer {
            name,
            words: tensor.words(),
        });
        self.plan.tensors.push(tensor);
        TensorId(self.plan.tensors.len() - 1)
    }

    /// Puts an op in the place of another.
    ///
    /// # Errors
    /// Tensors whose lengths are not those that the op asks for.
    pub fn replace(
        &mut self,
        place: usize,
        op: impl Op,
        inputs: &[TensorId],
        outputs: &[TensorId],
    ) -> Result<()> {
        self.replace_boxed(place, Box::new(op), inputs, outputs)
    }

    /// As [`Graph::replace`].
    pub fn replace_boxed(
        &mut self,
        place: usize,
        op: Box<dyn Op>,
        inputs: &[TensorId],
        outputs: &[TensorId],
    ) -> Result<()> {
        let Some(phase) = self.nodes[place].as_ref().map(|node| node.phase) else {
            return Ok(());
        };
        self.plan
            .check_op(op.name(), op.as_ref(), inputs, outputs)?;
        let (inputs, outputs) = (inputs.to_vec(), outputs.to_vec());
        self.nodes[place] = Some(Node {
            phase,
            op,
            inputs,
            outputs,
        });
        Ok(())
    }

    /// Takes the op at that place out.
    pub fn remove(&mut self, place: usize) {
        self.nodes[place] = None;
    }
}
