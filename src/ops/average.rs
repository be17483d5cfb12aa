//! The moving average of the parameters, over their arena.

use rayon::prelude::*;

use super::case::{Case, Random};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude, Shader,
    Step, Sum,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation, Prelude::Step],
    include_str!("../../shaders/average.wgsl"),
);

/// `average = decay·average + (1 − decay)·p`, or p after the first update of the run: PyTorch's
/// `AveragedModel` with `get_ema_multi_avg_fn`.
#[derive(Debug, Clone)]
pub struct AverageParameters {
    /// Elements of the arena.
    pub len: usize,
    /// The share of the old average, in [0, 1).
    pub decay: f32,
}

impl AverageParameters {
    /// Equal values if the parameters are only copied. The roundings of 1 − decay, a product, the sum
    /// and the reference, less two that a sum's bound adds.
    fn bound(step: &Step) -> ErrorBound {
        match step.is_first_update() {
            true => ErrorBound::Exact,
            false => ErrorBound::Products { terms: 4 },
        }
    }

    fn averaged(&self, average: f64, parameter: f64) -> Sum {
        let decay = f64::from(self.decay);
        let mut sum = Sum::default();
        sum.add_product(decay, average);
        sum.add_product(1.0 - decay, parameter);
        sum
    }
}

impl Op for AverageParameters {
    fn name(&self) -> &'static str {
        "average_parameters"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("parameters", self.len),
            Binding::update("average", self.len),
        ])
    }

    fn launch(&self) -> Launch {
        let constants = [("LEN", self.len as f64), ("DECAY", f64::from(self.decay))];
        Launch::new(SHADER, self.len).constants(constants)
    }

    fn cost(&self) -> Cost {
        Cost::new(4 * self.len, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let step = args.step;
        let parameters = args.input(0);
        let averages = args.output().par_iter_mut().zip(parameters);
        let averages = averages.with_min_len(min_task_len(ELEMENT));
        averages.for_each(|(average, &parameter)| {
            *average = match step.is_first_update() {
                true => parameter,
                false => self.averaged(f64::from(*average), parameter.into()).value as f32,
            };
        });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let parameter = args.float(0, index);
        if args.step.is_first_update() {
            return Element::moved(parameter);
        }
        let sum = self.averaged(args.before(0, index), parameter);
        sum.within(&AverageParameters::bound(args.step))
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        vec![AverageParameters::bound(args.step)]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let op = AverageParameters {
        len: random.size(300),
        decay: [0.999, 0.5][random.below(2)],
    };
    let step = Step::new(0, 1, 0, 0.0625).at(0, [0, 1, 1, 7][random.below(4)]);
    vec![Case::of_floats(op, random).in_step(step)]
}
