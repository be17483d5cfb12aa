//! An op as several ops with shorter loops.

use crate::ops::Op;

/// The ops that replace one op: some compute partial results, others add them.
#[derive(Debug)]
pub struct Split {
    /// The lengths of the scratch arrays between them.
    pub scratch: Vec<usize>,
    /// The ops, in order.
    pub steps: Vec<SplitStep>,
}

/// One op of a [`Split`].
#[derive(Debug)]
pub struct SplitStep {
    /// The op.
    pub op: Box<dyn Op>,
    /// Its inputs.
    pub inputs: Vec<Slot>,
    /// Its outputs.
    pub outputs: Vec<Slot>,
}

/// An input or output of an op of a [`Split`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Input `i` of the op that is split.
    Input(usize),
    /// Output `i` of the op that is split.
    Output(usize),
    /// Scratch array `i`.
    Scratch(usize),
}

impl Split {
    /// An empty split.
    pub(in crate::ops) fn new() -> Self {
        Split {
            scratch: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Adds a scratch array.
    pub(in crate::ops) fn scratch(&mut self, len: usize) -> Slot {
        self.scratch.push(len);
        Slot::Scratch(self.scratch.len() - 1)
    }

    /// Appends an op.
    pub(in crate::ops) fn step(
        &mut self,
        op: impl Op + 'static,
        inputs: &[Slot],
        outputs: &[Slot],
    ) {
        self.steps.push(SplitStep {
            op: Box::new(op),
            inputs: inputs.to_vec(),
            outputs: outputs.to_vec(),
        });
    }
}
