//! Gathers the classes of a batch as probabilities, those of two rows mixed.

use super::case::{Case, Random};
use super::gather::sample_of;
use super::{
    Args, Binding, Bindings, Content, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude,
    Shader, Step, nested_loops,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation, Prelude::Step],
    include_str!("../../shaders/mix_labels.wgsl"),
);

/// `batch[n] = mix/256·onehot(label of n) + (1 − mix/256)·onehot(label of the next row)` for the
/// step's rows, as [`Augment`](super::Augment) mixes their images (Zhang et al., 2018,
/// arXiv:1710.09412); the rows after them are zero. Exact: the shares are 256ths.
#[derive(Debug, Clone)]
pub struct MixLabels {
    /// N.
    pub rows: usize,
    /// K.
    pub classes: usize,
    /// Samples of the data set, and length of `order`.
    pub samples: usize,
}

impl MixLabels {
    /// The probability of a class of a row.
    fn share(step: &Step, [label, other]: [u32; 2], class: u32) -> f32 {
        let of = |share: u32, label: u32| if label == class { share } else { 0 };
        (of(step.mix, label) + of(256 - step.mix, other)) as f32 / 256.0
    }

    fn next(step: &Step, row: usize) -> usize {
        (row + 1) % step.rows as usize
    }
}

impl Op for MixLabels {
    fn name(&self) -> &'static str {
        "mix_labels"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("labels", self.samples.div_ceil(4)).of(Content::labels(self.classes)),
            Binding::read("order", self.samples).of(Content::below(self.samples)),
            Binding::write("batch", self.rows * self.classes),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.rows)
            .constants([("ROWS", self.rows as f64), ("CLASSES", self.classes as f64)])
            .longest_loop(nested_loops(&[self.classes]))
    }

    fn rows(&self) -> usize {
        self.rows.min(self.samples)
    }

    fn cost(&self) -> Cost {
        Cost {
            flop: (self.rows * self.classes) as u64,
            bytes: (4 * self.rows * self.classes + 10 * self.rows) as u64,
        }
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (order, step) = (args.inputs[1], args.step);
        let bytes: &[u8] = bytemuck::cast_slice(args.inputs[0]);
        let label = |row: usize| u32::from(bytes[order[step.offset as usize + row] as usize]);
        let (classes, real) = (self.classes, step.rows as usize);
        for (row, shares) in args.output().chunks_mut(classes).enumerate() {
            if row >= real {
                shares.fill(0.0);
                continue;
            }
            let labels = [label(row), label(MixLabels::next(step, row))];
            for (class, share) in shares.iter_mut().enumerate() {
                *share = MixLabels::share(step, labels, class as u32);
            }
        }
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let row = index / self.classes;
        let label = |row| sample_of(args, 1, row).map(|sample| u32::from(args.byte(0, sample)));
        let Some(own) = label(row) else {
            return Element::Word(0);
        };
        let other = label(MixLabels::next(args.step, row)).unwrap_or(own);
        let share = MixLabels::share(args.step, [own, other], (index % self.classes) as u32);
        Element::Word(share.to_bits())
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Exact]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let (rows, classes) = (random.size(9), random.size(11));
    let samples = rows + random.below(9);
    let op = MixLabels {
        rows,
        classes,
        samples,
    };
    let mut four = || u32::from_le_bytes([(); 4].map(|()| random.below(classes) as u8));
    let labels = (0..samples.div_ceil(4)).map(|_| four()).collect();
    let inputs = vec![labels, random.permutation(samples)];
    let mut step = random.step(rows, 1);
    step.offset = random.below(samples - step.rows as usize + 1) as u32;
    let step = step.augmenting(random.below(257) as u32);
    vec![Case::of(op, inputs, random).in_step(step)]
}
