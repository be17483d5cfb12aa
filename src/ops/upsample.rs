//! Planes resized to the nearest pixel or bilinearly, and the gradients.

use rayon::prelude::*;

use super::bound::{SMALLEST_NORMAL, sum_error};
use super::case::{Case, Random, Read};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::sizes::ratio::Ratio;
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude, Shader, Sum,
    nested_loops,
};
use crate::shape::Size2d;

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation],
    include_str!("../../shaders/upsample.wgsl"),
);

/// How a plane is resized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interpolation {
    /// Output o is pixel ⌊o·in/out⌋.
    #[default]
    Nearest,
    /// Output o lies at (o + ½)·in/out − ½, and at least 0: between two pixels of each axis, whose
    /// weights decrease linearly with the distance. It is PyTorch's with `align_corners=False`.
    Bilinear,
}

/// N·C planes before and after.
#[derive(Debug, Clone, Copy)]
pub struct Resize {
    /// N·C.
    pub planes: usize,
    /// H×W.
    pub input: Size2d,
    /// OH×OW.
    pub output: Size2d,
    /// Which pixels an output reads.
    pub interpolation: Interpolation,
}

/// One of the two pixels of an axis that an output reads, and its weight.
type Tap = (usize, f64);

impl Resize {
    fn input_area(&self) -> usize {
        self.input.height * self.input.width
    }

    fn output_area(&self) -> usize {
        self.output.height * self.output.width
    }

    /// Height, then width: extents before and after.
    fn axes(&self) -> [[usize; 2]; 2] {
        let (input, output) = (self.input, self.output);
        [[input.height, output.height], [input.width, output.width]]
    }

    /// The pixels that output `o` of an axis reads.
    fn taps(&self, [input, output]: [usize; 2], o: usize) -> impl Iterator<Item = Tap> + use<> {
        let (taps, count) = match self.interpolation {
            Interpolation::Nearest => ([(o * input / output, 1.0); 2], 1),
            Interpolation::Bilinear => {
                // In units of 1/(2·output).
                let place = ((2 * o + 1) * input).saturating_sub(output);
                let (before, rest) = (place / (2 * output), place % (2 * output));
                let after = rest as f64 / (2 * output) as f64;
                let last = (before + 1).min(input - 1);
                ([(before, 1.0 - after), (last, after)], 2)
            }
        };
        taps.into_iter().take(count)
    }

    /// The outputs of an axis that read pixel `at`, with its weight in each.
    fn readers(&self, axis: [usize; 2], at: usize) -> Vec<Tap> {
        let [input, output] = axis;
        let begin = (at.saturating_sub(2) * output / input).saturating_sub(2);
        let end = ((at + 3) * output).div_ceil(input) + 2;
        let readers = (begin..end.min(output)).flat_map(|o| {
            let own = self.taps(axis, o).filter(move |tap| tap.0 == at);
            own.map(move |tap| (o, tap.1))
        });
        readers.collect()
    }

    /// The most outputs of an axis that a kernel visits for one pixel.
    fn most_readers(&self, [input, output]: [usize; 2]) -> usize {
        let most = match self.interpolation {
            Interpolation::Nearest => Ratio::new(input, output).reversed().longest_bin(),
            Interpolation::Bilinear => (2 * output).div_ceil(input) + 1,
        };
        most.min(output)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        let [[h, oh], [w, ow]] = self.axes();
        let (rows, columns) = (Ratio::new(h, oh), Ratio::new(w, ow));
        [
            ("PLANES", self.planes),
            ("H", h),
            ("W", w),
            ("OH", oh),
            ("OW", ow),
            ("UP_H", rows.output),
            ("DOWN_H", rows.input),
            ("UP_W", columns.output),
            ("DOWN_W", columns.input),
        ]
        .map(|(name, value)| (name, value as f64))
        .to_vec()
    }
}

/// Roundings of a product with a weight: two integers that are rounded if they exceed 2²⁴, their
/// quotient (2.5 ulp, 5ε), and the product.
const OF_WEIGHT: usize = 8;

/// Resizes each plane: (N·C, H, W) to (N·C, OH, OW).
#[derive(Debug, Clone)]
pub struct UpsampleForward {
    /// The planes.
    pub resize: Resize,
}

impl Op for UpsampleForward {
    fn name(&self) -> &'static str {
        match self.resize.interpolation {
            Interpolation::Nearest => "upsample_nearest",
            Interpolation::Bilinear => "upsample_bilinear",
        }
    }

    fn bindings(&self) -> Bindings {
        let Resize { planes, .. } = self.resize;
        Bindings::new([
            Binding::read("input", planes * self.resize.input_area()),
            Binding::write("output", planes * self.resize.output_area()),
        ])
    }

    fn launch(&self) -> Launch {
        let outputs = self.resize.planes * self.resize.output_area();
        Launch::new(SHADER, outputs).constants(self.resize.constants())
    }

    fn cost(&self) -> Cost {
        let flop = match self.resize.interpolation {
            Interpolation::Nearest => 0,
            Interpolation::Bilinear => 13 * self.resize.planes * self.resize.output_area(),
        };
        Cost::new(flop, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let resize = self.resize;
        let [rows, columns] = resize.axes();
        let taps = |axis: [usize; 2]| -> Vec<Vec<Tap>> {
            let outputs = 0..axis[1];
            outputs.map(|o| resize.taps(axis, o).collect()).collect()
        };
        let (down, across) = (taps(rows), taps(columns));
        let input = args.inputs[0].par_chunks(resize.input_area());
        let planes = args.outputs[0].par_chunks_mut(resize.output_area());
        let planes = planes.with_min_len(min_task_len(ELEMENT * resize.output_area()));
        planes.zip(input).for_each(|(output, input)| {
            for (row, down) in output.chunks_mut(columns[1]).zip(&down) {
                for (value, across) in row.iter_mut().zip(&across) {
                    let at = |y: Tap, x: Tap| input[y.0 * columns[0] + x.0];
                    if resize.interpolation == Interpolation::Nearest {
                        *value = at(down[0], across[0]);
                        continue;
                    }
                    let float = |y, x| f64::from(f32::from_bits(at(y, x)));
                    let of_row = |y: Tap| across.iter().map(|&x| x.1 * float(y, x)).sum::<f64>();
                    let sum: f64 = down.iter().map(|&y| y.1 * of_row(y)).sum();
                    *value = (sum as f32).to_bits();
                }
            }
        });
    }

    /// Each of the four terms has two products with weights and two sums. What is flushed, four
    /// pixels and nine results, is multiplied by weights of at most 1.
    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let resize = self.resize;
        let [rows, columns] = resize.axes();
        let (plane, place) = (index / resize.output_area(), index % resize.output_area());
        let (oh, ow) = (place / columns[1], place % columns[1]);
        let at = |y: Tap, x: Tap| (plane * rows[0] + y.0) * columns[0] + x.0;
        let (mut value, mut magnitude) = (0.0, 0.0);
        for y in resize.taps(rows, oh) {
            for x in resize.taps(columns, ow) {
                if resize.interpolation == Interpolation::Nearest {
                    return Element::Word(args.word(0, at(y, x)));
                }
                let term = y.1 * x.1 * args.float(0, at(y, x));
                value += term;
                magnitude += term.abs();
            }
        }
        let error = sum_error(2 * OF_WEIGHT + 2, magnitude);
        Element::Float { value, error }
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        match self.resize.interpolation {
            Interpolation::Nearest => vec![ErrorBound::Exact],
            Interpolation::Bilinear => ErrorBound::of_elements(self, args),
        }
    }
}

/// `d_input[p]` is the sum of `d_output` over the outputs that read pixel p, times their weights.
#[derive(Debug, Clone)]
pub struct UpsampleBackward {
    /// The planes.
    pub resize: Resize,
}

impl UpsampleBackward {
    /// The most outputs that read a pixel, along each axis.
    fn most_readers(&self) -> [usize; 2] {
        self.resize
            .axes()
            .map(|axis| self.resize.most_readers(axis))
    }
}

impl Op for UpsampleBackward {
    fn name(&self) -> &'static str {
        match self.resize.interpolation {
            Interpolation::Nearest => "upsample_nearest_backward",
            Interpolation::Bilinear => "upsample_bilinear_backward",
        }
    }

    fn bindings(&self) -> Bindings {
        let Resize { planes, .. } = self.resize;
        Bindings::new([
            Binding::read("d_output", planes * self.resize.output_area()),
            Binding::write("d_input", planes * self.resize.input_area()),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.resize.planes * self.resize.input_area())
            .constants(self.resize.constants())
            .longest_loop(nested_loops(&self.most_readers()))
    }

    fn cost(&self) -> Cost {
        let outputs = self.resize.planes * self.resize.output_area();
        let flop = match self.resize.interpolation {
            Interpolation::Nearest => outputs,
            Interpolation::Bilinear => 16 * outputs,
        };
        Cost::new(flop, &self.bindings())
    }

    /// Scatters each output's gradient to the pixels that it reads.
    fn reference(&self, args: &mut Args<'_>) {
        let resize = self.resize;
        let [rows, columns] = resize.axes();
        let d_output = args.input(0).par_chunks(resize.output_area());
        let planes = args.output().par_chunks_mut(resize.input_area());
        let work = ELEMENT * (resize.output_area() + resize.input_area());
        let planes = planes.with_min_len(min_task_len(work)).zip(d_output);
        planes.for_each_init(Vec::new, |sums, (d_input, d_output)| {
            sums.clear();
            sums.resize(d_input.len(), 0.0);
            for (oh, row) in d_output.chunks(columns[1]).enumerate() {
                for (ow, &gradient) in row.iter().enumerate() {
                    for y in resize.taps(rows, oh) {
                        for x in resize.taps(columns, ow) {
                            sums[y.0 * columns[0] + x.0] += y.1 * x.1 * f64::from(gradient);
                        }
                    }
                }
            }
            for (value, &sum) in d_input.iter_mut().zip(sums.iter()) {
                *value = sum as f32;
            }
        });
    }

    /// Each term has two products with weights, and sums along a row and over the rows. Two results
    /// per output may be flushed.
    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let resize = self.resize;
        let [rows, columns] = resize.axes();
        let (plane, pixel) = (index / resize.input_area(), index % resize.input_area());
        let (h, w) = (pixel / columns[0], pixel % columns[0]);
        let across = resize.readers(columns, w);
        let (mut sum, mut magnitude) = (Sum::default(), 0.0);
        for (oh, down) in resize.readers(rows, h) {
            for &(ow, across) in &across {
                let at = (plane * rows[1] + oh) * columns[1] + ow;
                let term = down * across * args.float(0, at);
                sum.add(term);
                magnitude += term.abs();
            }
        }
        let [of_rows, of_columns] = self.most_readers();
        let error = match resize.interpolation {
            Interpolation::Nearest => sum.error(of_rows * of_columns),
            Interpolation::Bilinear => {
                sum_error(2 * OF_WEIGHT + of_rows + of_columns, magnitude)
                    + 3.0 * (of_rows * of_columns) as f64 * SMALLEST_NORMAL
            }
        };
        let value = sum.value;
        Element::Float { value, error }
    }

    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        let [of_rows, of_columns] = self.most_readers();
        match self.resize.interpolation {
            Interpolation::Nearest => {
                let terms = of_rows * of_columns;
                vec![ErrorBound::Sum { terms }]
            }
            Interpolation::Bilinear => ErrorBound::of_elements(self, args),
        }
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let mut cases = Vec::new();
    for interpolation in [Interpolation::Nearest, Interpolation::Bilinear] {
        let input = Size2d::from((random.size(9), random.size(9)));
        // By a factor, or to any size, smaller too.
        let output = match random.flag() {
            true => (input.height * random.size(3), input.width * random.size(4)),
            false => (random.size(20), random.size(20)),
        };
        let resize = Resize {
            planes: random.size(6),
            input,
            output: output.into(),
            interpolation,
        };
        let (forward, backward) = (UpsampleForward { resize }, UpsampleBackward { resize });
        // Each is the other's transpose.
        let reads = [Read::OutputGradient];
        cases.extend([
            Case::of_floats(forward.clone(), random).with_gradient(0, backward.clone(), &reads),
            Case::of_floats(backward, random).with_gradient(0, forward, &reads),
        ]);
    }
    cases
}
