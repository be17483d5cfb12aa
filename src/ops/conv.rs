//! Convolution and its gradients as matrix products whose im2col columns are read from the image where
//! they stand, and never written.

use rayon::prelude::*;

use super::case::{Case, Random, Read};
use super::{Args, Bindings, Cost, ErrorBound, Op, flag};
use crate::shape::{Size2d, WindowedPlanes};

const SHADER: &str = include_str!("../../shaders/conv.wgsl");

/// Rows and columns of the product that one invocation computes; as in the shader.
const TILE: usize = 8;

/// The sizes of a convolution: input (N, C, H, W), weight (O, C, KH, KW), output (N, O, OH, OW).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvSizes {
    /// N.
    pub batch: usize,
    /// C.
    pub in_channels: usize,
    /// O.
    pub out_channels: usize,
    /// (N·C, H, W) and the window.
    pub geometry: WindowedPlanes,
}

impl ConvSizes {
    /// C·KH·KW: the weights of one output channel.
    pub fn fan_in(&self) -> usize {
        self.in_channels * self.geometry.kernel_area()
    }

    /// N·C·H·W.
    pub fn input_len(&self) -> usize {
        self.batch * self.in_channels * self.geometry.input_area()
    }

    /// O·C·KH·KW.
    pub fn weight_len(&self) -> usize {
        self.out_channels * self.fan_in()
    }

    /// N·O·OH·OW.
    pub fn output_len(&self) -> usize {
        self.batch * self.out_channels * self.geometry.output_area()
    }

    pub(super) fn constants(&self) -> Vec<(&'static str, f64)> {
        let sizes = [("BATCH", self.batch), ("C", self.in_channels), ("O", self.out_channels)];
        let sizes = sizes.into_iter().map(|(name, size)| (name, size as f64));
        let windows = self.geometry.constants().into_iter().filter(|(name, _)| *name != "PLANES");
        sizes.chain(windows).collect()
    }

    /// Multiply-adds count two.
    pub(super) fn flop(&self) -> usize {
        2 * self.output_len() * self.fan_in()
    }

    pub(super) fn random(random: &mut Random) -> Self {
        let geometry = random.geometry();
        let (batch, in_channels) = (random.size(3), random.size(5));
        ConvSizes {
            batch,
            in_channels,
            out_channels: random.size(19),
            geometry: WindowedPlanes { planes: batch * in_channels, ..geometry },
        }
    }

    /// The pixel of the input plane under a cell at each output position, cell by cell; none on the
    /// padding.
    pub(super) fn taps(&self) -> Vec<Vec<Option<usize>>> {
        let g = self.geometry;
        let at = |cell| g.positions().map(|position| g.pixel(position, cell)).collect();
        g.cells().map(at).collect()
    }

    /// The plane of output channel `o` of image `n`, in f64: cell by cell, each weight times the
    /// shifted plane.
    pub(super) fn output_plane(
        &self,
        [n, o]: [usize; 2],
        [input, weight]: [&[f32]; 2],
        taps: &[Vec<Option<usize>>],
    ) -> Vec<f64> {
        let mut sums = vec![0f64; self.geometry.output_area()];
        for c in 0..self.in_channels {
            let plane = &input[(n * self.in_channels + c) * self.geometry.input_area()..];
            for (cell, pixels) in taps.iter().enumerate() {
                let at = (o * self.in_channels + c) * taps.len() + cell;
                let factor = f64::from(weight[at]);
                for (sum, pixel) in sums.iter_mut().zip(pixels) {
                    *sum += factor * pixel.map_or(0.0, |pixel| f64::from(plane[pixel]));
                }
            }
        }
        sums
    }
}

/// `output[n, o] = Σ_c input[n, c] ⋆ weight[o, c] + bias[o]`, then the rectifier with `relu`.
#[derive(Debug, Clone)]
pub struct ConvForward {
    /// The sizes.
    pub sizes: ConvSizes,
    /// Whether the rectifier follows.
    pub relu: bool,
}

/// `d_input[n, c] = Σ_o` of `d_output[n, o]` under every position of `weight[o, c]` that covers the
/// pixel: the adjoint of the forward pass.
#[derive(Debug, Clone)]
pub struct ConvBackwardInput {
    /// The sizes.
    pub sizes: ConvSizes,
}

/// For each of `parts` groups of images, `d_weight[part, o, c, kh, kw] = Σ d_output[n, o, p] ·
/// input[n, c, pixel under (kh, kw) at p]` and `d_bias[part, o] = Σ d_output[n, o, p]`;
/// [`ReduceSum`](super::ReduceSum) adds the parts in a fixed order.
#[derive(Debug, Clone)]
pub struct ConvBackwardWeight {
    /// The sizes.
    pub sizes: ConvSizes,
    /// Groups of images.
    pub parts: usize,
}

impl Op for ConvForward {
    fn name(&self) -> &'static str {
        "conv_forward"
    }

    fn shader(&self) -> &'static str {
        SHADER
    }

    fn bindings(&self) -> Bindings {
        let s = &self.sizes;
        Bindings {
            inputs: vec![
                ("input", s.input_len()),
                ("weight", s.weight_len()),
                ("bias", s.out_channels),
            ],
            outputs: vec![("output", s.output_len())],
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        let mut constants = self.sizes.constants();
        constants.push(("RELU", flag(self.relu)));
        constants
    }

    fn invocations(&self) -> u64 {
        let s = &self.sizes;
        let columns = (s.batch * s.geometry.output_area()).div_ceil(TILE);
        (s.out_channels.div_ceil(TILE) * columns) as u64
    }

    fn cost(&self) -> Cost {
        Cost::new(self.sizes.flop(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let s = self.sizes;
        let (factors, bias) = ([args.input(0), args.input(1)], args.input(2));
        let taps = s.taps();
        let planes = args.output().par_chunks_mut(s.geometry.output_area());
        planes.enumerate().for_each(|(plane, output)| {
            let o = plane % s.out_channels;
            let sums = s.output_plane([plane / s.out_channels, o], factors, &taps);
            for (value, sum) in output.iter_mut().zip(sums) {
                let biased = sum + f64::from(bias[o]);
                let passes = !self.relu || biased > 0.0 || biased.is_nan();
                *value = if passes { biased as f32 } else { 0.0 };
            }
        });
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Products { terms: self.sizes.fan_in() + 1 }]
    }
}

impl Op for ConvBackwardInput {
    fn name(&self) -> &'static str {
        "conv_backward_input"
    }

    fn shader(&self) -> &'static str {
        SHADER
    }

    fn bindings(&self) -> Bindings {
        let s = &self.sizes;
        Bindings {
            inputs: vec![("weight", s.weight_len()), ("d_output", s.output_len())],
            outputs: vec![("d_input", s.input_len())],
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        self.sizes.constants()
    }

    fn invocations(&self) -> u64 {
        let s = &self.sizes;
        let columns = (s.batch * s.geometry.input_area()).div_ceil(TILE);
        (s.in_channels.div_ceil(TILE) * columns) as u64
    }

    fn cost(&self) -> Cost {
        Cost::new(self.sizes.flop(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let s = self.sizes;
        let (weight, d_output) = (args.input(0), args.input(1));
        let taps = s.taps();
        let area = s.geometry.output_area();
        let planes = args.output().par_chunks_mut(s.geometry.input_area()).enumerate();
        planes.for_each(|(plane, d_input)| {
            let (n, c) = (plane / s.in_channels, plane % s.in_channels);
            let mut sums = vec![0f64; d_input.len()];
            for o in 0..s.out_channels {
                let gradients = &d_output[(n * s.out_channels + o) * area..][..area];
                for (cell, pixels) in taps.iter().enumerate() {
                    let factor = f64::from(weight[(o * s.in_channels + c) * taps.len() + cell]);
                    for (&gradient, pixel) in gradients.iter().zip(pixels) {
                        if let Some(pixel) = *pixel {
                            sums[pixel] += factor * f64::from(gradient);
                        }
                    }
                }
            }
            for (value, sum) in d_input.iter_mut().zip(sums) {
                *value = sum as f32;
            }
        });
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        let Size2d { height, width } = self.sizes.geometry.window.kernel;
        vec![ErrorBound::Products { terms: self.sizes.out_channels * height * width }]
    }
}

impl ConvBackwardWeight {
    fn images_of_part(&self) -> usize {
        self.sizes.batch.div_ceil(self.parts)
    }
}

impl Op for ConvBackwardWeight {
    fn name(&self) -> &'static str {
        "conv_backward_weight"
    }

    fn shader(&self) -> &'static str {
        SHADER
    }

    fn bindings(&self) -> Bindings {
        let s = &self.sizes;
        Bindings {
            inputs: vec![("input", s.input_len()), ("d_output", s.output_len())],
            outputs: vec![
                ("d_weight", self.parts * s.weight_len()),
                ("d_bias", self.parts * s.out_channels),
            ],
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        let mut constants = self.sizes.constants();
        constants.push(("PARTS", self.parts as f64));
        constants
    }

    fn invocations(&self) -> u64 {
        let tiles = self.sizes.out_channels.div_ceil(TILE) * self.sizes.fan_in().div_ceil(TILE);
        (self.parts * tiles) as u64
    }

    fn cost(&self) -> Cost {
        Cost::new(self.sizes.flop(), &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let s = self.sizes;
        let (input, d_output) = (args.input(0), args.input(1));
        let taps = s.taps();
        let area = s.geometry.output_area();
        let images = |part: usize| {
            let first = (part * self.images_of_part()).min(s.batch);
            first..(first + self.images_of_part()).min(s.batch)
        };
        let gradients = |n: usize, o: usize| &d_output[(n * s.out_channels + o) * area..][..area];
        let (d_weight, d_bias) = args.two_outputs();
        for (at, sum) in d_bias.iter_mut().enumerate() {
            let all = images(at / s.out_channels).flat_map(|n| gradients(n, at % s.out_channels));
            *sum = all.map(|&gradient| f64::from(gradient)).sum::<f64>() as f32;
        }
        let channels = d_weight.par_chunks_mut(taps.len()).enumerate();
        channels.for_each(|(at, d_weight)| {
            let (o, c) = (at / s.in_channels % s.out_channels, at % s.in_channels);
            let mut sums = vec![0f64; taps.len()];
            for n in images(at / (s.in_channels * s.out_channels)) {
                let plane = &input[(n * s.in_channels + c) * s.geometry.input_area()..];
                for (sum, pixels) in sums.iter_mut().zip(&taps) {
                    let products = gradients(n, o).iter().zip(pixels).map(|(&gradient, pixel)| {
                        f64::from(gradient) * pixel.map_or(0.0, |pixel| f64::from(plane[pixel]))
                    });
                    *sum += products.sum::<f64>();
                }
            }
            for (value, sum) in d_weight.iter_mut().zip(sums) {
                *value = sum as f32;
            }
        });
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        let terms = self.images_of_part() * self.sizes.geometry.output_area();
        vec![ErrorBound::Products { terms }, ErrorBound::Sum { terms }]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let sizes = ConvSizes::random(random);
    let forward = Case::of_floats(ConvForward { sizes, relu: false }, random);
    let whole = ConvBackwardWeight { sizes, parts: 1 };
    let parts = random.size(sizes.batch);
    vec![
        forward
            .with_gradient(0, ConvBackwardInput { sizes }, &[Read::Input(1), Read::OutputGradient])
            .with_gradient(1, whole, &[Read::Input(0), Read::OutputGradient]),
        Case::of_floats(ConvForward { sizes, relu: true }, random),
        Case::of_floats(ConvBackwardInput { sizes }, random),
        Case::of_floats(ConvBackwardWeight { sizes, parts }, random),
    ]
}
