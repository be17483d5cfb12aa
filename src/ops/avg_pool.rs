//! Global average pooling: the mean of each plane, and its gradient.

use rayon::prelude::*;

use super::bound::{EPSILON, SMALLEST_NORMAL};
use super::case::{Case, Random, Read};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude, Shader,
    Slot, Split, Sum, nested_loops,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation],
    include_str!("../../shaders/avg_pool.wgsl"),
);

/// `output[n, c] = Σₚ input[n, c, p] / area`.
#[derive(Debug, Clone)]
pub struct AvgPoolForward {
    /// N·C.
    pub planes: usize,
    /// H·W.
    pub area: usize,
}

/// `d_input[n, c, p] = d_output[n, c] / area`.
#[derive(Debug, Clone)]
pub struct AvgPoolBackward {
    /// N·C.
    pub planes: usize,
    /// H·W.
    pub area: usize,
}

/// Roundings of `1 / area`, of the product with it, and of the reference.
const ROUNDINGS: f64 = 3.0;

/// A sum divided by the area, and the allowed error of its product with the inverse.
fn mean(sum: f64, area: usize) -> (f64, f64) {
    let mean = sum / area as f64;
    let error = ROUNDINGS * EPSILON * mean.abs() + (ROUNDINGS + 2.0) * SMALLEST_NORMAL;
    (mean, error)
}

fn constants(planes: usize, area: usize) -> Vec<(&'static str, f64)> {
    vec![
        ("PLANES", planes as f64),
        ("AREA", area as f64),
        ("INVERSE_AREA", 1.0 / area as f64),
    ]
}

impl Op for AvgPoolForward {
    fn name(&self) -> &'static str {
        "avg_pool_forward"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("input", self.planes * self.area),
            Binding::write("output", self.planes),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.planes)
            .constants(constants(self.planes, self.area))
            .longest_loop(nested_loops(&[self.area]))
    }

    /// The mean of means over equal shares, if the area has a suitable divisor.
    fn split(&self, longest: u64) -> Option<Split> {
        let fits = |area: usize| nested_loops(&[area]) <= longest;
        let divides = |shares: &usize| self.area.is_multiple_of(*shares);
        let mut shares = (2..self.area).take_while(|&shares| fits(shares));
        let shares = shares.find(|shares| divides(shares) && fits(self.area / shares))?;
        let of_shares = AvgPoolForward {
            planes: self.planes * shares,
            area: self.area / shares,
        };
        let of_means = AvgPoolForward {
            planes: self.planes,
            area: shares,
        };
        let mut split = Split::new();
        let means = split.scratch(of_shares.planes);
        split.step(of_shares, &[Slot::Input(0)], &[means]);
        split.step(of_means, &[means], &[Slot::Output(0)]);
        Some(split)
    }

    fn cost(&self) -> Cost {
        Cost::new(self.planes * (self.area + 1), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let planes = args.input(0).par_chunks(self.area).zip(args.output());
        let planes = planes.with_min_len(min_task_len(ELEMENT * self.area));
        planes.for_each(|(plane, mean)| {
            let sum: f64 = plane.iter().map(|&value| f64::from(value)).sum();
            *mean = (sum / self.area as f64) as f32;
        });
    }

    /// The sum under its own bound, then the roundings of the mean, the only ones if the sum is
    /// exact.
    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let mut sum = Sum::default();
        for p in 0..self.area {
            sum.add(args.float(0, index * self.area + p));
        }
        let (value, rounding) = mean(sum.value, self.area);
        let error = sum.error(self.area) / self.area as f64 + rounding;
        Element::Float { value, error }
    }

    /// A sum, whose bound includes the reference's rounding, and two more roundings; Σ|a| is
    /// already divided.
    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        let terms = self.area + 2;
        vec![ErrorBound::Sum { terms }]
    }
}

impl Op for AvgPoolBackward {
    fn name(&self) -> &'static str {
        "avg_pool_backward"
    }

    fn bindings(&self) -> Bindings {
        Bindings::new([
            Binding::read("d_output", self.planes),
            Binding::write("d_input", self.planes * self.area),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.planes * self.area).constants(constants(self.planes, self.area))
    }

    fn cost(&self) -> Cost {
        Cost::new(self.planes * self.area, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let gradients = args.input(0);
        let planes = args.output().par_chunks_mut(self.area).zip(gradients);
        let planes = planes.with_min_len(min_task_len(ELEMENT * self.area));
        planes.for_each(|(plane, &gradient)| {
            plane.fill((f64::from(gradient) / self.area as f64) as f32);
        });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let (value, error) = mean(args.float(0, index / self.area), self.area);
        Element::Float { value, error }
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Relative(ROUNDINGS)]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let (planes, area) = (random.size(20), random.size(90));
    let forward = AvgPoolForward { planes, area };
    let backward = AvgPoolBackward { planes, area };
    // Each is the other's transpose.
    let reads = [Read::OutputGradient];
    vec![
        Case::of_floats(forward.clone(), random).with_gradient(0, backward.clone(), &reads),
        Case::of_floats(backward, random).with_gradient(0, forward, &reads),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Planes and area of each step of a split.
    fn split(area: usize, longest: u64) -> Option<Vec<String>> {
        let split = AvgPoolForward { planes: 3, area }.split(longest)?;
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
        let of = |planes, area| format!("{:?}", AvgPoolForward { planes, area });
        assert_eq!(
            split(257 * 256, 65_535),
            Some(vec![of(6, 32_896), of(3, 2)])
        );
        assert_eq!(split(35, 6), None);
        assert_eq!(split(35, 8), Some(vec![of(15, 7), of(3, 5)]));
        assert_eq!(split(65_537, 65_535), None);
    }
}
