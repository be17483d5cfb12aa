//! Test cases: ops with random sizes and inputs, which verification runs on an adapter, by the
//! reference, and in other programs.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::ops::{Op, Step};
use crate::shape::{Padding, Size2d, Window, WindowedPlanes};

/// An op, its inputs, and the ops that compute its gradients.
#[derive(Debug)]
pub struct Case {
    /// The op.
    pub op: Box<dyn Op>,
    /// The words of its inputs.
    pub inputs: Vec<Vec<u32>>,
    /// Initial output contents; matter only to ops that accumulate.
    pub outputs: Vec<Vec<u32>>,
    /// The step that it runs in.
    pub step: Step,
    /// Its gradients, with respect to the inputs that have one.
    pub gradients: Vec<Gradient>,
}

/// How the gradient of an op with respect to one of its inputs is computed.
#[derive(Debug)]
pub enum Gradient {
    /// By another op.
    By {
        /// The input to which the gradient belongs.
        input: usize,
        /// The op that computes it.
        op: Box<dyn Op>,
        /// The output of that op.
        output: usize,
        /// The inputs of that op, in binding order.
        reads: Vec<Read>,
    },
    /// By the op itself: a loss writes it beside its first output.
    Own {
        /// The input to which the gradient belongs.
        input: usize,
        /// The output that holds it.
        output: usize,
        /// The upstream gradient that it assumes for each element of the first output.
        upstream: f32,
    },
}

/// An input of a gradient op.
#[derive(Debug, Clone, Copy)]
pub enum Read {
    /// Input `i` of the differentiated op.
    Input(usize),
    /// Output `i` of the differentiated op.
    Output(usize),
    /// The gradient of the first output.
    OutputGradient,
}

impl Case {
    /// A case whose inputs are all floats.
    pub fn of_floats(op: impl Op + 'static, random: &mut Random) -> Self {
        let inputs = op.bindings().inputs;
        let inputs = inputs
            .iter()
            .map(|input| random.floats(input.words))
            .collect();
        Case::of(op, inputs, random)
    }

    /// A case with those inputs.
    pub fn of(op: impl Op + 'static, inputs: Vec<Vec<u32>>, random: &mut Random) -> Self {
        let outputs = op.bindings().outputs;
        let outputs = outputs
            .iter()
            .map(|output| random.floats(output.words))
            .collect();
        Case {
            op: Box::new(op),
            inputs,
            outputs,
            step: Step::new(0, 1, 0, 0.0625),
            gradients: Vec::new(),
        }
    }

    /// The case in another step.
    #[must_use]
    pub fn in_step(mut self, step: Step) -> Self {
        self.step = step;
        self
    }

    /// Adds the gradient with respect to `input`: the first output of `op`.
    #[must_use]
    pub fn with_gradient(self, input: usize, op: impl Op + 'static, reads: &[Read]) -> Self {
        self.with_gradient_in(input, op, 0, reads)
    }

    /// Adds the gradient with respect to `input`: output `output` of `op`.
    #[must_use]
    pub fn with_gradient_in(
        mut self,
        input: usize,
        op: impl Op + 'static,
        output: usize,
        reads: &[Read],
    ) -> Self {
        self.gradients.push(Gradient::By {
            input,
            op: Box::new(op),
            output,
            reads: reads.to_vec(),
        });
        self
    }
}

/// The distribution of random floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floats {
    /// Ties, both zeros, subnormals, small and large magnitudes, to find faults.
    Hostile,
    /// Distinct odd multiples of [`SPACING`] in random order, of both signs: half a step in any
    /// direction crosses no kink and makes no tie.
    Spaced,
}

/// Half the distance between two [`Floats::Spaced`] values: a power of two, so that sums of a few
/// are exact.
pub const SPACING: f32 = 1.0 / 64.0;

/// A source of cases beside a family's own. Its number is that of the stream: no family's, whose
/// streams are hashes of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) enum Aside {
    /// Windows are dilated.
    Dilated = 1,
    /// Opposite sides of a plane have different paddings.
    Uneven = 2,
    /// A batch repeats the matrices of a factor.
    Repeated = 3,
}

/// The stream of cases that were added to a family later.
const ADDED: u64 = 2;

/// A portable source of sizes and inputs.
#[derive(Debug)]
pub struct Random {
    generator: ChaCha8Rng,
    floats: Floats,
    aside: Option<Aside>,
}

impl Random {
    /// The same seed gives the same draws on every machine.
    pub fn new(seed: u64, floats: Floats) -> Self {
        Random {
            generator: ChaCha8Rng::seed_from_u64(seed),
            floats,
            aside: None,
        }
    }

    /// What `draw` draws, then the same from each source of `asides`, so that these change nothing
    /// that is drawn later.
    pub(in crate::ops) fn with_asides(
        &mut self,
        asides: &[Aside],
        draw: fn(&mut Random) -> Vec<Case>,
    ) -> Vec<Case> {
        let mut cases = draw(self);
        for &aside in asides {
            let mut random = Random {
                generator: self.generator.clone(),
                aside: Some(aside),
                ..*self
            };
            random.generator.set_stream(aside as u64);
            cases.extend(draw(&mut random));
        }
        cases
    }

    /// Whether cases are drawn from `aside`.
    pub(in crate::ops) fn is_aside(&self, aside: Aside) -> bool {
        self.aside == Some(aside)
    }

    /// A source of its own, for cases that change nothing that is drawn later.
    pub(in crate::ops) fn aside(&self) -> Random {
        let mut aside = Random {
            generator: self.generator.clone(),
            ..*self
        };
        aside.generator.set_stream(ADDED);
        aside
    }

    /// Like [`Random::new`], with different draws per family of ops.
    pub fn of_family(seed: u64, floats: Floats, family: &str) -> Self {
        let mut random = Random::new(seed, floats);
        let name = family.bytes();
        let stream = name.fold(0u64, |hash, byte| {
            hash.wrapping_mul(257).wrapping_add(byte.into())
        });
        random.generator.set_stream(stream);
        random
    }

    /// A size from 1 to `largest`, biased towards both ends.
    pub fn size(&mut self, largest: usize) -> usize {
        match self.generator.random_range(0..8) {
            0 => 1,
            1 => largest,
            _ => self.below(largest) + 1,
        }
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.generator.random_range(0..end as u64) as usize
    }

    /// True or false.
    pub fn flag(&mut self) -> bool {
        self.generator.random()
    }

    /// Any word.
    pub fn word(&mut self) -> u32 {
        self.generator.random()
    }

    /// The bits of `len` floats.
    pub fn floats(&mut self, len: usize) -> Vec<u32> {
        match self.floats {
            Floats::Hostile => (0..len).map(|_| self.hostile().to_bits()).collect(),
            Floats::Spaced => {
                let odd = |i: usize| 2.0 * i as f32 + 1.0 - len as f32 - (len % 2) as f32;
                let mut values: Vec<u32> = (0..len).map(|i| (odd(i) * SPACING).to_bits()).collect();
                for i in (1..len).rev() {
                    values.swap(i, self.below(i + 1));
                }
                values
            }
        }
    }

    /// `len` numbers below `end`.
    pub fn indices(&mut self, len: usize, end: usize) -> Vec<u32> {
        (0..len).map(|_| self.below(end) as u32).collect()
    }

    /// The numbers below `len` in random order.
    pub fn permutation(&mut self, len: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..len as u32).collect();
        for i in (1..len).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }

    /// A step with some of `rows` rows real, filling one of `slots` slots.
    pub fn step(&mut self, rows: usize, slots: usize) -> Step {
        Step::new(0, self.size(rows) as u32, self.below(slots) as u32, 0.0625)
    }

    /// Windows over up to seven planes of up to 13×13, with non-square windows, strides and
    /// paddings. A padding of at most half the window suits pooling too.
    pub fn geometry(&mut self) -> WindowedPlanes {
        let mut axis = || {
            let kernel = self.size(4);
            let before = self.below(kernel / 2 + 1);
            let after = match self.is_aside(Aside::Uneven) {
                true => self.below(kernel / 2 + 1),
                false => before,
            };
            let input = kernel + self.below(10);
            let stride = self.size(3);
            let dilation = match self.is_aside(Aside::Dilated) {
                true => self.size(3),
                false => 1,
            };
            let gaps = (dilation - 1) * (kernel - 1);
            ([input + gaps, kernel, stride, dilation], [before, after])
        };
        let (rows, [top, bottom]) = axis();
        let (columns, [left, right]) = axis();
        let [input, kernel, stride, dilation] = std::array::from_fn(|i| Size2d {
            height: rows[i],
            width: columns[i],
        });
        let window = Window {
            kernel,
            stride,
            padding: Padding::sides(top, bottom, left, right),
            dilation,
        };
        // The plane is at least as large as what the kernel covers, so the window fits.
        let output = window.output(input, "").unwrap_or(input);
        WindowedPlanes {
            planes: self.size(7),
            input,
            output,
            window,
        }
    }

    /// Rows, channels and area of a batch norm: features, or planes of up to 320 pixels, often a
    /// multiple of four.
    pub fn normalised(&mut self) -> (usize, usize, usize) {
        let area = match self.below(4) {
            0 => 1,
            1 => self.size(320),
            _ => 4 * self.size(80),
        };
        (self.size(9), self.size(7), area)
    }

    fn hostile(&mut self) -> f32 {
        let sign = if self.flag() { 1.0f32 } else { -1.0 };
        let uniform: f32 = self.generator.random();
        sign * match self.below(10) {
            0 => 0.0,
            1 => f32::from_bits(self.generator.random_range(1..0x0080_0000)),
            2 => [0.25, 0.5, 1.0, 2.0][self.below(4)],
            3 => uniform * 1e-6,
            4 => uniform * 1e4,
            _ => uniform,
        }
    }
}
