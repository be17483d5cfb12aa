//! A graph as text and back: checkpoints store their model this way, so that a program without the
//! model's code can run it.
//!
//! ```text
//! images (1, 28, 28)
//! 0 = convolution(images, 0.weight, 0.bias) kernel 3×3, stride 1×1, padding 0×0
//! 1 = relu(0)
//! 2 = max_pool(1) kernel 2×2, stride 2×2, padding 0×0, ties first
//! ```

use std::collections::HashMap;
use std::fmt;

use super::{
    Activation, AdaptiveAvgPool, Add, AvgPool, BatchNorm, Concat, ConvTranspose, Convolution,
    Dropout, Flatten, Function, GlobalAvgPool, Graph, GroupNorm, LayerNorm, Linear, MaxPool,
    Multiply, Node, NodeId, Normalize, Relu, Softmax, Source, Upsample, Value, ValueId, batch_of,
};
use crate::error::{Error, Result};
use crate::plan::{Element, Init};
use crate::shape::{Shape, Size2d, Window};

/// Parses the options of a function, written by [`Function::options`].
type Read = fn(&Options<'_>) -> Option<Box<dyn Function>>;

/// The functions that can be parsed.
const FUNCTIONS: &[(&str, Read)] = &[
    ("adaptive_avg_pool", AdaptiveAvgPool::read),
    ("add", |_| Some(Box::new(Add))),
    ("avg_pool", AvgPool::read),
    ("batch_norm", BatchNorm::read),
    ("concat", |_| Some(Box::new(Concat))),
    ("conv_transpose", ConvTranspose::read),
    ("convolution", Convolution::read),
    ("dropout", Dropout::read),
    ("dropout2d", Dropout::read_planes),
    ("flatten", |_| Some(Box::new(Flatten))),
    ("global_avg_pool", |_| Some(Box::new(GlobalAvgPool))),
    ("gelu", Activation::read_gelu),
    ("group_norm", GroupNorm::read),
    ("layer_norm", LayerNorm::read),
    ("leaky_relu", Activation::read_leaky_relu),
    ("linear", |_| Some(Box::new(Linear))),
    ("max_pool", MaxPool::read),
    ("multiply", |_| Some(Box::new(Multiply))),
    ("normalize", Normalize::read),
    ("relu", |_| Some(Box::new(Relu))),
    ("sigmoid", |_| Some(Box::new(Activation::Sigmoid))),
    ("silu", |_| Some(Box::new(Activation::Silu))),
    ("softmax", |_| Some(Box::new(Softmax))),
    ("tanh", |_| Some(Box::new(Activation::Tanh))),
    ("upsample", Upsample::read),
];

/// The options of a function, `stride 1×2, padding 0×1`, by name.
#[derive(Debug)]
pub(super) struct Options<'a>(HashMap<&'a str, &'a str>);

impl<'a> Options<'a> {
    pub fn read(text: &'a str) -> Option<Self> {
        let options = text.split(", ").filter(|option| !option.is_empty());
        let pairs = options.map(|option| option.split_once(' '));
        Some(Options(pairs.collect::<Option<_>>()?))
    }

    /// The option called `name`; `None` if it is missing or invalid.
    pub fn get<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.0.get(name)?.parse().ok()
    }

    /// The numbers of the option called `name`, with spaces between them.
    pub fn list(&self, name: &str) -> Option<Vec<f32>> {
        let numbers = self.0.get(name)?.split(' ');
        numbers.map(|number| number.parse().ok()).collect()
    }

    /// The options of a [`Window`].
    pub fn window(&self) -> Option<Window> {
        let mut window = Window {
            stride: self.get("stride")?,
            padding: self.get("padding")?,
            ..Window::new(self.get::<Size2d>("kernel")?)
        };
        if let Some(dilation) = self.0.get("dilation") {
            window.dilation = dilation.parse().ok()?;
        }
        Some(window)
    }

    /// The number of groups, which is left out if it is one.
    pub fn groups(&self) -> usize {
        self.get("groups").unwrap_or(1)
    }
}

impl fmt::Display for Graph {
    /// The shape of a sample, then one line per node: its name, function, inputs and options.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sample = Shape::new(&self.value(self.images()).shape.dims()[1..]);
        write!(f, "images {sample}")?;
        for id in self.nodes() {
            let node = self.node(id);
            let inputs = node.inputs.iter().map(|&input| &*self.value(input).name);
            let inputs: Vec<&str> = inputs.collect();
            let (name, options) = (node.function.name(), node.function.options());
            write!(f, "\n{} = {name}({})", node.name, inputs.join(", "))?;
            if !options.is_empty() {
                write!(f, " {options}")?;
            }
        }
        Ok(())
    }
}

impl Graph {
    /// Parses the text of a graph, for batches of `rows`; `shape_of` gives the shapes of the
    /// model's tensors by name.
    ///
    /// # Errors
    /// A line is invalid, a function is unknown (such as one defined by the program that wrote the
    /// text), a tensor has no shape, or shapes do not fit each other.
    pub fn read(
        text: &str,
        rows: usize,
        shape_of: impl Fn(&str) -> Option<(Shape, Element)>,
    ) -> Result<Graph> {
        let mut lines = text.lines().enumerate();
        let first = lines.next().map_or("", |(_, line)| line);
        let sample = first.strip_prefix("images ").and_then(read_shape);
        let sample = sample.ok_or_else(|| wrong(0, "`images (C, H, W)`", first))?;
        let mut values = vec![Value {
            name: "images".to_owned(),
            shape: batch_of(&sample, rows)?,
            source: Source::Batch,
        }];
        let mut known = HashMap::from([("images".to_owned(), ValueId(0))]);
        let mut nodes = Vec::new();
        for (number, line) in lines {
            let parts = split(line);
            let (name, function, inputs, options) =
                parts.ok_or_else(|| wrong(number, "`name = function(inputs) options`", line))?;
            let read = FUNCTIONS.iter().find(|(name, _)| *name == function);
            let function = read.and_then(|(_, read)| read(&Options::read(options)?));
            // An option that was not read would change what is computed.
            let function = function.filter(|function| function.options() == options);
            let function =
                function.ok_or_else(|| wrong(number, "a function of this program", line))?;
            let mut read = Vec::new();
            for input in inputs {
                if !known.contains_key(input) {
                    let found = shape_of(input);
                    let (shape, element) =
                        found.ok_or_else(|| wrong(number, &format!("a tensor `{input}`"), line))?;
                    let source = match element {
                        Element::F32 => Source::Parameter(Init::ZEROS),
                        Element::U32 | Element::U8 => Source::State(element, Init::ZEROS),
                    };
                    known.insert(input.to_owned(), ValueId(values.len()));
                    values.push(Value {
                        name: input.to_owned(),
                        shape,
                        source,
                    });
                }
                read.push(known[input]);
            }
            let shapes: Vec<&Shape> = read.iter().map(|id| &values[id.0].shape).collect();
            let shape = function.output_shape(&format!("{name}: {}", function.name()), &shapes)?;
            let output = ValueId(values.len());
            if known.insert(name.to_owned(), output).is_some() {
                return Err(wrong(number, "a name of its own", line));
            }
            values.push(Value {
                name: name.to_owned(),
                shape,
                source: Source::Node(NodeId(nodes.len())),
            });
            nodes.push(Node {
                name: name.to_owned(),
                function,
                inputs: read,
                output,
            });
        }
        let logits = ValueId(values.len() - 1);
        Graph::from_parts(values, nodes, ValueId(0), logits)
    }
}

fn wrong(line: usize, expected: &str, got: &str) -> Error {
    let shown: String = got.chars().take(80).collect();
    Error::value(
        format!("model, line {}", line + 1),
        expected,
        format!("`{shown}`"),
    )
}

/// `(1, 28, 28)`.
fn read_shape(text: &str) -> Option<Shape> {
    let inner = text.strip_prefix('(')?.strip_suffix(')')?;
    let dims = inner.split(", ").map(|dim| dim.parse().ok());
    Some(Shape::new(dims.collect::<Option<Vec<usize>>>()?))
}

/// `name = function(inputs) options`.
fn split(line: &str) -> Option<(&str, &str, Vec<&str>, &str)> {
    let (name, rest) = line.split_once(" = ")?;
    let (function, rest) = rest.split_once('(')?;
    let (inputs, options) = rest.split_once(')')?;
    let inputs: Vec<&str> = inputs.split(", ").collect();
    Some((name, function, inputs, options.trim_start()))
}
