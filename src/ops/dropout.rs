//! Dropout: elements set to zero at random, the others scaled.

use rayon::prelude::*;

use super::case::{Case, Random, Read};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::reference::philox::{ROUNDS, philox};
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude, Shader,
    Step, Sum, nested_loops,
};

pub(super) const SHADER: Shader = Shader::new(
    &[
        Prelude::Invocation,
        Prelude::Step,
        Prelude::Loads,
        Prelude::Philox,
    ],
    include_str!("../../shaders/dropout.wgsl"),
);

/// `output = input / (1 − probability)` where an element is kept, else 0. In the same step, the
/// same op computes the input's gradient from the output's.
///
/// Group i of `area` consecutive elements is dropped if word i mod 4 of Philox4x32-10 with the run's
/// seed as key and the counter (i / 4, stream, step number, epoch) is below `probability`·2³²: no
/// mask is stored, and every adapter and the reference draw the same.
#[derive(Debug, Clone)]
pub struct Dropout {
    /// N.
    pub rows: usize,
    /// Elements of a row.
    pub len: usize,
    /// The probability that an element is dropped, in [0, 1).
    pub probability: f32,
    /// Consecutive elements that are dropped together: 1, or a plane's; divides `len`.
    pub area: usize,
    /// A number unique to the layer, so that no two layers draw the same.
    pub stream: u32,
}

/// One product, to whose rounding and the reference's that of `1 / (1 − p)` comes. That factor may
/// be large: where the other one is subnormal, much is lost if it is flushed.
const BOUND: ErrorBound = ErrorBound::Products { terms: 1 };

impl Dropout {
    fn elements(&self) -> usize {
        self.rows * self.len
    }

    /// Random words below it drop an element.
    fn threshold(&self) -> u32 {
        (f64::from(self.probability) * 2f64.powi(32)).round() as u32
    }

    /// The divisor of a kept element.
    fn kept_share(&self) -> f64 {
        1.0 - f64::from(self.probability)
    }

    /// Whether an element is kept.
    fn keeps(&self, step: &Step, index: usize) -> bool {
        let group = index / self.area;
        self.kept(step, group / 4)[group % 4]
    }

    /// Whether each of four groups is kept.
    fn kept(&self, step: &Step, four: usize) -> [bool; 4] {
        let counter = [four as u32, self.stream, step.number, step.epoch];
        philox(step.seed, counter).map(|word| word >= self.threshold())
    }
}

impl Op for Dropout {
    fn name(&self) -> &'static str {
        match self.area {
            1 if self.elements().is_multiple_of(4) => "dropout_4",
            1 => "dropout",
            _ => "dropout_planes",
        }
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("input", self.elements()),
            Binding::write("output", self.elements()),
        ])
    }

    fn launch(&self) -> Launch {
        let invocations = match self.area {
            1 => self.elements().div_ceil(4),
            _ => self.elements(),
        };
        Launch::new(SHADER, invocations)
            .constants([
                ("LEN", self.elements() as f64),
                ("THRESHOLD", f64::from(self.threshold())),
                ("SCALE", 1.0 / self.kept_share()),
                ("STREAM", f64::from(self.stream)),
                ("AREA", self.area as f64),
            ])
            .longest_loop(nested_loops(&[ROUNDS]))
    }

    fn cost(&self) -> Cost {
        Cost::new(self.elements(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (step, share) = (args.step, self.kept_share());
        let four = 4 * self.area;
        let input = args.input(0).par_chunks(four);
        let fours = args.output().par_chunks_mut(four).zip(input).enumerate();
        let fours = fours.with_min_len(min_task_len(four * ELEMENT));
        fours.for_each(|(number, (output, input))| {
            let kept = self.kept(step, number);
            for (at, (output, &value)) in output.iter_mut().zip(input).enumerate() {
                *output = match kept[at / self.area] {
                    true => (f64::from(value) / share) as f32,
                    false => 0.0,
                };
            }
        });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        if !self.keeps(args.step, index) {
            return Element::Word(0);
        }
        let mut product = Sum::default();
        product.add_product(args.float(0, index), 1.0 / self.kept_share());
        product.within(&BOUND)
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![BOUND]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let op = Dropout {
        rows: random.size(6),
        len: random.size(90),
        probability: [0.0, 0.1, 0.5, 0.9][random.below(4)],
        area: 1,
        stream: random.below(5) as u32,
    };
    let [epoch, number, low, high] = [(); 4].map(|()| random.word());
    let step = Step::new(0, 1, 0, 0.0625).at(epoch, number);
    let step = step.seed(u64::from(high) << 32 | u64::from(low));
    let area = random.size(9);
    let planes = Dropout {
        len: area * random.size(10),
        area,
        ..op
    };
    let mut case = |op: Dropout| {
        let case = Case::of_floats(op.clone(), random).in_step(step);
        case.with_gradient(0, op, &[Read::OutputGradient])
    };
    vec![case(op), case(planes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: usize = 40_000;

    fn op(probability: f32, stream: u32) -> Dropout {
        Dropout {
            area: 1,
            rows: 4,
            len: LEN / 4,
            probability,
            stream,
        }
    }

    /// Whether each element is kept.
    fn mask(op: &Dropout, step: &Step) -> Vec<bool> {
        (0..LEN / 4).flat_map(|four| op.kept(step, four)).collect()
    }

    /// A count of LEN draws has a standard deviation of √(LEN·p·(1 − p)); the test allows five.
    #[test]
    fn as_many_are_dropped_as_asked_for() {
        let step = Step::new(0, 1, 0, 0.0).at(3, 1000).seed(7);
        for probability in [0.0f32, 0.001, 0.1, 0.5, 0.75, 0.999] {
            let dropped = mask(&op(probability, 0), &step).into_iter();
            let dropped = dropped.filter(|kept| !kept).count() as f64;
            let p = f64::from(probability);
            let expected = p * LEN as f64;
            let allowed = 5.0 * (expected * (1.0 - p)).sqrt();
            assert!((dropped - expected).abs() <= allowed, "{p}: {dropped}");
        }
    }

    /// Two masks of p = ½ agree on half of their elements, whichever of the five inputs differs;
    /// five deviations as above.
    #[test]
    fn other_seeds_steps_epochs_and_streams_draw_other_masks() {
        let step = Step::new(0, 1, 0, 0.0);
        let first = mask(&op(0.5, 0), &step);
        for (other, stream) in [
            (step.seed(1), 0),
            (step.seed(1 << 32), 0),
            (step.at(1, 0), 0),
            (step.at(0, 1), 0),
            (step, 1),
        ] {
            let other = mask(&op(0.5, stream), &other);
            let agree = first.iter().zip(&other).filter(|(a, b)| a == b).count();
            let off = (agree as f64 - LEN as f64 / 2.0).abs();
            assert!(off <= 2.5 * (LEN as f64).sqrt(), "{agree} of {LEN}");
        }
    }

    /// Rows, slot and offset of a step do not change the draw.
    #[test]
    fn a_mask_depends_on_nothing_else() {
        let step = Step::new(0, 1, 0, 0.0).at(2, 5).seed(9);
        let other = Step::new(64, 32, 3, 0.1).at(2, 5).seed(9);
        assert_eq!(mask(&op(0.5, 1), &step), mask(&op(0.5, 1), &other));
    }
}
