//! Gathers the rows of a shuffled batch from the byte data set and scales them.

use rayon::prelude::*;

use super::case::{Case, Random};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::{
    Args, Binding, Bindings, Content, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude,
    Shader, Step,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation, Prelude::Step],
    include_str!("../../shaders/gather.wgsl"),
);

/// Scales a byte to [0, 1]. A product, unlike a quotient, is correctly rounded on every adapter.
pub(super) const SCALE: f32 = 1.0 / 255.0;

/// `batch[n] = images[order[step.offset + n]] / 255` and its label, for the step's rows; the rows
/// after them are zero. Bytes are packed four to a word, the first in the lowest bits.
#[derive(Debug, Clone)]
pub struct Gather {
    /// N: rows of the batch.
    pub rows: usize,
    /// C·H·W: bytes of a sample.
    pub sample_len: usize,
    /// Samples of the data set, and length of `order`.
    pub samples: usize,
}

/// The sample of a row of the batch; `None` past the step's rows.
fn sample_at(order: &[u32], step: &Step, row: usize) -> Option<usize> {
    let is_real = row < step.rows as usize;
    is_real.then(|| order[step.offset as usize + row] as usize)
}

/// [`sample_at`] for single elements; input `order` is the order.
pub(super) fn sample_of(args: &Elements<'_>, order: usize, row: usize) -> Option<usize> {
    let is_real = row < args.step.rows as usize;
    is_real.then(|| args.word(order, args.step.offset as usize + row) as usize)
}

/// Pixel `at` of `row` of a batch; input 0 holds the bytes of the data set and input `order` its
/// order.
pub(super) fn pixel_of(
    args: &Elements<'_>,
    order: usize,
    row: usize,
    sample_len: usize,
    at: usize,
) -> f64 {
    let sample = sample_of(args, order, row);
    let byte = sample.map_or(0, |sample| args.byte(0, sample * sample_len + at));
    f64::from(f32::from(byte) * SCALE)
}

impl Gather {
    /// Gathers and scales the pixels of the batch.
    pub(super) fn images(&self, images: &[u32], order: &[u32], step: &Step, batch: &mut [f32]) {
        let (bytes, len): (&[u8], _) = (bytemuck::cast_slice(images), self.sample_len);
        batch
            .par_chunks_mut(len)
            .enumerate()
            .with_min_len(min_task_len(ELEMENT * len))
            .for_each(|(row, pixels)| match sample_at(order, step, row) {
                Some(sample) => {
                    for (pixel, &byte) in pixels.iter_mut().zip(&bytes[sample * len..]) {
                        *pixel = f32::from(byte) * SCALE;
                    }
                }
                None => pixels.fill(0.0),
            });
    }
}

/// Gathers the labels of the batch.
pub(super) fn gather_labels(labels: &[u32], order: &[u32], step: &Step, batch: &mut [u32]) {
    let bytes: &[u8] = bytemuck::cast_slice(labels);
    for (row, label) in batch.iter_mut().enumerate() {
        *label = sample_at(order, step, row).map_or(0, |sample| u32::from(bytes[sample]));
    }
}

impl Op for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("images", (self.samples * self.sample_len).div_ceil(4))
                .of(Content::Pixels),
            Binding::read("labels", self.samples.div_ceil(4)).of(Content::Any),
            Binding::read("order", self.samples).of(Content::below(self.samples)),
            Binding::write("batch_images", self.rows * self.sample_len),
            Binding::write("batch_labels", self.rows).of(Content::Any),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.rows * self.sample_len.div_ceil(4)).constants([
            ("ROWS", self.rows as f64),
            ("SAMPLE_LEN", self.sample_len as f64),
        ])
    }

    fn rows(&self) -> usize {
        self.rows.min(self.samples)
    }

    /// A batch reads and writes only its own rows.
    fn cost(&self) -> Cost {
        let pixels = (self.rows * self.sample_len) as u64;
        Cost {
            flop: pixels,
            bytes: 5 * pixels + 9 * self.rows as u64,
        }
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (order, step) = (args.inputs[2], args.step);
        gather_labels(args.inputs[1], order, step, args.outputs[1]);
        self.images(args.inputs[0], order, step, args.output());
    }

    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        let row = if output == 0 {
            index / self.sample_len
        } else {
            index
        };
        let Some(sample) = sample_of(args, 2, row) else {
            return Element::Word(0);
        };
        if output == 1 {
            return Element::Word(args.byte(1, sample).into());
        }
        let at = sample * self.sample_len + index % self.sample_len;
        Element::Word((f32::from(args.byte(0, at)) * SCALE).to_bits())
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Exact; 2]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let (rows, sample_len) = (random.size(9), random.size(50));
    let samples = rows + random.below(30);
    let op = Gather {
        rows,
        sample_len,
        samples,
    };
    let bindings = op.bindings().inputs;
    let mut bytes =
        |i: usize| -> Vec<u32> { (0..bindings[i].words).map(|_| random.word()).collect() };
    let inputs = vec![bytes(0), bytes(1), random.permutation(samples)];
    let mut step = random.step(rows, 1);
    step.offset = random.below(samples - step.rows as usize + 1) as u32;
    vec![Case::of(op, inputs, random).in_step(step)]
}
