//! All gradients of a fully connected layer in one dispatch.

use super::case::{Case, Random};
use super::element::tile_edges;
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, Epilogue, ErrorBound, Launch, Op, Prelude,
    Product, Shader, Slot, Split, WORKGROUP_SIZE, flag, nested_loops,
};

pub(super) const SHADER: Shader = Shader::new(
    &[
        Prelude::Invocation,
        Prelude::Relu,
        Prelude::Outer,
        Prelude::TileLanes,
    ],
    include_str!("../../shaders/linear_backward.wgsl"),
);

/// Rows and columns of the tile of a workgroup; the same as in the shader.
const TILE: usize = 4;

/// `d_weight (O, I) = d_outputᵀ × input`, `d_bias[o] = Σₙ d_output[n, o]` and
/// `d_input (N, I) = d_output (N, O) × weight (O, I)`: two [`Product`]s, which do not depend on each
/// other.
#[derive(Debug, Clone)]
pub struct LinearBackward {
    /// N, the rows of the batch.
    pub rows: usize,
    /// O.
    pub outputs: usize,
    /// I.
    pub inputs: usize,
    /// Whether the input is a ReLU's output: its gradient is zero where the ReLU was.
    pub masked: bool,
    /// Add to `d_weight` and `d_bias` instead of overwriting them.
    pub accumulate: bool,
}

impl LinearBackward {
    /// The gradients of weight and bias.
    fn of_weight(&self) -> Product {
        Product {
            accumulate: self.accumulate,
            ..Product::new(
                [self.outputs, self.inputs, self.rows],
                [true, false],
                Epilogue::RowSums,
            )
        }
    }

    /// The gradient of the input.
    fn of_input(&self) -> Product {
        let epilogue = match self.masked {
            true => Epilogue::ReluGradient,
            false => Epilogue::Plain,
        };
        let sizes = [self.rows, self.inputs, self.outputs];
        Product::new(sizes, [false, false], epilogue)
    }
}

/// The inputs of [`LinearBackward::of_weight`] and [`LinearBackward::of_input`], as inputs of the
/// op: the third is the mask, or ignored.
const INPUTS: [[usize; 3]; 2] = [[0, 1, 1], [0, 2, 1]];

impl Op for LinearBackward {
    fn name(&self) -> &'static str {
        "linear_backward"
    }

    fn bindings(&self) -> Bindings {
        let (input, weight) = (self.rows * self.inputs, self.outputs * self.inputs);
        Bindings::new([
            Binding::read("d_output", self.rows * self.outputs),
            Binding::read("input", input),
            Binding::read("weight", weight),
            Binding::sum("d_weight", weight, self.accumulate),
            Binding::sum("d_bias", self.outputs, self.accumulate),
            Binding::write("d_input", input),
        ])
    }

    fn launch(&self) -> Launch {
        let rows = self.outputs.div_ceil(TILE) + self.rows.div_ceil(TILE);
        let terms = self.rows.max(self.outputs) as u64;
        let tree = nested_loops(&[WORKGROUP_SIZE.ilog2() as usize]);
        Launch::of_workgroups(SHADER, rows * self.inputs.div_ceil(TILE))
            .constants([
                ("BATCH", self.rows as f64),
                ("OUTPUTS", self.outputs as f64),
                ("INPUTS", self.inputs as f64),
                ("MASKED", flag(self.masked)),
                ("ACCUMULATE", flag(self.accumulate)),
            ])
            .longest_loop(terms.div_ceil(WORKGROUP_SIZE) + 1 + 2 * tree)
    }

    /// The two products.
    fn split(&self, _: u64) -> Option<Split> {
        let mut split = Split::new();
        let [of_weight, of_input] = INPUTS.map(|inputs| inputs.map(Slot::Input));
        let outputs = [Slot::Output(0), Slot::Output(1)];
        split.step(self.of_weight(), &of_weight, &outputs);
        split.step(self.of_input(), &of_input, &[Slot::Output(2)]);
        Some(split)
    }

    fn cost(&self) -> Cost {
        let flop = 4 * self.rows * self.outputs * self.inputs;
        Cost::new(flop, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let [of_weight, of_input] = INPUTS.map(|inputs| inputs.map(|at| args.inputs[at]).to_vec());
        let (parameters, d_input) = args.outputs.split_at_mut(2);
        let step = args.step;
        self.of_weight().reference(&mut Args {
            inputs: of_weight,
            outputs: parameters.iter_mut().map(|output| &mut **output).collect(),
            step,
        });
        self.of_input().reference(&mut Args {
            inputs: of_input,
            outputs: d_input.iter_mut().map(|output| &mut **output).collect(),
            step,
        });
    }

    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        let (product, inputs, outputs, own) = match output {
            0 | 1 => (self.of_weight(), INPUTS[0], 0..2, output),
            _ => (self.of_input(), INPUTS[1], 2..3, 0),
        };
        let args = Elements {
            inputs: inputs.map(|at| args.inputs[at]).to_vec(),
            outputs: args.outputs[outputs].to_vec(),
            step: args.step,
        };
        product.element(&args, own, index)
    }

    fn tile_edges(&self, output: usize) -> Vec<usize> {
        let sizes = match output {
            0 => [self.outputs, self.inputs],
            1 => [self.outputs, 1],
            _ => [self.rows, self.inputs],
        };
        tile_edges(1, sizes, [TILE, TILE])
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        let products = [self.of_weight(), self.of_input()];
        let bounds = products
            .iter()
            .flat_map(|product| product.error_bounds(args));
        bounds.collect()
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let cases = [false, true].map(|masked| {
        let op = LinearBackward {
            rows: random.size(90),
            outputs: random.size(90),
            inputs: random.size(30),
            masked,
            accumulate: random.flag(),
        };
        Case::of_floats(op, random)
    });
    cases.into()
}
