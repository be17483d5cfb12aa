//! Mean squared error against one-hot targets that are never materialised.

use super::case::{Case, Gradient, Random};
use super::{
    Args, Binding, Bindings, Content, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude,
    Shader, Sum, nested_loops,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation, Prelude::Step],
    include_str!("../../shaders/mse.wgsl"),
);

/// For each row, `row_loss = Σ_c (logit_c − t_c)²` and `d_logits = (logit_c − t_c)·scale / rows`,
/// with `t` one at the label and zero elsewhere. Padding rows get zeros.
#[derive(Debug, Clone)]
pub struct Mse {
    /// N.
    pub rows: usize,
    /// C.
    pub classes: usize,
    /// 2/C for the mean over all elements, 2 for the sum over classes.
    pub scale: f32,
}

impl Mse {
    /// The loss adds squares, which share a sign: a rounding for the difference counts twice, one
    /// each for the square and the sum of C. The gradient is a difference and two products.
    fn bounds(&self) -> [ErrorBound; 2] {
        [
            ErrorBound::Relative(self.classes as f64 + 4.0),
            ErrorBound::Relative(4.0),
        ]
    }
}

impl Op for Mse {
    fn name(&self) -> &'static str {
        "mse"
    }

    fn bindings(&self) -> Bindings {
        let logits = self.rows * self.classes;
        Bindings::new([
            Binding::read("logits", logits),
            Binding::read("labels", self.rows).of(Content::below(self.classes)),
            Binding::write("row_loss", self.rows),
            Binding::write("d_logits", logits),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.rows)
            .constants([
                ("ROWS", self.rows as f64),
                ("CLASSES", self.classes as f64),
                ("SCALE", f64::from(self.scale)),
            ])
            .longest_loop(nested_loops(&[self.classes]))
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn cost(&self) -> Cost {
        Cost::new(4 * self.rows * self.classes, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (logits, labels, step) = (args.input(0), args.inputs[1], args.step);
        let scale = f64::from(self.scale) * f64::from(step.inverse_rows);
        let (row_loss, d_logits) = args.two_outputs();
        row_loss.fill(0.0);
        d_logits.fill(0.0);
        for row in 0..self.rows.min(step.rows as usize) {
            let mut loss = 0f64;
            for class in 0..self.classes {
                let index = row * self.classes + class;
                let target = f64::from(u8::from(labels[row] as usize == class));
                let error = f64::from(logits[index]) - target;
                loss += error * error;
                d_logits[index] = (error * scale) as f32;
            }
            row_loss[row] = loss as f32;
        }
    }

    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        let row = if output == 0 {
            index
        } else {
            index / self.classes
        };
        if row >= args.step.rows as usize {
            return Element::Word(0);
        }
        let label = args.word(1, row) as usize;
        let error = |class: usize| {
            let target = f64::from(u8::from(class == label));
            args.float(0, row * self.classes + class) - target
        };
        let [loss_bound, gradient_bound] = self.bounds();
        if output == 1 {
            let scale = f64::from(self.scale) * f64::from(args.step.inverse_rows);
            return Sum::from(error(index % self.classes) * scale).within(&gradient_bound);
        }
        let mut loss = Sum::default();
        for class in 0..self.classes {
            loss.add(error(class) * error(class));
        }
        loss.within(&loss_bound)
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        self.bounds().into()
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let (rows, classes) = (random.size(70), random.size(11));
    let scale = [2.0, 2.0 / classes as f32][random.below(2)];
    let op = Mse {
        rows,
        classes,
        scale,
    };
    let inputs = vec![random.floats(rows * classes), random.indices(rows, classes)];
    let mut case = Case::of(op, inputs, random).in_step(random.step(rows, 1));
    case.gradients.push(Gradient::Own {
        input: 0,
        output: 1,
        upstream: scale * case.step.inverse_rows / 2.0,
    });
    vec![case]
}
