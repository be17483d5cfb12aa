//! The arrays that an op works on, and what it costs to work on them.

use std::fmt;
use std::sync::Arc;

use crate::ops::Step;

/// How an op uses an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It reads it.
    Read,
    /// It writes every element, and reads none.
    Write,
    /// It reads or keeps some of the previous contents, and writes the rest.
    Update,
}

/// What the words of an array hold. Checks fill inputs by it, and outputs whose previous contents
/// matter.
#[derive(Clone)]
pub enum Content {
    /// Floats for which few distinct values suffice: small integers, whose sums are exact.
    Floats,
    /// Floats above zero: squares, variances.
    Positive,
    /// Floats that need many distinct values: the inputs of maxima.
    Spread,
    /// Pixels, four bytes to a word.
    Pixels,
    /// Any words: what is not read, or what the op does not interpret.
    Any,
    /// Words computed from their index and a random word: indices, labels.
    Words(Arc<dyn Fn(usize, u32) -> u32 + Send + Sync>),
}

impl Content {
    /// Words that `word` computes from an index and a random word.
    pub fn words(word: impl Fn(usize, u32) -> u32 + Send + Sync + 'static) -> Self {
        Content::Words(Arc::new(word))
    }

    /// Numbers below `end`.
    pub fn below(end: usize) -> Self {
        Content::words(move |_, random| (random as usize % end) as u32)
    }

    /// Labels below `classes`, four bytes to a word.
    pub fn labels(classes: usize) -> Self {
        Content::words(move |_, random| {
            let label = |byte: u8| (usize::from(byte) % classes) as u8;
            u32::from_le_bytes(random.to_le_bytes().map(label))
        })
    }

    /// Whether they are floats.
    pub fn is_floats(&self) -> bool {
        matches!(self, Content::Floats | Content::Positive | Content::Spread)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Content::Floats => "Floats",
            Content::Positive => "Positive",
            Content::Spread => "Spread",
            Content::Pixels => "Pixels",
            Content::Any => "Any",
            Content::Words(_) => "Words",
        })
    }
}

/// One array of an op: floats, unless [`Binding::of`] says otherwise.
#[derive(Debug, Clone)]
pub struct Binding {
    /// Its name in errors and tables.
    pub name: &'static str,
    /// Its length in 32-bit words.
    pub words: usize,
    /// What it holds.
    pub content: Content,
    /// How the op uses it.
    pub access: Access,
}

impl Binding {
    fn new(name: &'static str, words: usize, access: Access) -> Self {
        Binding {
            name,
            words,
            content: Content::Floats,
            access,
        }
    }

    /// An input.
    pub fn read(name: &'static str, words: usize) -> Self {
        Binding::new(name, words, Access::Read)
    }

    /// An output whose previous contents do not matter.
    pub fn write(name: &'static str, words: usize) -> Self {
        Binding::new(name, words, Access::Write)
    }

    /// An output whose previous contents matter.
    pub fn update(name: &'static str, words: usize) -> Self {
        Binding::new(name, words, Access::Update)
    }

    /// An output that is added to if `accumulate`, and overwritten otherwise.
    pub fn sum(name: &'static str, words: usize, accumulate: bool) -> Self {
        match accumulate {
            true => Binding::update(name, words),
            false => Binding::write(name, words),
        }
    }

    /// The binding with other content.
    #[must_use]
    pub fn of(self, content: Content) -> Self {
        Binding { content, ..self }
    }
}

/// An op's arrays, in the order of their binding numbers.
#[derive(Debug, Clone)]
pub struct Bindings {
    /// Read only.
    pub inputs: Vec<Binding>,
    /// Written, or updated.
    pub outputs: Vec<Binding>,
}

impl Bindings {
    /// Those bindings: inputs come before outputs.
    pub fn new<const N: usize>(all: [Binding; N]) -> Self {
        let (inputs, outputs) = all
            .into_iter()
            .partition(|binding| binding.access == Access::Read);
        Bindings { inputs, outputs }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Binding> {
        self.inputs.iter().chain(&self.outputs)
    }
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
        let words = bindings.iter().map(|binding| binding.words as u64);
        Cost {
            flop: flop as u64,
            bytes: 4 * words.sum::<u64>(),
        }
    }
}

/// The arguments of [`Op::reference`](crate::ops::Op::reference): the words of each binding.
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
