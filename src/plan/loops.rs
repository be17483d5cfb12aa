//! Replaces ops whose loops are too long for an adapter: by another kernel, or in parts.

use super::{Buffer, BufferId, Element, Node, Plan, Role, Tensor, TensorId};
use crate::ops::{Op, Slot, Split};

impl Plan {
    /// The plan with loops of at most `longest` iterations, as far as possible: an op that exceeds
    /// them is computed by the first of its kernels that does not and that `can_run`, or is split.
    /// Tensors keep their ids; new ones between the parts of an op come after them.
    pub(crate) fn with_loops_up_to(
        mut self,
        longest: u64,
        can_run: impl Fn(&dyn Op) -> bool,
    ) -> Plan {
        let mut nodes = Vec::with_capacity(self.nodes.len());
        // A stack, with the next op on top.
        let mut left: Vec<Node> = std::mem::take(&mut self.nodes);
        left.reverse();
        while let Some(mut node) = left.pop() {
            let fits = |op: &dyn Op| op.launch().longest_loop <= longest && can_run(op);
            if node.op.launch().longest_loop <= longest {
                nodes.push(node);
                continue;
            }
            let mut variants = node.op.variants().into_iter();
            if let Some(variant) = variants.find(|variant| fits(variant.op.as_ref())) {
                node.op = variant.op;
            } else if let Some(split) = node.op.split(longest) {
                let parts = self.parts_of(&node, split);
                left.extend(parts.into_iter().rev());
                continue;
            }
            nodes.push(node);
        }
        Plan { nodes, ..self }
    }

    /// The ops that replace `node`; creates the tensors between them.
    fn parts_of(&mut self, node: &Node, split: Split) -> Vec<Node> {
        let scratch: Vec<TensorId> = (split.scratch.iter())
            .map(|&len| self.scratch_beside(node, len))
            .collect();
        let tensor = |slot: &Slot| match *slot {
            Slot::Input(i) => node.inputs[i],
            Slot::Output(i) => node.outputs[i],
            Slot::Scratch(i) => scratch[i],
        };
        let steps = split.steps.into_iter().map(|step| Node {
            phases: node.phases,
            inputs: step.inputs.iter().map(tensor).collect(),
            outputs: step.outputs.iter().map(tensor).collect(),
            op: step.op,
        });
        steps.collect()
    }

    fn scratch_beside(&mut self, node: &Node, len: usize) -> TensorId {
        let id = TensorId(self.tensors.len());
        let beside = &self.tensor(node.outputs[0]).name;
        let name = format!("{beside}.part{}", id.0);
        let buffer = BufferId(self.buffers.len());
        self.buffers.push(Buffer {
            name: name.clone(),
            words: len,
        });
        self.tensors.push(Tensor {
            name,
            shape: [len].into(),
            element: Element::F32,
            role: Role::Scratch,
            buffer,
            offset: 0,
            init: None,
            values: None,
        });
        id
    }
}
