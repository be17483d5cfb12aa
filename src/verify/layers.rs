//! Random layers, by kind: what long networks are made of.

use super::networks::{activated, dense, groups, padded, residual, transposed};
use crate::error::Result;
use crate::graph::{Module, Var};
use crate::nn::{
    AdaptiveAvgPool2d, AvgPool2d, BatchNorm2d, Concat, Conv2d, Dropout, Dropout2d, Flatten,
    GlobalAvgPool2d, GroupNorm, LayerNorm, Linear, MaxPool2d, ReLU, Residual, Sequential, Sigmoid,
    Softmax, SqueezeExcitation, Ties, Upsample,
};
use crate::ops::case::Random;

/// A kind of layer, and how one is drawn for values of shape `S`, without the batch; it may turn out
/// not to fit them.
pub(super) type Kind<S> = (&'static str, fn(&mut Random, S) -> Sequential);

/// Layers of planes (C, H, W).
pub(super) const PLANES: [Kind<[usize; 3]>; 27] = [
    ("convolution", |random, [c, ..]| {
        let layer = Conv2d::new(c, random.size(6), kernel(random)).stride(random.size(2));
        one(padded(random, layer, (2, 2)).bias(random.flag()))
    }),
    ("dilated convolution", |random, [c, ..]| {
        let layer = Conv2d::new(c, random.size(6), (2, random.size(3)));
        one(layer.dilation((2, random.size(3))).padding((1, 1)))
    }),
    ("grouped convolution", |random, [c, ..]| {
        // An even number of channels has two groups.
        let layer = Conv2d::new(c, 2 * random.size(3), kernel(random)).groups(2);
        one(padded(random, layer, (2, 2)))
    }),
    ("depthwise convolution", |random, [c, ..]| {
        let layer = Conv2d::new(c, c * random.size(2), kernel(random)).groups(c);
        let layer = layer.stride(random.size(2)).bias(random.flag());
        one(padded(random, layer, (2, 2)))
    }),
    ("convolution padded to the same size", |random, [c, ..]| {
        let layer = Conv2d::new(c, random.size(6), kernel(random)).dilation(random.size(2));
        one(layer.padding_same())
    }),
    ("transposed convolution", |random, [c, ..]| {
        one(transposed(random, c))
    }),
    ("max-pool", |random, _| {
        let layer = MaxPool2d::new((random.size(3), random.size(3))).stride(random.size(2));
        let ties = [Ties::First, Ties::All][random.below(2)];
        one(layer.padding(random.below(2)).ties(ties))
    }),
    ("average pool", |random, _| {
        let layer = AvgPool2d::new((random.size(3), random.size(3))).stride(random.size(2));
        one(layer.padding(random.below(2)).count_padding(random.flag()))
    }),
    ("adaptive average pool", |random, _| {
        one(AdaptiveAvgPool2d::new((random.size(7), random.size(7))))
    }),
    ("nearest upsampling", |random, _| one(upsampled(random))),
    ("bilinear upsampling", |random, _| {
        one(upsampled(random).bilinear())
    }),
    ("concatenation", |random, [c, ..]| {
        let block = dense(random, c).0;
        one(match random.flag() {
            true => block.branch(one(AvgPool2d::new(3).stride(1).padding(1))),
            false => block,
        })
    }),
    ("residual sum", |random, [c, ..]| one(residual(random, c))),
    ("product", |_, [c, ..]| {
        one(Gated(one(Conv2d::new(c, c, 1)).with(Sigmoid)))
    }),
    ("product with a factor for each plane", |random, [c, ..]| {
        let gate = one(GlobalAvgPool2d).with(Conv2d::new(c, c, 1));
        one(Gated(activated(random, gate)))
    }),
    ("squeeze and excitation", |random, [c, ..]| {
        one(SqueezeExcitation::new(c, random.size(4)))
    }),
    ("batch norm", |_, [c, ..]| one(BatchNorm2d::new(c))),
    ("batch norm", |_, [c, ..]| {
        one(BatchNorm2d::new(c)).with(ReLU)
    }),
    ("group norm", |random, [c, ..]| {
        one(GroupNorm::new(groups(random, c), c).affine(random.flag()))
    }),
    ("layer norm", |random, [c, h, w]| {
        let extents = [c, h, w];
        let shape = &extents[random.below(3)..];
        one(LayerNorm::new(shape).affine(random.flag()))
    }),
    ("convolution, ReLU and max-pool", |random, [c, ..]| {
        let layer = Conv2d::new(c, random.size(6), 3).padding(random.below(2));
        one(layer).with(ReLU).with(MaxPool2d::new(2))
    }),
    ("dropout of planes", |_, _| one(Dropout2d::new(0.25))),
    ("softmax", |_, _| one(Softmax)),
    ("activation", |random, _| {
        activated(random, Sequential::new())
    }),
    ("activation", |random, _| {
        activated(random, Sequential::new())
    }),
    ("ReLU", |_, _| one(ReLU)),
    ("dropout", |_, _| one(Dropout::new(0.25))),
];

/// Layers of features.
pub(super) const FEATURES: [Kind<usize>; 11] = [
    ("linear", |random, _| {
        one(Linear::new(random.size(24)).bias(random.flag()))
    }),
    ("linear", |random, _| {
        one(Linear::new(random.size(24))).with(ReLU)
    }),
    ("residual sum", |_, f| {
        one(Residual::new(one(Linear::new(f))))
    }),
    ("concatenation", |random, _| {
        let grown = one(Linear::new(random.size(5)));
        one(Concat::new().branch(Sequential::new()).branch(grown))
    }),
    ("product", |_, f| {
        one(Gated(one(Linear::new(f)).with(Sigmoid)))
    }),
    ("group norm", |random, f| {
        one(GroupNorm::new(groups(random, f), f).affine(random.flag()))
    }),
    ("layer norm", |random, f| {
        one(LayerNorm::new([f]).affine(random.flag()))
    }),
    ("softmax", |_, _| one(Softmax)),
    ("activation", |random, _| {
        activated(random, Sequential::new())
    }),
    ("ReLU", |_, _| one(ReLU)),
    ("dropout", |_, _| one(Dropout::new(0.25))),
];

/// From planes to features.
pub(super) fn flattened(random: &mut Random) -> (&'static str, Sequential) {
    match random.below(3) {
        0 => ("global average pool", one(GlobalAvgPool2d).with(Flatten)),
        _ => ("flatten", one(Flatten)),
    }
}

pub(super) fn one(layer: impl Module + 'static) -> Sequential {
    Sequential::new().with(layer)
}

fn kernel(random: &mut Random) -> (usize, usize) {
    (random.size(3), random.size(3))
}

/// To up to thrice the size or to a size: planes that pools made small grow again.
fn upsampled(random: &mut Random) -> Upsample {
    let size = (random.size(3), random.size(3));
    match random.flag() {
        true => Upsample::by(size),
        false => Upsample::to((2 * size.0 + 1, 3 * size.1)),
    }
}

/// The input times what a module makes of it.
#[derive(Debug)]
struct Gated(Sequential);

impl Module for Gated {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        input.mul(input.apply("gate", &self.0)?)
    }
}
