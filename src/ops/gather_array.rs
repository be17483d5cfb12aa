//! Gathers an array of each row of a shuffled batch from the data set.

use super::case::{Case, Random};
use super::gather::{SCALE, sample_of};
use super::{
    Args, Binding, Bindings, Content, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude,
    Shader, flag,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation, Prelude::Step],
    include_str!("../../shaders/gather_array.wgsl"),
);

/// How a data set stores the values that [`GatherArray`] reads, and what it makes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// Words, floats or integers, which stay as they are.
    Words,
    /// Bytes, four to a word, which become integers.
    Bytes,
    /// Bytes, which become their 255ths.
    Scaled,
}

/// `gathered[n] = values[order[step.offset + n]]` for the step's rows; the rows after them are zero.
#[derive(Debug, Clone)]
pub struct GatherArray {
    /// N: rows of the batch.
    pub rows: usize,
    /// Elements of each row.
    pub len: usize,
    /// Samples of the data set, and length of `order`.
    pub samples: usize,
    /// The values of the data set.
    pub stored: Stored,
}

impl GatherArray {
    /// The word of the batch for a value of the data set, in a word or a byte.
    fn word(&self, value: u32) -> u32 {
        match self.stored {
            Stored::Words | Stored::Bytes => value,
            Stored::Scaled => (value as f32 * SCALE).to_bits(),
        }
    }
}

impl Op for GatherArray {
    fn name(&self) -> &'static str {
        "gather_array"
    }

    fn bindings(&self) -> Bindings {
        let values = self.samples * self.len;
        let (values, content) = match self.stored {
            Stored::Words => (values, Content::Any),
            Stored::Bytes | Stored::Scaled => (values.div_ceil(4), Content::Pixels),
        };
        Bindings::new([
            Binding::read("values", values).of(content),
            Binding::read("order", self.samples).of(Content::below(self.samples)),
            Binding::write("gathered", self.rows * self.len).of(Content::Any),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.rows * self.len).constants([
            ("ROWS", self.rows as f64),
            ("LEN", self.len as f64),
            ("BYTES", flag(self.stored != Stored::Words)),
            ("SCALED", flag(self.stored == Stored::Scaled)),
        ])
    }

    fn rows(&self) -> usize {
        self.rows.min(self.samples)
    }

    /// A batch reads and writes only its own rows.
    fn cost(&self) -> Cost {
        let values = (self.rows * self.len) as u64;
        let stored = if self.stored == Stored::Words { 4 } else { 1 };
        Cost {
            flop: values * u64::from(self.stored == Stored::Scaled),
            bytes: (4 + stored) * values + 4 * self.rows as u64,
        }
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (values, order, step) = (args.inputs[0], args.inputs[1], args.step);
        let bytes: &[u8] = bytemuck::cast_slice(values);
        for (row, batch) in args.outputs[0].chunks_mut(self.len).enumerate() {
            if row >= step.rows as usize {
                batch.fill(0);
                continue;
            }
            let first = order[step.offset as usize + row] as usize * self.len;
            for (at, word) in batch.iter_mut().enumerate() {
                *word = match self.stored {
                    Stored::Words => values[first + at],
                    Stored::Bytes | Stored::Scaled => self.word(bytes[first + at].into()),
                };
            }
        }
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let Some(sample) = sample_of(args, 1, index / self.len) else {
            return Element::Word(0);
        };
        let at = sample * self.len + index % self.len;
        Element::Word(match self.stored {
            Stored::Words => args.word(0, at),
            Stored::Bytes | Stored::Scaled => self.word(args.byte(0, at).into()),
        })
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Exact]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let all = [Stored::Words, Stored::Bytes, Stored::Scaled];
    let case = |stored| {
        let (rows, len) = (random.size(9), random.size(50));
        let samples = rows + random.below(30);
        let op = GatherArray {
            rows,
            len,
            samples,
            stored,
        };
        let values = op.bindings().inputs[0].words;
        let values = (0..values).map(|_| random.word()).collect();
        let inputs = vec![values, random.permutation(samples)];
        let mut step = random.step(rows, 1);
        step.offset = random.below(samples - step.rows as usize + 1) as u32;
        Case::of(op, inputs, random).in_step(step)
    };
    all.map(case).into()
}
