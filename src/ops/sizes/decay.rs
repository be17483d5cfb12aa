//! Which elements of an arena an optimizer's weight decay shrinks.

use crate::ops::case::{Case, Random};
use crate::ops::{Args, Binding, Bindings, Content, Elements, Op};

/// Elements of an arena that a word of the input `decayed` stands for: the alignment of the arena's
/// tensors, so that none shares a block.
pub const DECAY_BLOCK: usize = 64;

/// The input of an optimizer for an arena of `len` elements: for each block of [`DECAY_BLOCK`], 1 if
/// its elements decay, else 0.
fn decayed(len: usize) -> Binding {
    let marks = Content::words(|_, random| random & 1);
    Binding::read("decayed", len.div_ceil(DECAY_BLOCK)).of(marks)
}

/// The bindings of an optimizer: the gradients, the marks of the blocks that decay if it is
/// `selective`, and what it updates.
pub(in crate::ops) fn optimizer_bindings(
    len: usize,
    selective: bool,
    updated: impl IntoIterator<Item = Binding>,
) -> Bindings {
    let mut inputs = vec![Binding::read("gradients", len)];
    if selective {
        inputs.push(decayed(len));
    }
    Bindings {
        inputs,
        outputs: updated.into_iter().collect(),
    }
}

/// A case of an optimizer.
pub(in crate::ops) fn optimizer_case(op: impl Op + 'static, random: &mut Random) -> Case {
    let bindings = op.bindings().inputs.into_iter().enumerate();
    let inputs = bindings.map(|(at, binding)| match at {
        0 => random.floats(binding.words),
        _ => random.indices(binding.words, 2),
    });
    let inputs = inputs.collect();
    Case::of(op, inputs, random)
}

/// The weight decay of elements: of those that an input marks, or of all.
pub(in crate::ops) struct Decay<'a> {
    factor: f64,
    marks: Option<&'a [u32]>,
}

impl<'a> Decay<'a> {
    /// `factor` for all elements, or if `selective` for those that input 1 marks.
    pub fn new(args: &Args<'a>, factor: f32, selective: bool) -> Self {
        Decay {
            factor: factor.into(),
            marks: selective.then(|| args.inputs[1]),
        }
    }

    /// That of element `index`.
    pub fn of(&self, index: usize) -> f64 {
        match self.marks {
            Some(marks) if marks[index / DECAY_BLOCK] == 0 => 0.0,
            _ => self.factor,
        }
    }
}

/// The weight decay of element `index`: see [`Decay::new`].
pub(in crate::ops) fn decay_of(
    args: &Elements<'_>,
    factor: f32,
    selective: bool,
    index: usize,
) -> f64 {
    match selective && args.word(1, index / DECAY_BLOCK) == 0 {
        true => 0.0,
        false => factor.into(),
    }
}
