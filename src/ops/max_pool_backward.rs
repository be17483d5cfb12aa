//! The gradient of a max-pool: to the first maximum of each window, or to all that tie.

use rayon::prelude::*;

use super::bound::{EPSILON, SMALLEST_NORMAL};
use super::max_pool::{SHADER, input_len, output_len};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::{
    Args, Binding, Bindings, Content, Cost, Element, Elements, ErrorBound, Launch, NO_PIXEL, Op,
    Sum, nested_loops,
};
use crate::shape::WindowedPlanes;

/// `d_input[pixel]` = the sum of `d_output` over the windows whose index is that pixel: PyTorch's
/// rule. An index past the plane is no pixel: [`NO_PIXEL`], if ReLU before the pool zeroed the
/// window's maximum.
#[derive(Debug, Clone)]
pub struct MaxPoolBackward {
    /// (N·C, H, W) and the window.
    pub geometry: WindowedPlanes,
    /// Each invocation writes the pixels of a whole window; the windows must [be
    /// apart](Self::are_disjoint).
    pub disjoint: bool,
}

impl MaxPoolBackward {
    /// Whether windows tile the plane without overlap, gap or padding.
    pub fn are_disjoint(geometry: &WindowedPlanes) -> bool {
        let window = geometry.window;
        window.stride == window.kernel && window.padding == 0.into()
    }
}

/// `d_input[pixel]` = the sum of `d_output` over the windows whose maximum that pixel equals: the
/// tutorial's mask, where every tied maximum gets the full gradient. NaN equals nothing.
#[derive(Debug, Clone)]
pub struct MaxPoolBackwardAll {
    /// (N·C, H, W) and the window.
    pub geometry: WindowedPlanes,
}

/// The most windows that cover one pixel, along each axis.
fn covering(g: &WindowedPlanes) -> [usize; 2] {
    let w = g.window;
    [
        w.kernel.height.div_ceil(w.stride.height),
        w.kernel.width.div_ceil(w.stride.width),
    ]
}

/// The bound of a sum over the windows that cover a pixel; with one, a gradient is only moved.
fn gradient_bound(g: &WindowedPlanes) -> ErrorBound {
    match covering(g).iter().product() {
        1 => ErrorBound::Relative(0.0),
        terms => ErrorBound::Sum { terms },
    }
}

/// Runs `scatter(plane number, sums of the plane)` for each plane and rounds the sums into
/// `d_input`: the definition that both gradients share; the kernels gather.
fn scatter_planes(
    g: &WindowedPlanes,
    d_input: &mut [f32],
    scatter: impl Fn(usize, &mut [f64]) + Sync,
) {
    let planes = d_input.par_chunks_mut(g.input_area()).enumerate();
    let planes = planes.with_min_len(min_task_len(ELEMENT * g.input_area()));
    planes.for_each_init(Vec::new, |sums, (number, plane)| {
        sums.clear();
        sums.resize(plane.len(), 0f64);
        scatter(number, sums);
        for (pixel, sum) in plane.iter_mut().zip(sums) {
            *pixel = *sum as f32;
        }
    });
}

impl Op for MaxPoolBackward {
    fn name(&self) -> &'static str {
        if self.disjoint {
            "max_pool_backward_disjoint"
        } else {
            "max_pool_backward"
        }
    }

    fn bindings(&self) -> Bindings {
        let (g, output) = (self.geometry, output_len(&self.geometry));
        let winner = move |at, random| {
            let position = at % g.output_area();
            let position = (position / g.output.width, position % g.output.width);
            let cell = random as usize % g.kernel_area();
            let cell = (cell / g.window.kernel.width, cell % g.window.kernel.width);
            g.pixel(position, cell)
                .map_or(NO_PIXEL, |pixel| pixel as u32)
        };
        Bindings::new([
            Binding::read("indices", output).of(Content::words(winner)),
            Binding::read("d_output", output),
            Binding::write("d_input", input_len(&self.geometry)),
        ])
    }

    fn launch(&self) -> Launch {
        let g = &self.geometry;
        let (input, kernel) = (g.input, g.window.kernel);
        let windows = input.height.div_ceil(kernel.height) * input.width.div_ceil(kernel.width);
        let cells = self.geometry.window.kernel;
        let [rows, columns] = if self.disjoint {
            [cells.height, cells.width]
        } else {
            covering(&self.geometry)
        };
        Launch::new(
            SHADER,
            if self.disjoint {
                g.planes * windows
            } else {
                input_len(g)
            },
        )
        .constants(self.geometry.constants())
        .longest_loop(nested_loops(&[rows, columns]))
    }

    fn cost(&self) -> Cost {
        Cost::new(output_len(&self.geometry), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let g = self.geometry;
        let (indices, d_output) = (args.inputs[0], args.input(1));
        scatter_planes(&g, args.output(), |plane, sums| {
            let area = plane * g.output_area()..(plane + 1) * g.output_area();
            for (&pixel, &gradient) in indices[area.clone()].iter().zip(&d_output[area]) {
                if let Some(sum) = sums.get_mut(pixel as usize) {
                    *sum += f64::from(gradient);
                }
            }
        });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let g = &self.geometry;
        let (plane, pixel) = (index / g.input_area(), index % g.input_area());
        let mut sum = Sum::default();
        for position in g.cells().filter_map(|cell| g.position_over(pixel, cell)) {
            let at = plane * g.output_area() + position;
            if args.word(0, at) as usize == pixel {
                sum.add(args.float(1, at));
            }
        }
        sum.within(&gradient_bound(g))
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![gradient_bound(&self.geometry)]
    }
}

impl Op for MaxPoolBackwardAll {
    fn name(&self) -> &'static str {
        "max_pool_backward_all"
    }

    fn bindings(&self) -> Bindings {
        let (input, output) = (input_len(&self.geometry), output_len(&self.geometry));
        Bindings::new([
            Binding::read("input", input),
            Binding::read("pooled", output),
            Binding::read("d_output", output),
            Binding::write("d_input", input),
        ])
    }

    fn launch(&self) -> Launch {
        let [rows, columns] = covering(&self.geometry);
        Launch::new(SHADER, input_len(&self.geometry))
            .constants(self.geometry.constants())
            .longest_loop(nested_loops(&[rows, columns]))
    }

    fn cost(&self) -> Cost {
        let comparisons = output_len(&self.geometry) * self.geometry.kernel_area();
        Cost::new(comparisons, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let g = self.geometry;
        let (input, pooled, d_output) = (args.input(0), args.input(1), args.input(2));
        scatter_planes(&g, args.output(), |plane, sums| {
            let pixels = &input[plane * g.input_area()..];
            for (position, output) in g.positions().zip(plane * g.output_area()..) {
                for pixel in g.cells().filter_map(|cell| g.pixel(position, cell)) {
                    if pixels[pixel] == pooled[output] {
                        sums[pixel] += f64::from(d_output[output]);
                    }
                }
            }
        });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let g = &self.geometry;
        let (plane, pixel) = (index / g.input_area(), index % g.input_area());
        let mut sum = Sum::default();
        for position in g.cells().filter_map(|cell| g.position_over(pixel, cell)) {
            let at = plane * g.output_area() + position;
            if args.float(0, index) == args.float(1, at) {
                sum.add(args.float(2, at));
            }
        }
        sum.within(&gradient_bound(g))
    }

    /// Ties depend on signs, so a `Sum` bound, which takes magnitudes from absolute inputs, does
    /// not apply: the gradients of all windows of the plane bound them instead.
    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        let bound = match gradient_bound(&self.geometry) {
            ErrorBound::Sum { terms } => {
                let largest = args.input(2).iter().fold(0f32, |max, d| max.max(d.abs()));
                let n = terms as f64;
                let rounding = (n + 2.0) * n * EPSILON * f64::from(largest);
                ErrorBound::Absolute(rounding + n * SMALLEST_NORMAL)
            }
            moved => moved,
        };
        vec![bound]
    }
}
