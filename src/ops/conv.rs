//! Convolution and its gradients as matrix products whose im2col columns are read from the image where
//! they stand, and never written.

use rayon::prelude::*;

use super::arithmetic::{Factor, RowPanels, Sums, items_of_a_task, tables};
use super::case::{Case, Random, Read};
use super::windows::{Convolution, Scratch, Windows};
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

    /// The planes of image `n`, and what follows.
    pub(super) fn image<'a>(&self, input: &'a [f32], n: usize) -> &'a [f32] {
        &input[n * self.in_channels * self.geometry.input_area()..]
    }

    /// The windows on an image.
    pub(super) fn windows(&self) -> Windows {
        Windows::new(self.in_channels, self.geometry)
    }

    /// The fewest images of a task of the reference.
    pub(super) fn images_of_a_task(&self) -> usize {
        items_of_a_task(self.flop() / (2 * self.batch))
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
/// pixel: the adjoint of the forward pass. A weight that no window lays on a pixel adds nothing to it, even
/// where it is infinite.
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
        let (input, weight, bias) = (args.input(0), args.input(1), args.input(2));
        let convolution = Convolution::new(s, weight);
        let images = args.output().par_chunks_mut(s.output_len() / s.batch).enumerate();
        let images = images.with_min_len(s.images_of_a_task());
        images.for_each_init(Scratch::default, |scratch, (n, output)| {
            let sums = convolution.of_image(input, n, scratch);
            sums.each_row(output, |[o, _], output, sums| {
                for (value, sum) in output.iter_mut().zip(sums) {
                    let biased = sum + f64::from(bias[o]);
                    let passes = !self.relu || biased > 0.0 || biased.is_nan();
                    *value = if passes { biased as f32 } else { 0.0 };
                }
            });
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

    /// The gradient of the unrolled windows, each element added to the pixel that it was read from.
    fn reference(&self, args: &mut Args<'_>) {
        let s = self.sizes;
        let (weight, d_output) = (args.input(0), args.input(1));
        let area = s.geometry.output_area();
        let [cells, outputs] = tables([s.fan_in(), s.out_channels], true);
        let weight = Factor { values: weight, rows: &cells, columns: &outputs }.row_panels();
        let [channels, positions] = tables([s.out_channels, area], false);
        let windows = s.windows();
        let images = args.output().par_chunks_mut(s.input_len() / s.batch).enumerate();
        let images = images.with_min_len(s.images_of_a_task());
        let scratch = || (Sums::default(), vec![0.0; windows.len()]);
        images.for_each_init(scratch, |(sums, padded), (n, d_input)| {
            let gradients = Factor {
                values: &d_output[n * s.out_channels * area..],
                rows: &channels,
                columns: &positions,
            };
            sums.set_zero(s.fan_in(), area);
            sums.add_product(&weight, &gradients);
            padded.fill(0.0);
            windows.scatter(sums, padded);
            windows.crop(padded, d_input);
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
        let area = s.geometry.output_area();
        let [channels, positions] = tables([s.out_channels, area], false);
        let windows = s.windows();
        let (d_weight, d_bias) = args.two_outputs();
        let d_bias = d_bias.par_chunks_mut(s.out_channels);
        let parts = d_weight.par_chunks_mut(s.weight_len()).zip(d_bias).enumerate();
        let parts = parts.with_min_len(s.images_of_a_task().div_ceil(self.images_of_part()));
        parts.for_each(|(part, (d_weight, d_bias))| {
            let mut padded = vec![0.0; windows.len()];
            let (mut sums, mut packed) = (Sums::default(), RowPanels::default());
            let mut totals = vec![0f64; s.out_channels];
            sums.set_zero(s.out_channels, s.fan_in());
            let first = (part * self.images_of_part()).min(s.batch);
            for n in first..(first + self.images_of_part()).min(s.batch) {
                let gradients = Factor {
                    values: &d_output[n * s.out_channels * area..],
                    rows: &channels,
                    columns: &positions,
                };
                for (total, sum) in totals.iter_mut().zip(gradients.row_sums()) {
                    *total += sum;
                }
                gradients.row_panels_into(&mut packed);
                windows.pad(s.image(input, n), &mut padded);
                sums.add_product(&packed, &windows.unrolled(&padded).transposed());
            }
            sums.each_row(d_weight, |_, d_weight, sums| {
                for (value, &sum) in d_weight.iter_mut().zip(sums) {
                    *value = sum as f32;
                }
            });
            for (value, total) in d_bias.iter_mut().zip(totals) {
                *value = total as f32;
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
