//! The arrays that an op works on, and what it costs to work on them.

use super::Step;

/// The names and lengths, in 32-bit words, of an op's inputs and outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bindings {
    /// Read only.
    pub inputs: Vec<(&'static str, usize)>,
    /// Written; an op that updates in place also reads them.
    pub outputs: Vec<(&'static str, usize)>,
}

/// The cost of an op, for profiles and benchmarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Floating-point operations.
    pub flop: u64,
    /// Bytes read and written, each element counted once.
    pub bytes: u64,
}

impl Cost {
    /// `flop` operations, with each word of `bindings` moved once.
    pub fn new(flop: usize, bindings: &Bindings) -> Self {
        let words = bindings.inputs.iter().chain(&bindings.outputs);
        Cost {
            flop: flop as u64,
            bytes: words.map(|(_, words)| 4 * *words as u64).sum(),
        }
    }
}

/// The arguments of [`Op::reference`](super::Op::reference): the words of each binding.
#[derive(Debug)]
pub struct Args<'a> {
    /// Inputs, in binding order.
    pub inputs: Vec<&'a [u32]>,
    /// Outputs, in binding order, with their previous contents.
    pub outputs: Vec<&'a mut [u32]>,
    /// The current step.
    pub step: &'a Step,
}

impl<'a> Args<'a> {
    /// Input `i` as floats.
    pub fn input(&self, i: usize) -> &'a [f32] {
        bytemuck::cast_slice(self.inputs[i])
    }

    /// The only output, as floats.
    pub fn output(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(self.outputs[0])
    }

    /// Both outputs of an op that has two, as floats.
    pub fn two_outputs(&mut self) -> (&mut [f32], &mut [f32]) {
        let (first, second) = self.outputs.split_at_mut(1);
        (
            bytemuck::cast_slice_mut(first[0]),
            bytemuck::cast_slice_mut(second[0]),
        )
    }

    /// All outputs of an op that has three, as floats.
    pub fn three_outputs(&mut self) -> [&mut [f32]; 3] {
        let (first, others) = self.outputs.split_at_mut(1);
        let (second, third) = others.split_at_mut(1);
        [&mut *first[0], &mut *second[0], &mut *third[0]].map(bytemuck::cast_slice_mut)
    }
}
