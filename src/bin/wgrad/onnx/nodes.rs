//! The nodes of an ONNX graph, from those of a model's.

use std::collections::{BTreeMap, BTreeSet};

use wgrad::graph::{
    Activation, AdaptiveAvgPool, Add, AvgPool, BatchNorm, Concat, ConvTranspose, Convolution,
    Dropout, Flatten, GlobalAvgPool, Graph, GroupNorm, Interpolation, LayerNorm, Linear, MaxPool,
    Multiply, NodeId, Normalize, Relu, Softmax, Upsample, ValueId, Weights,
};
use wgrad::shape::{Padding, Shape, Size2d, Window};
use wgrad::{Error, Result};

use super::IMAGES;
use super::format::{Attribute, FLOAT, INT64, Node, Tensor};

/// Nodes and constants under construction.
pub struct Nodes<'a> {
    graph: &'a Graph,
    weights: &'a Weights,
    /// The ONNX names of the model's values.
    names: BTreeMap<ValueId, String>,
    nodes: Vec<Node>,
    constants: Vec<Tensor>,
    taken: BTreeSet<String>,
}

impl<'a> Nodes<'a> {
    pub fn new(graph: &'a Graph, weights: &'a Weights) -> Self {
        Nodes {
            graph,
            weights,
            names: BTreeMap::from([(graph.images(), IMAGES.to_owned())]),
            nodes: Vec::new(),
            constants: Vec::new(),
            taken: BTreeSet::from([IMAGES.to_owned()]),
        }
    }

    /// Adds what computes a node.
    ///
    /// # Errors
    /// ONNX has nothing for its function, or a weight is missing.
    pub fn add(&mut self, id: NodeId) -> Result<()> {
        let graph = self.graph;
        let node = graph.node(id);
        let shape = |place: usize| &graph.value(node.inputs[place]).shape;
        let output = &graph.value(node.output).shape;
        let name = if let Some(&Convolution { window, groups }) = graph.function(id) {
            let attributes = of_window(window, groups);
            self.apply(id, "Conv", node.inputs.len(), attributes)?
        } else if let Some(transposed) = graph.function::<ConvTranspose>(id) {
            let mut attributes = of_window(transposed.window, transposed.groups);
            let Size2d { height, width } = transposed.output_padding;
            attributes.push(Attribute::ints("output_padding", [height, width]));
            self.apply(id, "ConvTranspose", node.inputs.len(), attributes)?
        } else if graph.function::<Linear>(id).is_some() {
            let attributes = vec![Attribute::int("transB", 1)];
            self.apply(id, "Gemm", node.inputs.len(), attributes)?
        } else if let Some(norm) = graph.function::<BatchNorm>(id) {
            let attributes = vec![Attribute::float("epsilon", norm.eps)];
            self.apply(id, "BatchNormalization", 5, attributes)?
        } else if let Some(norm) = graph.function::<GroupNorm>(id) {
            self.group_norm(id, norm)?
        } else if let Some(norm) = graph.function::<LayerNorm>(id) {
            self.layer_norm(id, norm)?
        } else if let Some(pool) = graph.function::<MaxPool>(id) {
            let mut attributes = of_window(pool.window, 1);
            attributes.retain(|attribute| attribute.name != "group");
            self.apply(id, "MaxPool", 1, attributes)?
        } else if let Some(pool) = graph.function::<AvgPool>(id) {
            let size = |size: Size2d| [size.height, size.width];
            let pads = [size(pool.padding), size(pool.padding)].concat();
            let attributes = vec![
                Attribute::ints("kernel_shape", size(pool.kernel)),
                Attribute::ints("strides", size(pool.stride)),
                Attribute::ints("pads", pads),
                Attribute::int("count_include_pad", pool.count_padding.into()),
            ];
            self.apply(id, "AveragePool", 1, attributes)?
        } else if graph.function::<AdaptiveAvgPool>(id).is_some() {
            self.adaptive(id, shape(0), output)?
        } else if graph.function::<GlobalAvgPool>(id).is_some() {
            self.apply(id, "GlobalAveragePool", 1, vec![])?
        } else if graph.function::<Relu>(id).is_some() {
            self.apply(id, "Relu", 1, vec![])?
        } else if let Some(activation) = graph.function::<Activation>(id) {
            self.activation(id, activation)?
        } else if graph.function::<Softmax>(id).is_some() {
            self.apply(id, "Softmax", 1, vec![Attribute::int("axis", 1)])?
        } else if graph.function::<Dropout>(id).is_some() {
            // Nothing, in inference.
            self.input(id, 0)?
        } else if graph.function::<Flatten>(id).is_some() {
            self.apply(id, "Flatten", 1, vec![Attribute::int("axis", 1)])?
        } else if graph.function::<Add>(id).is_some() {
            self.apply(id, "Add", 2, vec![])?
        } else if graph.function::<Concat>(id).is_some() {
            let attributes = vec![Attribute::int("axis", 1)];
            self.apply(id, "Concat", node.inputs.len(), attributes)?
        } else if graph.function::<Multiply>(id).is_some() {
            let mut inputs = [self.input(id, 0)?, self.input(id, 1)?];
            if let ([_, _, _, _], &[_, channels]) = (shape(0).dims(), shape(1).dims()) {
                let planes = self.integers(id, "planes", &[-1, channels as i64, 1, 1]);
                let reshaped = [inputs[1].clone(), planes];
                inputs[1] = self.node(&node.name, "factor", "Reshape", &reshaped, vec![]);
            }
            self.node(&node.name, "", "Mul", &inputs, vec![])
        } else if let Some(normalize) = graph.function::<Normalize>(id) {
            let dims = [
                vec![normalize.means.len()],
                vec![1; output.dims().len() - 2],
            ]
            .concat();
            let means = self.floats(id, "means", &dims, &normalize.means);
            let deviations = self.floats(id, "deviations", &dims, &normalize.deviations);
            let moved = [self.input(id, 0)?, means];
            let moved = self.node(&node.name, "moved", "Sub", &moved, vec![]);
            self.node(&node.name, "", "Div", &[moved, deviations], vec![])
        } else if let Some(upsample) = graph.function::<Upsample>(id) {
            self.resize(id, upsample, output)?
        } else {
            let expected = "a function that ONNX has";
            return Err(Error::value(&node.name, expected, node.function.name()));
        };
        self.names.insert(node.output, name);
        Ok(())
    }

    /// All nodes and constants; the value `logits` is called `name`.
    ///
    /// # Errors
    /// Nothing computes it.
    pub fn finish(mut self, logits: ValueId, name: &str) -> Result<(Vec<Node>, Vec<Tensor>)> {
        let Some(last) = self.names.get(&logits).cloned() else {
            return Err(Error::value("model", "an output", "none"));
        };
        self.nodes.push(Node {
            input: vec![last],
            output: vec![name.to_owned()],
            name: "output".to_owned(),
            op_type: "Identity".to_owned(),
            attribute: vec![],
        });
        Ok((self.nodes, self.constants))
    }

    /// A node of the operator `kind` on the first `inputs` inputs of the model's node.
    fn apply(
        &mut self,
        id: NodeId,
        kind: &str,
        inputs: usize,
        attributes: Vec<Attribute>,
    ) -> Result<String> {
        let inputs = (0..inputs).map(|place| self.input(id, place));
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        let name = &self.graph.node(id).name;
        Ok(self.node(name, "", kind, &inputs, attributes))
    }

    /// Adds a node; returns the name of its output.
    fn node(
        &mut self,
        name: &str,
        part: &str,
        kind: &str,
        inputs: &[String],
        attribute: Vec<Attribute>,
    ) -> String {
        let name = self.free_name(match part {
            "" => name.to_owned(),
            part => format!("{name}.{part}"),
        });
        self.nodes.push(Node {
            input: inputs.to_vec(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: kind.to_owned(),
            attribute,
        });
        name
    }

    /// The name, or one like it that no value has.
    fn free_name(&mut self, name: String) -> String {
        let mut free = name.clone();
        let mut number = 1;
        while !self.taken.insert(free.clone()) {
            number += 1;
            free = format!("{name}:{number}");
        }
        free
    }

    /// The name of an input: a value, or a tensor of the model, which becomes a constant.
    fn input(&mut self, id: NodeId, place: usize) -> Result<String> {
        let value = self.graph.node(id).inputs[place];
        if let Some(name) = self.names.get(&value) {
            return Ok(name.clone());
        }
        let name = &self.graph.value(value).name;
        let Some((shape, values)) = self.weights.get(name) else {
            return Err(Error::value("weights", name, "no such tensor"));
        };
        let constant = self.constant(
            name.clone(),
            shape.dims(),
            FLOAT,
            bytemuck::cast_slice(values),
        );
        self.names.insert(value, constant.clone());
        Ok(constant)
    }

    fn constant(&mut self, name: String, dims: &[usize], data_type: i32, raw: &[u8]) -> String {
        let name = self.free_name(name);
        self.constants.push(Tensor {
            dims: dims.iter().map(|&extent| extent as i64).collect(),
            data_type,
            name: name.clone(),
            raw_data: raw.to_vec(),
        });
        name
    }

    fn floats(&mut self, id: NodeId, part: &str, dims: &[usize], values: &[f32]) -> String {
        let name = format!("{}.{part}", self.graph.node(id).name);
        self.constant(name, dims, FLOAT, bytemuck::cast_slice(values))
    }

    fn integers(&mut self, id: NodeId, part: &str, values: &[i64]) -> String {
        let name = format!("{}.{part}", self.graph.node(id).name);
        self.constant(name, &[values.len()], INT64, bytemuck::cast_slice(values))
    }

    fn activation(&mut self, id: NodeId, activation: &Activation) -> Result<String> {
        let gelu = |kind: &str| vec![Attribute::text("approximate", kind)];
        match *activation {
            Activation::LeakyRelu(slope) => {
                self.apply(id, "LeakyRelu", 1, vec![Attribute::float("alpha", slope)])
            }
            Activation::Sigmoid => self.apply(id, "Sigmoid", 1, vec![]),
            Activation::Tanh => self.apply(id, "Tanh", 1, vec![]),
            Activation::Gelu => self.apply(id, "Gelu", 1, gelu("none")),
            Activation::GeluTanh => self.apply(id, "Gelu", 1, gelu("tanh")),
            Activation::Silu => {
                let (input, name) = (self.input(id, 0)?, &self.graph.node(id).name);
                let gate = self.node(
                    name,
                    "gate",
                    "Sigmoid",
                    std::slice::from_ref(&input),
                    vec![],
                );
                Ok(self.node(name, "", "Mul", &[input, gate], vec![]))
            }
        }
    }

    /// An instance norm over the groups as channels, and the channels' weights after it.
    fn group_norm(&mut self, id: NodeId, norm: &GroupNorm) -> Result<String> {
        let node = self.graph.node(id);
        let dims = self.graph.value(node.output).shape.dims().to_vec();
        let groups = norm.groups;
        let grouped = self.integers(id, "grouped", &[0, groups as i64, -1]);
        let grouped = [self.input(id, 0)?, grouped];
        let grouped = self.node(&node.name, "groups", "Reshape", &grouped, vec![]);
        let ones = self.floats(id, "ones", &[groups], &vec![1.0; groups]);
        let zeros = self.floats(id, "zeros", &[groups], &vec![0.0; groups]);
        let normed = self.node(
            &node.name,
            "normed",
            "InstanceNormalization",
            &[grouped, ones, zeros],
            vec![Attribute::float("epsilon", norm.eps)],
        );
        let rest = dims[1..].iter().map(|&extent| extent as i64);
        let shape: Vec<i64> = std::iter::once(-1).chain(rest).collect();
        let shape = self.integers(id, "shape", &shape);
        let is_affine = node.inputs.len() > 1;
        let part = if is_affine { "ungrouped" } else { "" };
        let ungrouped = self.node(&node.name, part, "Reshape", &[normed, shape], vec![]);
        if !is_affine {
            return Ok(ungrouped);
        }
        let planes = [vec![dims[1] as i64], vec![1; dims.len() - 2]].concat();
        let planes = self.integers(id, "planes", &planes);
        let of_channels = |nodes: &mut Self, place: usize, part: &str| -> Result<String> {
            let inputs = [nodes.input(id, place)?, planes.clone()];
            Ok(nodes.node(&node.name, part, "Reshape", &inputs, vec![]))
        };
        let weight = of_channels(self, 1, "channel_weights")?;
        let bias = of_channels(self, 2, "channel_biases")?;
        let scaled = self.node(&node.name, "scaled", "Mul", &[ungrouped, weight], vec![]);
        Ok(self.node(&node.name, "", "Add", &[scaled, bias], vec![]))
    }

    fn layer_norm(&mut self, id: NodeId, norm: &LayerNorm) -> Result<String> {
        let node = self.graph.node(id);
        let axis = self.graph.value(node.output).shape.dims().len() - norm.shape.dims().len();
        let mut inputs = vec![self.input(id, 0)?];
        match node.inputs.len() {
            1 => {
                let ones = vec![1.0; norm.shape.elements()];
                inputs.push(self.floats(id, "ones", norm.shape.dims(), &ones));
            }
            _ => inputs.extend([self.input(id, 1)?, self.input(id, 2)?]),
        }
        let attributes = vec![
            Attribute::int("axis", axis as i64),
            Attribute::float("epsilon", norm.eps),
        ];
        Ok(self.node(&node.name, "", "LayerNormalization", &inputs, attributes))
    }

    /// Means of bins that may overlap: a product with a matrix for each axis.
    fn adaptive(&mut self, id: NodeId, input: &Shape, output: &Shape) -> Result<String> {
        let name = &self.graph.node(id).name;
        let (&[.., height, width], &[.., rows, columns]) = (input.dims(), output.dims()) else {
            return Err(Error::value(name, "(N, C, H, W)", input));
        };
        let (down, across) = (bins(height, rows), bins(width, columns));
        // (W × OW), the transpose of the bins.
        let across: Vec<f32> = (0..width * columns)
            .map(|at| across[at % columns * width + at / columns])
            .collect();
        let across = self.floats(id, "across", &[width, columns], &across);
        let inputs = [self.input(id, 0)?, across];
        let narrow = self.node(name, "narrow", "MatMul", &inputs, vec![]);
        let down = self.floats(id, "down", &[rows, height], &down);
        Ok(self.node(name, "", "MatMul", &[down, narrow], vec![]))
    }

    fn resize(&mut self, id: NodeId, upsample: &Upsample, output: &Shape) -> Result<String> {
        let name = &self.graph.node(id).name;
        let &[.., height, width] = output.dims() else {
            return Err(Error::value(name, "(N, C, H, W)", output));
        };
        let sizes = self.integers(id, "size", &[height as i64, width as i64]);
        let (mode, transform) = match upsample.interpolation {
            Interpolation::Nearest => ("nearest", "asymmetric"),
            Interpolation::Bilinear => ("linear", "half_pixel"),
        };
        let attributes = vec![
            Attribute::ints("axes", [2, 3]),
            Attribute::text("mode", mode),
            Attribute::text("coordinate_transformation_mode", transform),
            Attribute::text("nearest_mode", "floor"),
        ];
        // Neither a region of interest nor scales.
        let inputs = [self.input(id, 0)?, String::new(), String::new(), sizes];
        Ok(self.node(name, "", "Resize", &inputs, attributes))
    }
}

/// The shares of the inputs in each of `outputs` bins, row by row: from ⌊i·inputs/outputs⌋ to below
/// ⌈(i+1)·inputs/outputs⌉, as in PyTorch.
fn bins(inputs: usize, outputs: usize) -> Vec<f32> {
    let mut shares = vec![0.0; inputs * outputs];
    for (output, row) in shares.chunks_exact_mut(inputs).enumerate() {
        let bin = output * inputs / outputs..((output + 1) * inputs).div_ceil(outputs);
        let share = 1.0 / bin.len() as f32;
        row[bin].fill(share);
    }
    shares
}

fn of_window(window: Window, groups: usize) -> Vec<Attribute> {
    let size = |size: Size2d| [size.height, size.width];
    let Padding {
        top,
        bottom,
        left,
        right,
    } = window.padding;
    vec![
        Attribute::ints("kernel_shape", size(window.kernel)),
        Attribute::ints("strides", size(window.stride)),
        Attribute::ints("pads", [top, left, bottom, right]),
        Attribute::ints("dilations", size(window.dilation)),
        Attribute::int("group", groups as i64),
    ]
}
