//! Average pooling: the mean of each window, or of each bin of a plane, and its gradient.

use rayon::prelude::*;

use super::bound::{EPSILON, SMALLEST_NORMAL, sum_error};
use super::case::{Case, Random, Read};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::sizes::pool::{Bins, Pool};
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude, Shader,
    Slot, Split, Sum, nested_loops,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation],
    include_str!("../../shaders/avg_pool.wgsl"),
);

/// Roundings of a quotient: 2.5 ulp, and its divisor, which is rounded if it exceeds 2²⁴.
const OF_QUOTIENT: usize = 6;

/// The mean of each bin: (N·C, H, W) to (N·C, OH, OW).
#[derive(Debug, Clone)]
pub struct AvgPoolForward {
    /// The planes and bins.
    pub pool: Pool,
}

/// The gradient of a pixel: the sum of the gradients of the bins that contain it, each divided as
/// the bin's sum was.
#[derive(Debug, Clone)]
pub struct AvgPoolBackward {
    /// The planes and bins.
    pub pool: Pool,
}

impl Op for AvgPoolForward {
    fn name(&self) -> &'static str {
        "avg_pool_forward"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("input", self.pool.planes * self.pool.input_area()),
            Binding::write("output", self.pool.planes * self.pool.output_area()),
        ])
    }

    fn launch(&self) -> Launch {
        let longest = self.pool.axes().map(|axis| axis.longest_bin());
        Launch::new(SHADER, self.pool.planes * self.pool.output_area())
            .constants(self.pool.constants())
            .longest_loop(nested_loops(&longest))
    }

    /// The mean of means over equal shares, if there is one bin and its area has a suitable
    /// divisor.
    fn split(&self, longest: u64) -> Option<Split> {
        let (pool, area) = (self.pool, self.pool.input_area());
        if pool.bins != Bins::Adaptive || pool.output != 1.into() {
            return None;
        }
        let fits = |area: usize| nested_loops(&[1, area]) <= longest;
        let divides = |shares: &usize| area.is_multiple_of(*shares);
        let mut shares = (2..area).take_while(|&shares| fits(shares));
        let shares = shares.find(|shares| divides(shares) && fits(area / shares))?;
        let mean_of = |planes, area| AvgPoolForward {
            pool: Pool::global(planes, area),
        };
        let mut split = Split::new();
        let means = split.scratch(pool.planes * shares);
        let of_shares = mean_of(pool.planes * shares, area / shares);
        split.step(of_shares, &[Slot::Input(0)], &[means]);
        split.step(mean_of(pool.planes, shares), &[means], &[Slot::Output(0)]);
        Some(split)
    }

    fn cost(&self) -> Cost {
        let [rows, columns] = self.pool.axes().map(|axis| axis.longest_bin());
        let bins = self.pool.planes * self.pool.output_area();
        Cost::new(bins * (rows * columns + 1), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let pool = self.pool;
        let [rows, columns] = pool.axes();
        let input = args.input(0).par_chunks(pool.input_area());
        let planes = args.output().par_chunks_mut(pool.output_area()).zip(input);
        let work = ELEMENT * (pool.input_area() + pool.output_area());
        let planes = planes.with_min_len(min_task_len(work));
        planes.for_each(|(output, input)| {
            for (oh, output) in output.chunks_mut(columns.bins).enumerate() {
                let down = rows.pixels_of(oh);
                for (ow, mean) in output.iter_mut().enumerate() {
                    let across = columns.pixels_of(ow);
                    let row = |h: usize| &input[h * columns.pixels..][across.clone()];
                    let pixels = down.clone().flat_map(row);
                    let sum: f64 = pixels.map(|&pixel| f64::from(pixel)).sum();
                    *mean = (sum / pool.divisor(&down, &across)) as f32;
                }
            }
        });
    }

    /// The sum under its own bound, then the roundings of the quotient and of the reference, the
    /// only ones if the sum is exact.
    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let [rows, columns] = self.pool.axes();
        let down = rows.pixels_of(index / columns.bins % rows.bins);
        let across = columns.pixels_of(index % columns.bins);
        let plane = index / self.pool.output_area() * rows.pixels;
        let mut sum = Sum::default();
        for h in down.clone() {
            for w in across.clone() {
                sum.add(args.float(0, (plane + h) * columns.pixels + w));
            }
        }
        let divisor = self.pool.divisor(&down, &across);
        let value = sum.value / divisor;
        let roundings = (OF_QUOTIENT + 1) as f64;
        Element::Float {
            value,
            error: sum.error(down.len() * across.len()) / divisor
                + roundings * EPSILON * value.abs()
                + (roundings + 2.0) * SMALLEST_NORMAL,
        }
    }

    /// A sum, whose bound includes the reference's rounding, and a quotient; Σ|a| is already
    /// divided.
    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        let [rows, columns] = self.pool.axes().map(|axis| axis.longest_bin());
        let terms = rows * columns + OF_QUOTIENT;
        vec![ErrorBound::Sum { terms }]
    }
}

impl AvgPoolBackward {
    /// A sum of quotients.
    fn terms(&self) -> usize {
        let [rows, columns] = self.pool.axes().map(|axis| axis.most_bins());
        rows * columns + OF_QUOTIENT
    }
}

impl Op for AvgPoolBackward {
    fn name(&self) -> &'static str {
        "avg_pool_backward"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("d_output", self.pool.planes * self.pool.output_area()),
            Binding::write("d_input", self.pool.planes * self.pool.input_area()),
        ])
    }

    fn launch(&self) -> Launch {
        let most = self.pool.axes().map(|axis| axis.most_bins());
        Launch::new(SHADER, self.pool.planes * self.pool.input_area())
            .constants(self.pool.constants())
            .longest_loop(nested_loops(&most))
    }

    fn cost(&self) -> Cost {
        let [rows, columns] = self.pool.axes().map(|axis| axis.most_bins());
        let pixels = self.pool.planes * self.pool.input_area();
        Cost::new(2 * pixels * rows * columns, &self.bindings())
    }

    /// Each bin adds to its pixels.
    fn reference(&self, args: &mut Args<'_>) {
        let pool = self.pool;
        let [rows, columns] = pool.axes();
        let d_output = args.input(0).par_chunks(pool.output_area());
        let planes = args.output().par_chunks_mut(pool.input_area());
        let work = ELEMENT * (pool.input_area() + pool.output_area());
        let planes = planes.with_min_len(min_task_len(work)).zip(d_output);
        planes.for_each_init(Vec::new, |sums, (d_input, d_output)| {
            sums.clear();
            sums.resize(d_input.len(), 0.0);
            for (oh, d_output) in d_output.chunks(columns.bins).enumerate() {
                let down = rows.pixels_of(oh);
                for (ow, &gradient) in d_output.iter().enumerate() {
                    let across = columns.pixels_of(ow);
                    let share = f64::from(gradient) / pool.divisor(&down, &across);
                    for h in down.clone() {
                        let row = &mut sums[h * columns.pixels..][across.clone()];
                        row.iter_mut().for_each(|sum| *sum += share);
                    }
                }
            }
            for (value, &sum) in d_input.iter_mut().zip(sums.iter()) {
                *value = sum as f32;
            }
        });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let [rows, columns] = self.pool.axes();
        let (h, w) = (index / columns.pixels % rows.pixels, index % columns.pixels);
        let plane = index / self.pool.input_area() * rows.bins;
        let (mut value, mut magnitude) = (0.0, 0.0);
        for oh in rows.bins_over(h) {
            for ow in columns.bins_over(w) {
                let divisor = (self.pool).divisor(&rows.pixels_of(oh), &columns.pixels_of(ow));
                let share = args.float(0, (plane + oh) * columns.bins + ow) / divisor;
                value += share;
                magnitude += share.abs();
            }
        }
        let error = sum_error(self.terms(), magnitude);
        Element::Float { value, error }
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        let terms = self.terms();
        vec![ErrorBound::Sum { terms }]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let global = Pool::global(random.size(20), random.size(90));
    let adaptive = Pool {
        planes: random.size(6),
        input: (random.size(13), random.size(13)).into(),
        output: (random.size(8), random.size(16)).into(),
        bins: Bins::Adaptive,
    };
    let geometry = random.geometry();
    let windows = Pool {
        planes: geometry.planes,
        input: geometry.input,
        output: geometry.output,
        bins: Bins::Windows {
            kernel: geometry.window.kernel,
            stride: geometry.window.stride,
            padding: (geometry.window.padding.top, geometry.window.padding.left).into(),
            count_padding: random.flag(),
        },
    };
    let mut cases = Vec::new();
    for pool in [global, adaptive, windows] {
        let (forward, backward) = (AvgPoolForward { pool }, AvgPoolBackward { pool });
        // Each is the other's transpose.
        let reads = [Read::OutputGradient];
        cases.extend([
            Case::of_floats(forward.clone(), random).with_gradient(0, backward.clone(), &reads),
            Case::of_floats(backward, random).with_gradient(0, forward, &reads),
        ]);
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    fn global(planes: usize, area: usize) -> AvgPoolForward {
        let pool = Pool::global(planes, area);
        AvgPoolForward { pool }
    }

    /// Planes and area of each step of a split.
    fn split(area: usize, longest: u64) -> Option<Vec<String>> {
        let split = global(3, area).split(longest)?;
        Some(
            split
                .steps
                .iter()
                .map(|step| format!("{:?}", step.op))
                .collect(),
        )
    }

    #[test]
    fn means_of_equal_shares_where_the_area_has_a_divisor() {
        let of = |planes, area| format!("{:?}", global(planes, area));
        assert_eq!(
            split(257 * 256, 65_535),
            Some(vec![of(6, 32_896), of(3, 2)])
        );
        assert_eq!(split(35, 8), None);
        assert_eq!(split(35, 10), Some(vec![of(15, 7), of(3, 5)]));
        assert_eq!(split(65_537, 65_535), None);
    }
}
