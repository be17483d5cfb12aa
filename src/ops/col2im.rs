//! The adjoint of [`Im2col`](super::Im2col): each pixel sums the columns that read it.

use rayon::prelude::*;

use super::case::{Aside, Case, Random, Read};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::reference::windows::Windows;
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Im2col, Launch, Op, Prelude,
    Shader, Sum, nested_loops,
};
use crate::shape::{Size2d, WindowedPlanes};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation, Prelude::Window],
    include_str!("../../shaders/col2im.wgsl"),
);

/// `d_input[plane, pixel] = Σ d_columns[plane, cell, position]` over the cells and positions that
/// read that pixel. The gather form: no two invocations write one element, so no atomics.
#[derive(Debug, Clone)]
pub struct Col2im {
    /// (N·C, H, W) and the sliding window.
    pub geometry: WindowedPlanes,
}

impl Op for Col2im {
    fn name(&self) -> &'static str {
        "col2im"
    }

    fn bindings(&self) -> Bindings {
        let g = &self.geometry;
        Bindings::new([
            Binding::read("d_columns", g.planes * g.kernel_area() * g.output_area()),
            Binding::write("d_input", g.planes * g.input_area()),
        ])
    }

    fn launch(&self) -> Launch {
        let Size2d { height, width } = self.geometry.window.kernel;
        Launch::new(SHADER, self.geometry.planes * self.geometry.input_area())
            .constants(self.geometry.constants())
            .longest_loop(nested_loops(&[height, width]))
    }

    fn cost(&self) -> Cost {
        let g = &self.geometry;
        let additions = g.planes * g.kernel_area() * g.output_area();
        Cost::new(additions, &self.bindings())
    }

    /// The scatter form, which is the definition of an adjoint; the kernel gathers.
    fn reference(&self, args: &mut Args<'_>) {
        let g = self.geometry;
        let windows = Windows::new(1, g);
        let len = g.kernel_area() * g.output_area();
        let planes = args.input(0).par_chunks(len);
        let planes = planes.zip(args.output().par_chunks_mut(g.input_area()));
        let planes = planes.with_min_len(min_task_len(ELEMENT * len));
        let padded = || vec![0f64; windows.len()];
        planes.for_each_init(padded, |padded, (columns, plane)| {
            padded.fill(0.0);
            for (&cell, column) in windows.cells.iter().zip(columns.chunks(g.output_area())) {
                let padded = &mut padded[cell..];
                for (&value, &position) in column.iter().zip(&windows.positions) {
                    padded[position] += f64::from(value);
                }
            }
            windows.crop(padded, plane);
        });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let g = &self.geometry;
        let (plane, pixel) = (index / g.input_area(), index % g.input_area());
        let mut sum = Sum::default();
        for (cell, at) in g.cells().enumerate() {
            if let Some(position) = g.position_over(pixel, at) {
                let column = plane * g.kernel_area() + cell;
                sum.add(args.float(0, column * g.output_area() + position));
            }
        }
        sum.within(&ErrorBound::Sum {
            terms: g.kernel_area(),
        })
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        let terms = self.geometry.kernel_area();
        vec![ErrorBound::Sum { terms }]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    random.with_asides(&[Aside::Dilated, Aside::Uneven], draw)
}

fn draw(random: &mut Random) -> Vec<Case> {
    let geometry = random.geometry();
    let case = Case::of_floats(Col2im { geometry }, random);
    vec![case.with_gradient(
        0,
        Im2col {
            geometry,
            fours: false,
        },
        &[Read::OutputGradient],
    )]
}
