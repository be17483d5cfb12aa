//! Convolution, bias, ReLU and 2×2 max-pool in one kernel, and the gradient of its weights: for few
//! input channels, where the images are read directly, or the data set's bytes instead of a
//! gathered batch.

use rayon::prelude::*;

use super::bound::sum_error;
use super::case::{Aside, Case, Random};
use super::element::passes;
use super::reference::windows::{Convolution, Scratch};
use super::sizes::conv_pool::{
    constants, cost, images, inputs, pooled_len, pooled_size, value_at, windows,
};
use super::{
    Args, Binding, Bindings, Content, ConvPoolBackwardWeight, ConvSizes, Cost, Element, Elements,
    ErrorBound, Launch, Op, Prelude, Shader, Sum, nested_loops,
};
use crate::shape::{Size2d, Window, WindowedPlanes};

pub(super) const SHADER: Shader = Shader::new(
    &[
        Prelude::Invocation,
        Prelude::Step,
        Prelude::Loads,
        Prelude::Pool,
        Prelude::Window,
    ],
    include_str!("../../shaders/conv_pool.wgsl"),
);

/// The index of a window whose maximum ReLU zeroed: it receives no gradient.
pub const NO_PIXEL: u32 = u32::MAX;

/// The largest filter: a row fits a `vec4`, the filter a `mat4x4`.
const LARGEST: usize = 4;

/// Adjacent windows per invocation, and their channels; the same as in the shader.
pub(super) const TILE: usize = 4;

/// `pooled` = the maximum of each 2×2 window of `relu(input ⋆ weight + bias)`, and `indices` = its
/// pixel on the convolution's plane, or [`NO_PIXEL`] if that maximum is not above zero.
#[derive(Debug, Clone)]
pub struct ConvPoolForward {
    /// The convolution's sizes, of stride 1 and dilation 1.
    pub sizes: ConvSizes,
    /// If set, the number of samples in the data set; its bytes are read through `order`, as by
    /// [`Gather`](super::Gather). Otherwise `input` is the batch, and `order` is ignored.
    pub gathered: Option<usize>,
}

impl ConvPoolForward {
    /// Whether the sizes fit: stride 1, dilation 1, a filter of at most 4×4, an output
    /// with at least one window.
    pub fn fits(sizes: &ConvSizes) -> bool {
        let WindowedPlanes { output, window, .. } = sizes.geometry;
        window.stride == 1.into()
            && window.dilation == 1.into()
            && window.kernel.height <= LARGEST
            && window.kernel.width <= LARGEST
            && output.height >= 2
            && output.width >= 2
    }
}

/// Every output plane of the convolution, in f64 and without the bias.
fn planes_of(sizes: ConvSizes, input: &[f32], weight: &[f32]) -> Vec<Vec<f64>> {
    let (convolution, mut scratch) = (Convolution::new(sizes, weight), Scratch::default());
    let images = (0..sizes.batch).flat_map(|n| {
        let sums = convolution.of_image(input, n, &mut scratch);
        let plane = |o| sums.row(o).flatten().copied().collect();
        (0..sizes.out_channels).map(plane).collect::<Vec<_>>()
    });
    images.collect()
}

/// The bits of the first maximum of a window and its pixel, or 0 and [`NO_PIXEL`] if it is not
/// above zero. The first NaN is above all.
fn rectified_maximum(plane: &[f64], window: [usize; 4]) -> (u32, u32) {
    let (mut winner, mut best) = (window[0], plane[window[0]]);
    for pixel in window {
        let (value, stays) = (plane[pixel], best >= plane[pixel] || best.is_nan());
        (winner, best) = if stays {
            (winner, best)
        } else {
            (pixel, value)
        };
    }
    if passes(best) {
        ((best as f32).to_bits(), winner as u32)
    } else {
        (0, NO_PIXEL)
    }
}

impl Op for ConvPoolForward {
    fn name(&self) -> &'static str {
        "conv_pool_forward"
    }

    fn bindings(&self) -> Bindings {
        let (s, pooled) = (&self.sizes, pooled_len(&self.sizes));
        let [input, order] = inputs(s, self.gathered);
        Bindings::new([
            input,
            Binding::read("weight", s.weight_len()),
            Binding::read("bias", s.out_channels),
            order,
            Binding::write("pooled", pooled),
            Binding::write("indices", pooled).of(Content::Any),
        ])
    }

    fn launch(&self) -> Launch {
        let (height, width) = pooled_size(&self.sizes);
        let tiles = self.sizes.out_channels.div_ceil(TILE) * height * width.div_ceil(TILE);
        Launch::new(SHADER, self.sizes.batch * tiles)
            .constants(constants(&self.sizes, self.gathered, false))
            .longest_loop(nested_loops(&[
                self.sizes.in_channels,
                self.sizes.geometry.window.kernel.height,
            ]))
    }

    fn rows(&self) -> usize {
        let rows = self.sizes.batch;
        self.gathered.map_or(rows, |samples| rows.min(samples))
    }

    fn cost(&self) -> Cost {
        cost(
            self.sizes.flop(),
            &self.sizes,
            self.gathered,
            self.bindings(),
        )
    }

    fn reference(&self, args: &mut Args<'_>) {
        let s = self.sizes;
        let (weight, bias) = (args.input(1), args.input(2));
        let input = images(&s, self.gathered, args);
        let convolution = Convolution::new(s, weight);
        let pixels: Vec<[usize; 4]> = windows(&s).collect();
        let area = pooled_len(&s) / (s.batch * s.out_channels);
        let (pooled, indices) = args.outputs.split_at_mut(1);
        let pooled = pooled[0].par_chunks_mut(s.out_channels * area);
        let images = pooled
            .zip(indices[0].par_chunks_mut(s.out_channels * area))
            .enumerate();
        let images = images.with_min_len(s.images_of_a_task());
        let scratch = || (Scratch::default(), Vec::new());
        images.for_each_init(scratch, |(scratch, plane), (n, (pooled, indices))| {
            let sums = convolution.of_image(&input, n, scratch);
            let planes = pooled
                .chunks_mut(area)
                .zip(indices.chunks_mut(area))
                .enumerate();
            for (o, (pooled, indices)) in planes {
                plane.clear();
                for sums in sums.row(o) {
                    plane.extend(sums.iter().map(|sum| sum + f64::from(bias[o])));
                }
                for ((&pixels, pooled), index) in pixels.iter().zip(pooled).zip(indices) {
                    (*pooled, *index) = rectified_maximum(plane, pixels);
                }
            }
        });
    }

    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        let s = &self.sizes;
        let (height, width) = pooled_size(s);
        let (plane, window) = (index / (height * width), index % (height * width));
        let (n, o) = (plane / s.out_channels, plane % s.out_channels);
        let row = s.geometry.output.width;
        let first = 2 * (window / width) * row + 2 * (window % width);
        let bound = ErrorBound::Products {
            terms: s.fan_in() + 1,
        };
        let pixels = [first, first + 1, first + row, first + row + 1];
        let sums = pixels.map(|position| {
            let mut sum = s.output_at(args, [n, o, position], &|at| {
                value_at(s, self.gathered, args, at)
            });
            sum.add(args.float(2, o));
            (sum, sum.error(s.fan_in() + 1))
        });
        if output == 0 {
            let largest = |a: Sum, b: Sum| if b.value > a.value { b } else { a };
            let error = sums
                .iter()
                .fold(0.0, |error: f64, (_, own)| error.max(*own));
            let sums = sums.map(|(sum, _)| sum);
            let maximum = sums[1..]
                .iter()
                .fold(sums[0], |best, &sum| largest(best, sum));
            return match maximum.rectified(&bound) {
                Element::Float { value, error: own } => Element::Float {
                    value,
                    error: own.max(error),
                },
                other => other,
            };
        }
        let floor = sums.iter().fold(f64::NEG_INFINITY, |floor, (s, error)| {
            floor.max(s.value - error)
        });
        let mut words = Vec::new();
        for ((sum, error), pixel) in sums.iter().zip(pixels) {
            // A tie of exact values goes to the first.
            let is_tie = |word: &u32| *word != NO_PIXEL && sum.is_exact() && floor == sum.value;
            let highest = sum.value + error;
            if !(highest < floor || highest <= 0.0 || words.iter().any(is_tie)) {
                words.push(pixel as u32);
            }
        }
        if floor <= 0.0 {
            words.push(NO_PIXEL);
        }
        Element::AnyOf(words)
    }

    /// The maximum of sums is as accurate as the sums are. Its pixel may differ if two are within
    /// their errors of each other, and so may the result of ReLU if it is within its error of zero.
    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        let s = self.sizes;
        let flushed = |x: f32| if x.is_subnormal() { 0.0 } else { x.abs() };
        let input = images(&s, self.gathered, args);
        let magnitudes_by = |magnitude: fn(f32) -> f32| {
            [&input, args.input(1)].map(|x| x.iter().map(|&x| magnitude(x)).collect::<Vec<f32>>())
        };
        let (all, kept) = (magnitudes_by(f32::abs), magnitudes_by(flushed));
        let planes = |[input, weight]: [&[f32]; 2]| planes_of(s, input, weight).into_iter();
        let mut choices = Vec::with_capacity(pooled_len(&s));
        let sums = planes([&input, args.input(1)]);
        let magnitudes = planes([&all[0], &all[1]]);
        let unflushed = planes([&kept[0], &kept[1]]);
        for (plane, ((sums, magnitudes), unflushed)) in
            sums.zip(magnitudes).zip(unflushed).enumerate()
        {
            let bias = f64::from(args.input(2)[plane % s.out_channels]);
            let error = |pixel: usize| {
                sum_error(s.fan_in() + 1, magnitudes[pixel] + bias.abs()) + magnitudes[pixel]
                    - unflushed[pixel]
            };
            choices.extend(windows(&s).map(|window| {
                let lowest = |pixel: usize| sums[pixel] + bias - error(pixel);
                let floor = window
                    .iter()
                    .map(|&p| lowest(p))
                    .fold(f64::NEG_INFINITY, f64::max);
                let may_win = |&pixel: &usize| {
                    let highest = sums[pixel] + bias + error(pixel);
                    !(highest < floor || highest <= 0.0)
                };
                let mut words: Vec<u32> = window
                    .into_iter()
                    .filter(may_win)
                    .map(|pixel| pixel as u32)
                    .collect();
                if floor <= 0.0 || floor.is_nan() {
                    words.push(NO_PIXEL);
                }
                words
            }));
        }
        vec![
            ErrorBound::Products {
                terms: s.fan_in() + 1,
            },
            ErrorBound::OneOf(choices),
        ]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    random.with_asides(&[Aside::Uneven], draw)
}

fn draw(random: &mut Random) -> Vec<Case> {
    let drawn = ConvSizes::random(random);
    let window = Window {
        stride: 1.into(),
        ..drawn.geometry.window
    };
    let wider = |size: usize| size + 1;
    let input = Size2d {
        height: wider(drawn.geometry.input.height),
        width: wider(drawn.geometry.input.width),
    };
    // A plane larger than the filter has at least two positions along each axis.
    let output = window.output(input, "").unwrap_or(input);
    let geometry = WindowedPlanes {
        input,
        output,
        window,
        ..drawn.geometry
    };
    let sizes = ConvSizes { geometry, ..drawn };
    let pixels: Vec<[usize; 4]> = windows(&sizes).collect();
    let both = [None, Some(sizes.batch + random.below(5))].map(|gathered| {
        let [words, samples] = inputs(&sizes, gathered).map(|binding| binding.words);
        let mut step = random.step(sizes.batch, 1);
        step.offset = random.below(samples - step.rows as usize + 1) as u32;
        let index = |at: usize, random: &mut Random| match random.below(5) {
            4 => NO_PIXEL,
            corner => pixels[at % pixels.len()][corner] as u32,
        };
        let indices = (0..pooled_len(&sizes))
            .map(|at| index(at, random))
            .collect();
        let (weight, bias) = (
            random.floats(sizes.weight_len()),
            random.floats(sizes.out_channels),
        );
        let d_pooled = random.floats(pooled_len(&sizes));
        let mut input = || match gathered {
            Some(_) => [
                (0..words).map(|_| random.word()).collect(),
                random.permutation(samples),
            ],
            None => [(); 2].map(|()| random.floats(words)),
        };
        let ([read, order], [read_again, order_again]) = (input(), input());
        let forward = ConvPoolForward { sizes, gathered };
        let backward = ConvPoolBackwardWeight {
            sizes,
            gathered,
            accumulate: random.flag(),
            is_wide: false,
        };
        let wide = ConvPoolBackwardWeight {
            is_wide: true,
            ..backward.clone()
        };
        let of_backward = vec![read_again, indices, d_pooled, order_again];
        let mut aside = random.aside();
        [
            Case::of(forward, vec![read, weight, bias, order], random).in_step(step),
            Case::of(backward, of_backward.clone(), random).in_step(step),
            Case::of(wide, of_backward, &mut aside).in_step(step),
        ]
    });
    both.into_iter().flatten().collect()
}
