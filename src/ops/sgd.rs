//! Stochastic gradient descent over an arena: one dispatch for all layers.

use rayon::prelude::*;

use super::case::{Case, Random};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::sizes::decay::{Decay, decay_of, optimizer_bindings, optimizer_case};
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude, Shader, Sum,
    flag,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation, Prelude::Step, Prelude::Loads],
    include_str!("../../shaders/sgd.wgsl"),
);

/// `p -= lr·(g + weight_decay·p)`, with the step's learning rate.
#[derive(Debug, Clone)]
pub struct Sgd {
    /// Elements of the arena.
    pub len: usize,
    /// PyTorch's `weight_decay`.
    pub weight_decay: f32,
    /// Whether only the blocks decay that an input marks.
    pub selective: bool,
}

/// `g' = g + weight_decay·p; v = momentum·v + g'; p -= lr·v`, or with Nesterov's momentum
/// `p -= lr·(g' + momentum·v)`: PyTorch's rules, with `v` initially zero.
#[derive(Debug, Clone)]
pub struct SgdMomentum {
    /// Elements of the arena.
    pub len: usize,
    /// PyTorch's `weight_decay`.
    pub weight_decay: f32,
    /// PyTorch's `momentum`.
    pub momentum: f32,
    /// PyTorch's `nesterov`.
    pub nesterov: bool,
    /// Whether only the blocks decay that an input marks.
    pub selective: bool,
}

impl SgdMomentum {
    /// The factors of the old velocity and of `g'` in what the rate multiplies.
    fn factors(&self) -> [f64; 2] {
        let momentum = f64::from(self.momentum);
        match self.nesterov {
            true => [momentum * momentum, 1.0 + momentum],
            false => [momentum, 1.0],
        }
    }
}

impl Sgd {
    /// Elements per invocation: four if `len` is a multiple of four, as in every arena.
    fn at_once(&self) -> usize {
        if self.len.is_multiple_of(4) && !self.selective {
            4
        } else {
            1
        }
    }
}

impl Op for Sgd {
    fn name(&self) -> &'static str {
        match self.at_once() {
            4 => "sgd_4",
            _ if self.selective => "sgd_selective",
            _ => "sgd",
        }
    }

    fn bindings(&self) -> Bindings {
        let updated = [Binding::update("parameters", self.len)];
        optimizer_bindings(self.len, self.selective, updated)
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.len / self.at_once()).constants([
            ("LEN", self.len as f64),
            ("WEIGHT_DECAY", f64::from(self.weight_decay)),
        ])
    }

    fn cost(&self) -> Cost {
        Cost::new(4 * self.len, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let rate = f64::from(args.step.learning_rate);
        let decay = Decay::new(args, self.weight_decay, self.selective);
        let gradients = args.input(0);
        args.output()
            .par_iter_mut()
            .zip(gradients)
            .enumerate()
            .with_min_len(min_task_len(ELEMENT))
            .for_each(|(at, (parameter, &gradient))| {
                let before = f64::from(*parameter);
                let decayed = f64::from(gradient) + decay.of(at) * before;
                *parameter = (before - rate * decayed) as f32;
            });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let rate = f64::from(args.step.learning_rate);
        let decay = decay_of(args, self.weight_decay, self.selective, index);
        let (gradient, before) = (args.float(0, index), args.before(0, index));
        let mut sum = Sum::from(before);
        sum.add_product(-rate, gradient);
        sum.add_product(-rate * decay, before);
        sum.within(&ErrorBound::Products { terms: 4 })
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Products { terms: 4 }]
    }
}

impl Op for SgdMomentum {
    fn name(&self) -> &'static str {
        match self.selective {
            true => "sgd_momentum_selective",
            false => "sgd_momentum",
        }
    }

    fn bindings(&self) -> Bindings {
        let updated = ["parameters", "velocity"].map(|name| Binding::update(name, self.len));
        optimizer_bindings(self.len, self.selective, updated)
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.len).constants([
            ("LEN", self.len as f64),
            ("WEIGHT_DECAY", f64::from(self.weight_decay)),
            ("MOMENTUM", f64::from(self.momentum)),
            ("NESTEROV", flag(self.nesterov)),
        ])
    }

    fn cost(&self) -> Cost {
        Cost::new(6 * self.len, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let rate = f64::from(args.step.learning_rate);
        let decay = Decay::new(args, self.weight_decay, self.selective);
        let momentum = f64::from(self.momentum);
        let [of_velocity, of_gradient] = self.factors();
        let gradients = args.input(0);
        let (parameters, velocity) = args.two_outputs();
        let state = parameters.par_iter_mut().zip(velocity).zip(gradients);
        let state = state.enumerate().with_min_len(min_task_len(ELEMENT));
        state.for_each(|(at, ((parameter, velocity), &gradient))| {
            let (before, old) = (f64::from(*parameter), f64::from(*velocity));
            let decayed = f64::from(gradient) + decay.of(at) * before;
            *velocity = (momentum * old + decayed) as f32;
            *parameter = (before - rate * (of_velocity * old + of_gradient * decayed)) as f32;
        });
    }

    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        let rate = f64::from(args.step.learning_rate);
        let decay = decay_of(args, self.weight_decay, self.selective, index);
        let [of_velocity, of_gradient] = match output {
            0 => self.factors().map(|factor| -rate * factor),
            _ => [self.momentum.into(), 1.0],
        };
        let (gradient, before) = (args.float(0, index), args.before(0, index));
        let mut sum = Sum::default();
        if output == 0 {
            sum.add(before);
        }
        sum.add_product(of_velocity, args.before(1, index));
        sum.add_product(of_gradient, gradient);
        sum.add_product(of_gradient * decay, before);
        sum.within(&ErrorBound::Products { terms: 8 })
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Products { terms: 8 }; 2]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let len = random.size(300);
    let weight_decay = [0.0, 0.01][random.below(2)];
    let sgd = |selective| Sgd {
        len,
        weight_decay,
        selective,
    };
    let with_momentum = |nesterov, selective| SgdMomentum {
        len,
        weight_decay,
        momentum: 0.9,
        nesterov,
        selective,
    };
    let mut cases = vec![
        Case::of_floats(sgd(false), random),
        Case::of_floats(with_momentum(false, false), random),
        Case::of_floats(with_momentum(true, false), random),
    ];
    let mut aside = random.aside();
    let nesterov = aside.flag();
    cases.push(optimizer_case(sgd(true), &mut aside));
    cases.push(optimizer_case(with_momentum(nesterov, true), &mut aside));
    cases
}
