//! An op in several ops with shorter loops.

use super::Op;

/// What one op computes, computed by several: partial results, which others add.
#[derive(Debug)]
pub struct Split {
    /// The lengths of the arrays between them.
    pub scratch: Vec<usize>,
    /// The ops, in order.
    pub steps: Vec<SplitStep>,
}

/// One op of a [`Split`].
#[derive(Debug)]
pub struct SplitStep {
    /// The op.
    pub op: Box<dyn Op>,
    /// What it reads.
    pub inputs: Vec<Slot>,
    /// What it writes.
    pub outputs: Vec<Slot>,
}

/// What an op of a [`Split`] reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The input of that number of the op that is split.
    Input(usize),
    /// The output of that number.
    Output(usize),
    /// The scratch array of that number.
    Scratch(usize),
}

impl Split {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Split {
            scratch: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Another scratch array.
    pub(super) fn scratch(&mut self, len: usize) -> Slot {
        self.scratch.push(len);
        Slot::Scratch(self.scratch.len() - 1)
    }

    /// Appends an op.
    pub(super) fn step(&mut self, op: impl Op + 'static, inputs: &[Slot], outputs: &[Slot]) {
        self.steps.push(SplitStep {
            op: Box::new(op),
            inputs: inputs.to_vec(),
            outputs: outputs.to_vec(),
        });
    }
}
