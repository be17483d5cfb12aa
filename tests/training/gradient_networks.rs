//! Networks whose gradients are compared with central differences: each layer and each of its options
//! in the middle of one.

use wgrad::nn::{
    AdaptiveAvgPool2d, AvgPool2d, BatchNorm2d, Concat, Conv2d, ConvTranspose2d, Dropout, Dropout2d,
    Flatten, GELU, GlobalAvgPool2d, GroupNorm, LayerNorm, LeakyReLU, Linear, MaxPool2d, ReLU,
    Residual, Sequential, SiLU, Sigmoid, Softmax, SqueezeExcitation, Tanh, Ties, Upsample,
};
use wgrad::shape::Padding;

/// `middle` between a convolution, whose gradient passes through it, and a Linear layer.
fn around(middle: Sequential) -> Sequential {
    let before = Sequential::new().with(Conv2d::new(2, 3, (2, 3)).padding((1, 1)));
    before.then(middle).with(Flatten).with(Linear::new(5))
}

/// Networks that are not parabolas in a weight.
pub fn curved_networks() -> Vec<(&'static str, Sequential)> {
    let norm = || {
        Sequential::new()
            .with(Conv2d::new(3, 3, 3).padding(1).bias(false))
            .with(BatchNorm2d::new(3))
    };
    let projection = Sequential::new()
        .with(Conv2d::new(3, 2, 1).stride(2).bias(false))
        .with(BatchNorm2d::new(2));
    let halved = Sequential::new()
        .with(Conv2d::new(3, 2, 3).stride(2).padding(1))
        .with(ReLU);
    vec![
        ("batch norm", around(norm())),
        ("batch norm, ReLU", around(norm().with(ReLU))),
        (
            "shortcut",
            around(Sequential::new().with(Residual::new(norm())).with(ReLU)),
        ),
        (
            "projection",
            around(Sequential::new().with(Residual::new(halved).projection(projection))),
        ),
        (
            "global average pool",
            around(norm().with(ReLU).with(GlobalAvgPool2d)),
        ),
        (
            "squeeze and excitation",
            around(Sequential::new().with(SqueezeExcitation::new(3, 2))),
        ),
        (
            "groups of channels",
            around(
                Sequential::new()
                    .with(Conv2d::new(3, 4, 3).padding(1))
                    .with(GroupNorm::new(2, 4))
                    .with(Tanh)
                    .with(GroupNorm::new(1, 4).affine(false)),
            ),
        ),
        (
            "last extents",
            around(
                Sequential::new()
                    .with(LayerNorm::new([3, 7, 7]))
                    .with(Tanh)
                    .with(LayerNorm::new([7]))
                    .with(Flatten)
                    .with(Linear::new(6))
                    .with(LayerNorm::new([6]).eps(0.01)),
            ),
        ),
        (
            "softmax of channels and of features",
            around(
                Sequential::new()
                    .with(Softmax)
                    .with(Flatten)
                    .with(Linear::new(6))
                    .with(Softmax),
            ),
        ),
        ("dropout", around(norm().with(Dropout::new(0.3)))),
        (
            "dropout of planes",
            around(norm().with(Dropout2d::new(0.3))),
        ),
        (
            "leaky ReLU",
            around(Sequential::new().with(LeakyReLU::new(0.2))),
        ),
        (
            "smooth activations",
            around(
                Sequential::new()
                    .with(GELU::new())
                    .with(Conv2d::new(3, 3, 3).padding(1))
                    .with(SiLU)
                    .with(Conv2d::new(3, 3, 1))
                    .with(Tanh),
            ),
        ),
        (
            "sigmoid, GELU by tanh",
            around(
                Sequential::new()
                    .with(Sigmoid)
                    .with(Conv2d::new(3, 3, 3))
                    .with(GELU::tanh()),
            ),
        ),
    ]
}

pub fn networks() -> Vec<(&'static str, Sequential)> {
    let one = |layer: Conv2d| Sequential::new().with(layer);
    let transposed = |layer: ConvTranspose2d| Sequential::new().with(layer);
    let pool = |layer: MaxPool2d| Sequential::new().with(layer);
    vec![
        ("nothing", around(Sequential::new())),
        ("ReLU", around(Sequential::new().with(ReLU))),
        ("convolution", around(one(Conv2d::new(3, 2, 3)))),
        ("stride", around(one(Conv2d::new(3, 2, 2).stride((2, 3))))),
        (
            "padding",
            around(one(Conv2d::new(3, 2, (3, 2)).padding((2, 1)))),
        ),
        (
            "stride and padding",
            around(one(Conv2d::new(3, 2, 3).stride((3, 2)).padding((1, 2)))),
        ),
        (
            "dilation",
            around(one(Conv2d::new(3, 2, (3, 2)).dilation((2, 3)))),
        ),
        (
            "dilation, stride and padding",
            around(one(Conv2d::new(3, 2, 3)
                .stride((2, 3))
                .padding((2, 1))
                .dilation((3, 2)))),
        ),
        (
            "padding of each side",
            around(one(Conv2d::new(3, 2, 3)
                .stride((1, 2))
                .padding(Padding::sides(2, 0, 1, 3)))),
        ),
        (
            "groups",
            around(
                one(Conv2d::new(3, 4, (2, 3)).padding((0, 1)))
                    .then(one(Conv2d::new(4, 2, 2).stride((1, 2)).groups(2))),
            ),
        ),
        (
            "depthwise",
            around(one(Conv2d::new(3, 6, (2, 3)).padding_same().groups(3))),
        ),
        (
            "depthwise, stride, padding and dilation",
            around(one(Conv2d::new(3, 3, 3)
                .stride((1, 2))
                .padding(Padding::sides(2, 1, 0, 2))
                .dilation((2, 1))
                .groups(3)
                .bias(false))),
        ),
        (
            "transposed",
            around(transposed(
                ConvTranspose2d::new(3, 2, (3, 2))
                    .stride((2, 1))
                    .padding((1, 0))
                    .output_padding((1, 0)),
            )),
        ),
        (
            "transposed, dilation and groups",
            around(
                one(Conv2d::new(3, 4, 4)).then(transposed(
                    ConvTranspose2d::new(4, 2, 2)
                        .dilation((1, 2))
                        .padding(Padding::sides(0, 1, 1, 0))
                        .groups(2)
                        .bias(false),
                )),
            ),
        ),
        (
            "no bias",
            around(one(Conv2d::new(3, 2, (1, 3)).bias(false))),
        ),
        ("pool", around(pool(MaxPool2d::new(2)))),
        (
            "overlapping pool",
            around(pool(MaxPool2d::new(3).stride((1, 2)).padding((1, 0)))),
        ),
        (
            "pool with gaps",
            around(pool(MaxPool2d::new((1, 2)).stride((2, 3)))),
        ),
        (
            "pool, all ties",
            around(pool(MaxPool2d::new((2, 3)).stride(1).ties(Ties::All))),
        ),
        (
            "average pool",
            around(Sequential::new().with(AvgPool2d::new((2, 3)))),
        ),
        (
            "average pool with padding",
            around(
                Sequential::new()
                    .with(AvgPool2d::new(3).stride((1, 2)).padding(1))
                    .with(
                        AvgPool2d::new(2)
                            .stride(1)
                            .padding((0, 1))
                            .count_padding(false),
                    ),
            ),
        ),
        (
            "adaptive average pool",
            around(Sequential::new().with(AdaptiveAvgPool2d::new((4, 9)))),
        ),
        (
            "concatenation, one value twice",
            around(
                Sequential::new().with(
                    Concat::new()
                        .branch(Sequential::new())
                        .branch(Sequential::new().with(Conv2d::new(3, 2, 3).padding(1)))
                        .branch(Sequential::new()),
                ),
            ),
        ),
        (
            "nearest pixel",
            around(Sequential::new().with(Upsample::by((2, 3)))),
        ),
        (
            "bilinear",
            around(Sequential::new().with(Upsample::by((2, 1)).bilinear())),
        ),
        (
            "bilinear to a size",
            around(Sequential::new().with(Upsample::to((4, 9)).bilinear())),
        ),
        (
            "Linear layers",
            around(
                Sequential::new()
                    .with(ReLU)
                    .with(Flatten)
                    .with(Linear::new(6))
                    .with(ReLU),
            ),
        ),
        (
            "Linear without bias",
            around(
                Sequential::new()
                    .with(Flatten)
                    .with(Linear::new(6).bias(false))
                    .with(ReLU),
            ),
        ),
    ]
}
