//! The gradient of a pooled convolution's weights and bias, from the pooled gradient.

use rayon::prelude::*;

use super::conv_pool::{NO_PIXEL, SHADER, TILE};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::sizes::conv_pool::{constants, cost, images, inputs, pooled_len, pooled_size, value_at};
use super::{
    Args, Binding, Bindings, Content, ConvSizes, Cost, Element, Elements, ErrorBound, Launch, Op,
    Sum, Variant, WORKGROUP_SIZE, conv_tile,
};

/// Channels per workgroup; the same as in the shader.
const CHANNELS: usize = 2;

/// Lanes whose sums are kept at once; the same as in the shader.
const STAGED: u64 = 64;

/// Invocations of a workgroup.
const WORKGROUPS: [u64; 2] = [WORKGROUP_SIZE, 256];

/// The gradient of the convolution's weights and bias, from `indices` and the pooled gradient.
/// Pixels that won no window are skipped; the readable plan multiplies the input by their zero
/// gradient, which differs only if the input is not finite. Bytes always are.
#[derive(Debug, Clone)]
pub struct ConvPoolBackwardWeight {
    /// The convolution's sizes, of stride 1 and dilation 1.
    pub sizes: ConvSizes,
    /// If set, the number of samples in the data set; its bytes are read through `order`, as by
    /// [`Gather`](super::Gather). Otherwise `input` is the batch, and `order` is ignored.
    pub gathered: Option<usize>,
    /// Add to the gradients instead of overwriting them.
    pub accumulate: bool,
    /// Whether many lanes share a filter's windows, for GPUs, which have many more than there are
    /// filters.
    pub is_wide: bool,
}

impl ConvPoolBackwardWeight {
    fn lanes(&self) -> u64 {
        WORKGROUPS[usize::from(self.is_wide)]
    }

    fn bounds(&self) -> [ErrorBound; 2] {
        let terms = pooled_len(&self.sizes) / self.sizes.out_channels + 1;
        [ErrorBound::Products { terms }, ErrorBound::Sum { terms }]
    }
}

impl Op for ConvPoolBackwardWeight {
    fn name(&self) -> &'static str {
        "conv_pool_backward_weight"
    }

    fn bindings(&self) -> Bindings {
        let (s, pooled) = (&self.sizes, pooled_len(&self.sizes));
        let [input, order] = inputs(s, self.gathered);
        let ((height, width), row) = (pooled_size(s), s.geometry.output.width);
        let winner = move |at: usize, random: u32| {
            let window = at % (height * width);
            let first = 2 * (window / width) * row + 2 * (window % width);
            match random % 8 {
                corner @ 0..4 => first as u32 + corner / 2 * row as u32 + corner % 2,
                _ => NO_PIXEL,
            }
        };
        Bindings::new([
            input,
            Binding::read("indices", pooled).of(Content::words(winner)),
            Binding::read("d_pooled", pooled),
            order,
            Binding::sum("d_weight", s.weight_len(), self.accumulate),
            Binding::sum("d_bias", s.out_channels, self.accumulate),
        ])
    }

    fn launch(&self) -> Launch {
        let s = &self.sizes;
        let (height, width) = pooled_size(&self.sizes);
        let tiles = (self.sizes.batch * height * width.div_ceil(TILE)) as u64;
        let (lanes, workgroups) = (
            self.lanes(),
            s.out_channels.div_ceil(CHANNELS) * s.in_channels,
        );
        Launch::new(SHADER, workgroups * lanes as usize)
            .constants(constants(&self.sizes, self.gathered, self.accumulate))
            .longest_loop(tiles.div_ceil(lanes) + 1 + lanes / STAGED + 1 + 2 * (STAGED + 1))
            .workgroup_size(lanes)
    }

    fn variants(&self) -> Vec<Variant> {
        let variants = [false, true].map(|is_wide| {
            let op = ConvPoolBackwardWeight {
                is_wide,
                ..self.clone()
            };
            Variant {
                name: format!("{}/{}", self.name(), op.lanes()),
                op: Box::new(op),
            }
        });
        variants.into()
    }

    fn choice(&self) -> Option<String> {
        let more = match (self.gathered.is_some(), self.accumulate) {
            (false, false) => "",
            (false, true) => ", accumulated",
            (true, false) => ", gathered",
            (true, true) => ", gathered, accumulated",
        };
        Some(conv_tile::choice("pooled weights", &self.sizes, more))
    }

    fn rows(&self) -> usize {
        let rows = self.sizes.batch;
        self.gathered.map_or(rows, |samples| rows.min(samples))
    }

    fn cost(&self) -> Cost {
        let flop = 2 * pooled_len(&self.sizes) * (self.sizes.fan_in() + 1);
        cost(flop, &self.sizes, self.gathered, self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let s = self.sizes;
        let (indices, d_pooled) = (args.inputs[1], args.input(2));
        let input = images(&s, self.gathered, args);
        let windows = s.windows();
        let mut padded = vec![0f64; s.batch * windows.len()];
        for (n, padded) in padded.chunks_mut(windows.len()).enumerate() {
            windows.pad(s.image(&input, n), padded);
        }
        let area = pooled_len(&s) / (s.batch * s.out_channels);
        let before = |value: f32| {
            if self.accumulate {
                f64::from(value)
            } else {
                0.0
            }
        };
        let (d_weight, d_bias) = args.two_outputs();
        let kernels = d_weight.par_chunks_mut(s.fan_in()).zip(d_bias).enumerate();
        let kernels = kernels.with_min_len(min_task_len(ELEMENT * s.batch * area));
        kernels.for_each(|(o, (d_weight, d_bias))| {
            let mut sums: Vec<f64> = d_weight.iter().map(|&value| before(value)).collect();
            let mut total = before(*d_bias);
            for (n, planes) in padded.chunks(windows.len()).enumerate() {
                let at = (n * s.out_channels + o) * area;
                for (&winner, &gradient) in indices[at..].iter().zip(&d_pooled[at..]).take(area) {
                    // `NO_PIXEL` has no gradient.
                    let Some(&position) = windows.positions.get(winner as usize) else {
                        continue;
                    };
                    let (gradient, planes) = (f64::from(gradient), &planes[position..]);
                    total += gradient;
                    for (sum, &cell) in sums.iter_mut().zip(&windows.cells) {
                        *sum += gradient * planes[cell];
                    }
                }
            }
            for (value, sum) in d_weight.iter_mut().zip(sums) {
                *value = sum as f32;
            }
            *d_bias = total as f32;
        });
    }

    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        let s = &self.sizes;
        let g = &s.geometry;
        let (height, width) = pooled_size(s);
        let area = height * width;
        let (o, within) = if output == 0 {
            (index / s.fan_in(), index % s.fan_in())
        } else {
            (index, 0)
        };
        let (c, cell) = (within / g.kernel_area(), within % g.kernel_area());
        let cell = (cell / g.window.kernel.width, cell % g.window.kernel.width);
        let mut sum = Sum::default();
        if self.accumulate {
            sum.add(args.before(output, index));
        }
        for n in 0..s.batch {
            for window in (n * s.out_channels + o) * area..(n * s.out_channels + o + 1) * area {
                let (winner, gradient) = (args.word(1, window) as usize, args.float(2, window));
                if winner == NO_PIXEL as usize {
                    continue;
                }
                if output == 1 {
                    sum.add(gradient);
                    continue;
                }
                let position = (winner / g.output.width, winner % g.output.width);
                let first = (n * s.in_channels + c) * g.input_area();
                let value = |pixel| value_at(s, self.gathered, args, first + pixel);
                sum.add_product(gradient, g.pixel(position, cell).map_or(0.0, value));
            }
        }
        let [weight_bound, bias_bound] = self.bounds();
        sum.within(if output == 0 {
            &weight_bound
        } else {
            &bias_bound
        })
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        self.bounds().into()
    }
}
