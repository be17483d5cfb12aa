//! Sums of what the rows of a step contribute to a table of metrics.

use super::case::{Case, Random};
use super::{
    Args, Binding, Bindings, Content, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude,
    Shader, Sum,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation, Prelude::Step],
    include_str!("../../shaders/sum_table.wgsl"),
);

/// Lanes that add values: many, since there may be a value for each pixel.
const LANES: u64 = 256;

/// `loss_sum[step.slot] = Σ losses` over the step's rows; or, of integers, `total[step.slot] =
/// Σ counts`.
#[derive(Debug, Clone)]
pub struct SumTable {
    /// N.
    pub rows: usize,
    /// Values of each row.
    pub row_len: usize,
    /// Steps that the table holds.
    pub slots: usize,
    /// Whether the values are integers.
    pub counts: bool,
}

impl SumTable {
    fn bound(&self) -> ErrorBound {
        ErrorBound::Sum {
            terms: self.rows * self.row_len,
        }
    }
}

impl Op for SumTable {
    fn name(&self) -> &'static str {
        match self.counts {
            true => "sum_counts",
            false => "sum_losses",
        }
    }

    fn bindings(&self) -> Bindings {
        let len = self.rows * self.row_len;
        match self.counts {
            true => Bindings::new([
                Binding::read("counts", len).of(Content::below(1 << 16)),
                Binding::update("total", self.slots).of(Content::Any),
            ]),
            false => Bindings::new([
                Binding::read("losses", len),
                Binding::update("loss_sum", self.slots),
            ]),
        }
    }

    fn launch(&self) -> Launch {
        let passes = ((self.rows * self.row_len) as u64).div_ceil(LANES);
        Launch::of_workgroups(SHADER, 1)
            .constants([("ROW_LEN", self.row_len as f64)])
            .workgroup_size(LANES)
            .longest_loop(passes + 1 + u64::from(LANES.ilog2()) + 1)
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn cost(&self) -> Cost {
        Cost::new(self.rows * self.row_len, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let real = args.step.rows as usize * self.row_len;
        let slot = args.step.slot as usize;
        if self.counts {
            args.outputs[0][slot] = args.inputs[0][..real].iter().sum();
            return;
        }
        let losses = &args.input(0)[..real];
        args.output()[slot] = losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() as f32;
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        if index != args.step.slot as usize {
            return Element::Word(args.outputs[0](index));
        }
        let real = 0..args.step.rows as usize * self.row_len;
        if self.counts {
            return Element::Word(real.map(|at| args.word(0, at)).sum());
        }
        let mut sum = Sum::default();
        real.for_each(|at| sum.add(args.float(0, at)));
        sum.within(&self.bound())
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        match self.counts {
            true => vec![ErrorBound::Exact],
            false => vec![self.bound()],
        }
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let case = |counts| {
        let op = SumTable {
            rows: random.size(50),
            row_len: random.size(9),
            slots: random.size(5),
            counts,
        };
        let len = op.rows * op.row_len;
        let values = match counts {
            true => random.indices(len, 100),
            false => random.floats(len),
        };
        let step = random.step(op.rows, op.slots);
        Case::of(op, vec![values], random).in_step(step)
    };
    [false, true].map(case).into()
}
