//! Unrolls every window of an image into a column, so that convolution becomes a matrix product.

use rayon::prelude::*;

use super::case::{Aside, Case, Random, Read};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::reference::windows::Windows;
use super::{
    Args, Binding, Bindings, Col2im, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude,
    Shader,
};
use crate::shape::WindowedPlanes;

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation, Prelude::Loads, Prelude::Window],
    include_str!("../../shaders/im2col.wgsl"),
);

/// `columns[plane, cell, position] = input[plane, pixel under that cell at that position]`, zero on
/// the padding. With planes N·C this is `cols[n]` of shape (C·KH·KW, OH·OW) for each image.
#[derive(Debug, Clone)]
pub struct Im2col {
    /// (N·C, H, W) and the sliding window.
    pub geometry: WindowedPlanes,
    /// Each invocation writes four adjacent elements; OH·OW must be a multiple of four.
    pub fours: bool,
}

impl Op for Im2col {
    fn name(&self) -> &'static str {
        if self.fours { "im2col_4" } else { "im2col" }
    }

    fn bindings(&self) -> Bindings {
        let g = &self.geometry;
        Bindings::new([
            Binding::read("input", g.planes * g.input_area()),
            Binding::write("columns", g.planes * g.kernel_area() * g.output_area()),
        ])
    }

    fn launch(&self) -> Launch {
        let g = &self.geometry;
        let elements = g.planes * g.kernel_area() * g.output_area();
        Launch::new(SHADER, if self.fours { elements / 4 } else { elements })
            .constants(self.geometry.constants())
    }

    fn cost(&self) -> Cost {
        Cost::new(0, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let g = self.geometry;
        let windows = Windows::new(1, g);
        let len = g.kernel_area() * g.output_area();
        let planes = args.input(0).par_chunks(g.input_area());
        let planes = planes.zip(args.output().par_chunks_mut(len));
        let planes = planes.with_min_len(min_task_len(ELEMENT * len));
        let padded = || vec![0f32; windows.len()];
        planes.for_each_init(padded, |padded, (plane, columns)| {
            windows.pad(plane, padded);
            for (&cell, column) in windows
                .cells
                .iter()
                .zip(columns.chunks_mut(g.output_area()))
            {
                let padded = &padded[cell..];
                for (value, &position) in column.iter_mut().zip(&windows.positions) {
                    *value = padded[position];
                }
            }
        });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let g = &self.geometry;
        let (column, position) = (index / g.output_area(), index % g.output_area());
        let (plane, cell) = (column / g.kernel_area(), column % g.kernel_area());
        let (kw, ow) = (g.window.kernel.width, g.output.width);
        let pixel = g.pixel((position / ow, position % ow), (cell / kw, cell % kw));
        Element::moved(pixel.map_or(0.0, |pixel| args.float(0, plane * g.input_area() + pixel)))
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Exact]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    random.with_asides(&[Aside::Dilated, Aside::Uneven], draw)
}

fn draw(random: &mut Random) -> Vec<Case> {
    let geometry = random.geometry();
    let fours = geometry.output_area().is_multiple_of(4);
    let fast = Case::of_floats(Im2col { geometry, fours }, random);
    let case = Case::of_floats(
        Im2col {
            geometry,
            fours: false,
        },
        random,
    );
    vec![
        fast,
        case.with_gradient(0, Col2im { geometry }, &[Read::OutputGradient]),
    ]
}
