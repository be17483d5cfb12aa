//! The layers that a file can name.

use serde::Deserialize;

use super::options::Options;
use crate::error::Result;
use crate::graph::Var;
use crate::nn::{
    AdaptiveAvgPool2d, AvgPool2d, BatchNorm2d, Conv2d, ConvTranspose2d, Dropout, Dropout2d,
    Flatten, GELU, GlobalAvgPool2d, GroupNorm, Initializer, LayerNorm, LeakyReLU, Linear,
    MaxPool2d, Module, Normalize, ReLU, SiLU, Sigmoid, Softmax, SqueezeExcitation, Tanh, Ties,
    Upsample,
};
use crate::shape::{Padding, Shape, Size2d};

/// A kind of layer.
#[derive(Debug)]
pub(super) struct Kind {
    pub name: &'static str,
    /// The keys of its options.
    pub options: &'static [&'static str],
    pub make: Make,
}

/// What the data gives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub classes: usize,
    /// Of the images.
    pub channels: usize,
}

type Made = Result<Box<dyn Module>>;

#[derive(Debug, Clone, Copy)]
pub(super) enum Make {
    /// A layer with these options, for an input of that shape.
    Layer(fn(&Options, &Shape, Sizes) -> Made),
    /// The join of a value with others.
    Join(for<'g> fn(Var<'g>, &[Var<'g>]) -> Result<Var<'g>>),
}

const fn layer(
    name: &'static str,
    options: &'static [&'static str],
    make: fn(&Options, &Shape, Sizes) -> Made,
) -> Kind {
    let make = Make::Layer(make);
    Kind {
        name,
        options,
        make,
    }
}

const fn join(
    name: &'static str,
    join: for<'g> fn(Var<'g>, &[Var<'g>]) -> Result<Var<'g>>,
) -> Kind {
    Kind {
        name,
        options: &["with"],
        make: Make::Join(join),
    }
}

fn made(module: impl Module + 'static) -> Made {
    Ok(Box::new(module))
}

pub(super) static KINDS: [Kind; 26] = [
    layer(
        "Conv2d",
        &[
            "out", "kernel", "stride", "padding", "dilation", "groups", "bias", "init",
        ],
        conv2d,
    ),
    layer(
        "ConvTranspose2d",
        &[
            "out",
            "kernel",
            "stride",
            "padding",
            "output_padding",
            "dilation",
            "groups",
            "bias",
            "init",
        ],
        conv_transpose2d,
    ),
    layer("Linear", &["out", "bias", "init"], linear),
    layer("BatchNorm2d", &["eps", "momentum"], batch_norm2d),
    layer("GroupNorm", &["groups", "eps", "affine"], group_norm),
    layer("Normalize", &["means", "deviations"], normalize),
    layer("LayerNorm", &["shape", "eps", "affine"], layer_norm),
    layer(
        "MaxPool2d",
        &["kernel", "stride", "padding", "ties"],
        max_pool2d,
    ),
    layer(
        "AvgPool2d",
        &["kernel", "stride", "padding", "count_padding"],
        avg_pool2d,
    ),
    layer("AdaptiveAvgPool2d", &["out"], |options, _, _| {
        made(AdaptiveAvgPool2d::new(kernel(options, "out")?))
    }),
    layer("GlobalAvgPool2d", &[], |_, _, _| made(GlobalAvgPool2d)),
    layer("Upsample", &["scale", "size", "mode"], upsample),
    layer("Dropout", &["p"], |options, _, _| {
        made(Dropout::new(probability(options)?))
    }),
    layer("Dropout2d", &["p"], |options, _, _| {
        made(Dropout2d::new(probability(options)?))
    }),
    layer("ReLU", &[], |_, _, _| made(ReLU)),
    layer("LeakyReLU", &["slope"], |options, _, _| {
        made(LeakyReLU::new(options.or("slope", "a number", 0.01)?))
    }),
    layer("GELU", &["approximate"], gelu),
    layer("SiLU", &[], |_, _, _| made(SiLU)),
    layer("Sigmoid", &[], |_, _, _| made(Sigmoid)),
    layer("Tanh", &[], |_, _, _| made(Tanh)),
    layer("Softmax", &[], |_, _, _| made(Softmax)),
    layer("Flatten", &[], |_, _, _| made(Flatten)),
    layer("SqueezeExcitation", &["squeezed"], |options, input, _| {
        let squeezed = options.required("squeezed", "a number of channels")?;
        made(SqueezeExcitation::new(channels(input), squeezed))
    }),
    join("Add", |value, others| {
        others.iter().try_fold(value, |sum, &other| sum.add(other))
    }),
    join("Multiply", |value, others| {
        others
            .iter()
            .try_fold(value, |product, &other| product.mul(other))
    }),
    join("Concat", |value, others| value.concat(others)),
];

/// The channels or features of a layer's input.
fn channels(input: &Shape) -> usize {
    input.dims().get(1).copied().unwrap_or(1)
}

fn probability(options: &Options) -> Result<f32> {
    options.required("p", "a probability")
}

/// A number, or one for the height and one for the width.
#[derive(Deserialize)]
#[serde(untagged)]
enum Extents {
    Both(usize),
    Each([usize; 2]),
}

impl From<Extents> for Size2d {
    fn from(extents: Extents) -> Self {
        match extents {
            Extents::Both(both) => both.into(),
            Extents::Each([height, width]) => (height, width).into(),
        }
    }
}

const EXTENTS: &str = "a number, or [height, width]";

fn kernel(options: &Options, key: &str) -> Result<Size2d> {
    options.required::<Extents>(key, EXTENTS).map(Size2d::from)
}

/// Extents, or `default`.
fn extents(options: &Options, key: &str, default: Size2d) -> Result<Size2d> {
    let given = options.optional::<Extents>(key, EXTENTS)?;
    Ok(given.map_or(default, Size2d::from))
}

/// Zeros around an image.
#[derive(Deserialize)]
#[serde(untagged)]
enum Zeros {
    All(usize),
    Each([usize; 2]),
    Sides([usize; 4]),
    Named(String),
}

/// The padding, or `None` for `"same"`.
fn padding(options: &Options, may_be_same: bool) -> Result<Option<Padding>> {
    let same = if may_be_same { ", or \"same\"" } else { "" };
    let expected = format!("a number, [height, width], [top, bottom, left, right]{same}");
    Ok(match options.or("padding", &expected, Zeros::All(0))? {
        Zeros::All(all) => Some(all.into()),
        Zeros::Each([height, width]) => Some((height, width).into()),
        Zeros::Sides([top, bottom, left, right]) => Some(Padding::sides(top, bottom, left, right)),
        Zeros::Named(name) if may_be_same && name == "same" => None,
        Zeros::Named(_) => return Err(options.wrong("padding", &expected)),
    })
}

/// A number of output channels or features: a number, or one that the data gives.
fn out(options: &Options, sizes: Sizes) -> Result<usize> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Out {
        Number(usize),
        Named(String),
    }
    let expected = "a number, \"classes\" or \"channels\"";
    match options.required("out", expected)? {
        Out::Number(number) => Ok(number),
        Out::Named(name) if name == "classes" => Ok(sizes.classes),
        Out::Named(name) if name == "channels" => Ok(sizes.channels),
        Out::Named(_) => Err(options.wrong("out", expected)),
    }
}

fn init(options: &Options) -> Result<Initializer> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Named {
        Constant(f32),
        Name(String),
    }
    let names = [
        ("he_normal", Initializer::HeNormal),
        ("he_uniform", Initializer::HeUniform),
        ("xavier_normal", Initializer::XavierNormal),
        ("xavier_uniform", Initializer::XavierUniform),
        ("pytorch", Initializer::PyTorch),
    ];
    let expected =
        "a number, or one of he_normal, he_uniform, xavier_normal, xavier_uniform, pytorch";
    let found = match options.optional("init", expected)? {
        None => Some(Initializer::default()),
        Some(Named::Constant(value)) => Some(Initializer::Constant(value)),
        Some(Named::Name(name)) => {
            let found = names.iter().find(|(own, _)| *own == name);
            found.map(|(_, initializer)| *initializer)
        }
    };
    found.ok_or_else(|| options.wrong("init", expected))
}

/// What a name stands for; the first by default.
fn choice<T: Copy>(options: &Options, key: &str, choices: [(&str, T); 2]) -> Result<T> {
    let [(first, default), (second, other)] = choices;
    let expected = format!("\"{first}\" or \"{second}\"");
    match options.optional::<String>(key, &expected)? {
        None => Ok(default),
        Some(name) if name == first => Ok(default),
        Some(name) if name == second => Ok(other),
        Some(_) => Err(options.wrong(key, &expected)),
    }
}

fn flag(options: &Options, key: &str) -> Result<bool> {
    options.or(key, "true or false", true)
}

fn conv2d(options: &Options, input: &Shape, sizes: Sizes) -> Made {
    let layer = Conv2d::new(
        channels(input),
        out(options, sizes)?,
        kernel(options, "kernel")?,
    )
    .stride(extents(options, "stride", 1.into())?)
    .dilation(extents(options, "dilation", 1.into())?)
    .groups(options.or("groups", "a number", 1)?)
    .bias(flag(options, "bias")?)
    .init(init(options)?);
    made(match padding(options, true)? {
        Some(padding) => layer.padding(padding),
        None => layer.padding_same(),
    })
}

fn conv_transpose2d(options: &Options, input: &Shape, sizes: Sizes) -> Made {
    let kernel = kernel(options, "kernel")?;
    let layer = ConvTranspose2d::new(channels(input), out(options, sizes)?, kernel)
        .stride(extents(options, "stride", 1.into())?)
        .padding(padding(options, false)?.unwrap_or(0.into()))
        .output_padding(extents(options, "output_padding", 0.into())?)
        .dilation(extents(options, "dilation", 1.into())?)
        .groups(options.or("groups", "a number", 1)?)
        .bias(flag(options, "bias")?)
        .init(init(options)?);
    made(layer)
}

fn linear(options: &Options, _: &Shape, sizes: Sizes) -> Made {
    let layer = Linear::new(out(options, sizes)?)
        .bias(flag(options, "bias")?)
        .init(init(options)?);
    made(layer)
}

fn batch_norm2d(options: &Options, input: &Shape, _: Sizes) -> Made {
    let mut layer = BatchNorm2d::new(channels(input));
    if let Some(eps) = options.optional("eps", "a number")? {
        layer = layer.eps(eps);
    }
    if let Some(momentum) = options.optional("momentum", "a number")? {
        layer = layer.momentum(momentum);
    }
    made(layer)
}

fn group_norm(options: &Options, input: &Shape, _: Sizes) -> Made {
    let groups = options.required("groups", "a number")?;
    let layer = GroupNorm::new(groups, channels(input)).affine(flag(options, "affine")?);
    made(match options.optional("eps", "a number")? {
        Some(eps) => layer.eps(eps),
        None => layer,
    })
}

fn layer_norm(options: &Options, input: &Shape, _: Sizes) -> Made {
    let all = input.dims().get(1..).unwrap_or_default().to_vec();
    let shape: Vec<usize> = options.or("shape", "a list of extents", all)?;
    let layer = LayerNorm::new(Shape::new(shape)).affine(flag(options, "affine")?);
    made(match options.optional("eps", "a number")? {
        Some(eps) => layer.eps(eps),
        None => layer,
    })
}

fn max_pool2d(options: &Options, _: &Shape, _: Sizes) -> Made {
    let kernel = kernel(options, "kernel")?;
    let layer = MaxPool2d::new(kernel)
        .stride(extents(options, "stride", kernel)?)
        .padding(extents(options, "padding", 0.into())?)
        .ties(choice(
            options,
            "ties",
            [("first", Ties::First), ("all", Ties::All)],
        )?);
    made(layer)
}

fn avg_pool2d(options: &Options, _: &Shape, _: Sizes) -> Made {
    let kernel = kernel(options, "kernel")?;
    let layer = AvgPool2d::new(kernel)
        .stride(extents(options, "stride", kernel)?)
        .padding(extents(options, "padding", 0.into())?)
        .count_padding(flag(options, "count_padding")?);
    made(layer)
}

fn upsample(options: &Options, _: &Shape, _: Sizes) -> Made {
    let scale = options.optional::<Extents>("scale", EXTENTS)?;
    let layer = match (scale, options.optional::<Extents>("size", EXTENTS)?) {
        (Some(scale), None) => Upsample::by(Size2d::from(scale)),
        (None, Some(size)) => Upsample::to(Size2d::from(size)),
        (Some(_), Some(_)) => return Err(options.wrong("size", "nothing beside a scale")),
        (None, None) => return Err(options.wrong("scale", "a scale or a size")),
    };
    let is_bilinear = choice(options, "mode", [("nearest", false), ("bilinear", true)])?;
    made(if is_bilinear { layer.bilinear() } else { layer })
}

fn gelu(options: &Options, _: &Shape, _: Sizes) -> Made {
    let is_tanh = choice(options, "approximate", [("none", false), ("tanh", true)])?;
    made(if is_tanh { GELU::tanh() } else { GELU::new() })
}

fn normalize(options: &Options, _: &Shape, _: Sizes) -> Made {
    let numbers = |key| options.required::<Vec<f32>>(key, "a list of numbers, one per channel");
    made(Normalize::new(numbers("means")?, numbers("deviations")?))
}
