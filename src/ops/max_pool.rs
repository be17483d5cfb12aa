//! The maximum of each window, and its gradient: to the first maximum, or to all that tie.

use rayon::prelude::*;

use super::case::{Aside, Case, Random, Read};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::{
    Args, Binding, Bindings, Content, Cost, Element, Elements, ErrorBound, Launch, MaxPoolBackward,
    MaxPoolBackwardAll, NO_PIXEL, Op, Prelude, Shader, Step, flag, nested_loops, ordered_key,
};
use crate::shape::{Size2d, Window, WindowedPlanes};

pub(super) const SHADER: Shader = Shader::new(
    &[
        Prelude::Invocation,
        Prelude::Order,
        Prelude::Pool,
        Prelude::Window,
    ],
    include_str!("../../shaders/max_pool.wgsl"),
);

/// `output` = the window's maximum, `indices` = its pixel on the plane. The first maximum in
/// row-major order wins, the first NaN wins over every number; padding never wins.
///
/// With `relu`, it pools the input after ReLU: where the maximum is not above zero, `output` is 0
/// and the index is [`NO_PIXEL`], which receives no gradient.
#[derive(Debug, Clone)]
pub struct MaxPoolForward {
    /// (N·C, H, W) and the window.
    pub geometry: WindowedPlanes,
    /// Whether ReLU precedes the pool.
    pub relu: bool,
}

pub(super) fn input_len(g: &WindowedPlanes) -> usize {
    g.planes * g.input_area()
}

pub(super) fn output_len(g: &WindowedPlanes) -> usize {
    g.planes * g.output_area()
}

impl Op for MaxPoolForward {
    fn name(&self) -> &'static str {
        "max_pool_forward"
    }

    fn bindings(&self) -> Bindings {
        let output = output_len(&self.geometry);
        Bindings::new([
            Binding::read("input", input_len(&self.geometry)).of(Content::Spread),
            Binding::write("output", output),
            Binding::write("indices", output).of(Content::Any),
        ])
    }

    fn launch(&self) -> Launch {
        let mut constants = self.geometry.constants();
        constants.push(("RELU", flag(self.relu)));
        let Size2d { height, width } = self.geometry.window.kernel;
        Launch::new(SHADER, output_len(&self.geometry))
            .constants(constants)
            .longest_loop(nested_loops(&[height, width]))
    }

    fn cost(&self) -> Cost {
        let comparisons = output_len(&self.geometry) * self.geometry.kernel_area();
        Cost::new(comparisons, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let g = self.geometry;
        let pixels = |position| g.cells().filter_map(move |cell| g.pixel(position, cell));
        let windows: Vec<Vec<usize>> = g.positions().map(|at| pixels(at).collect()).collect();
        let planes = args.input(0).par_chunks(g.input_area());
        let (outputs, indices) = args.outputs.split_at_mut(1);
        let outputs = outputs[0].par_chunks_mut(g.output_area());
        let indices = indices[0].par_chunks_mut(g.output_area());
        let planes = planes.zip(outputs).zip(indices);
        let planes = planes.with_min_len(min_task_len(ELEMENT * g.input_area()));
        planes.for_each(|((plane, outputs), indices)| {
            for (window, (output, index)) in windows.iter().zip(outputs.iter_mut().zip(indices)) {
                // Branch-free: which pixel wins is unpredictable.
                let mut best = (0, *index);
                for &pixel in window {
                    let key = ordered_key(plane[pixel]);
                    best = if key > best.0 {
                        (key, pixel as u32)
                    } else {
                        best
                    };
                }
                *index = best.1;
                *output = plane[*index as usize].to_bits();
                if self.relu && best.0 <= ordered_key(0.0) {
                    (*output, *index) = (0, NO_PIXEL);
                }
            }
        });
    }

    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        let g = &self.geometry;
        let (plane, position) = (index / g.output_area(), index % g.output_area());
        let position = (position / g.output.width, position % g.output.width);
        let mut best = (0, 0, 0);
        for pixel in g.cells().filter_map(|cell| g.pixel(position, cell)) {
            let word = args.word(0, plane * g.input_area() + pixel);
            let key = ordered_key(f32::from_bits(word));
            best = if key > best.0 {
                (key, word, pixel as u32)
            } else {
                best
            };
        }
        if self.relu && best.0 <= ordered_key(0.0) {
            best = (0, 0, NO_PIXEL);
        }
        Element::Word(if output == 0 { best.1 } else { best.2 })
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Exact; 2]
    }
}

/// The forward pass of `input`: the maxima, and their pixels.
fn pooled(op: &MaxPoolForward, input: &[u32]) -> [Vec<u32>; 2] {
    let [mut output, mut indices] = [(); 2].map(|()| vec![0; output_len(&op.geometry)]);
    op.reference(&mut Args {
        inputs: vec![input],
        outputs: vec![&mut output, &mut indices],
        step: &Step::new(0, 1, 0, 0.0),
    });
    [output, indices]
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    random.with_asides(&[Aside::Uneven], draw)
}

fn draw(random: &mut Random) -> Vec<Case> {
    let geometry = random.geometry();
    let rectified = Case::of_floats(
        MaxPoolForward {
            geometry,
            relu: true,
        },
        random,
    );
    let forward = MaxPoolForward {
        geometry,
        relu: false,
    };
    let input = random.floats(input_len(&geometry));
    let [output, mut indices] = pooled(&forward, &input);
    for index in &mut indices {
        if random.below(8) == 0 {
            *index = NO_PIXEL;
        }
    }
    let gradients = random.floats(output_len(&geometry));

    let window = Window {
        stride: geometry.window.kernel,
        padding: 0.into(),
        ..geometry.window
    };
    // The plane is at least as large as the window, so it fits.
    let apart = window.output(geometry.input, "").unwrap_or(geometry.output);
    let apart = WindowedPlanes {
        output: apart,
        window,
        ..geometry
    };
    let [_, apart_indices] = pooled(
        &MaxPoolForward {
            geometry: apart,
            relu: true,
        },
        &input,
    );
    let apart_gradients = random.floats(output_len(&apart));

    let first = [Read::Output(1), Read::OutputGradient];
    let all = [Read::Input(0), Read::Output(0), Read::OutputGradient];
    let backward = MaxPoolBackward {
        geometry,
        disjoint: false,
    };
    let disjoint = MaxPoolBackward {
        geometry: apart,
        disjoint: true,
    };
    vec![
        rectified,
        Case::of(forward, vec![input.clone()], random)
            .with_gradient(0, backward.clone(), &first)
            .with_gradient(0, MaxPoolBackwardAll { geometry }, &all),
        Case::of(backward, vec![indices, gradients.clone()], random),
        Case::of(disjoint, vec![apart_indices, apart_gradients], random),
        Case::of(
            MaxPoolBackwardAll { geometry },
            vec![input, output, gradients],
            random,
        ),
    ]
}
