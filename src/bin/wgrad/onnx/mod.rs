//! Models as ONNX files, for inference elsewhere.

mod format;
mod nodes;

use format::{Dimension, Extent, FLOAT, Model, OperatorSet, Property};
use format::{TensorShape, TensorType, Type, ValueInfo};
use prost::Message;
use wgrad::graph::Weights;
use wgrad::shape::Shape;
use wgrad::{Checkpoint, Result};

use nodes::Nodes;

/// The operator set that defines the nodes, and the version of the format that has it.
const OPERATORS: i64 = 20;
const FORMAT: i64 = 9;

/// The names of the input and the output.
const IMAGES: &str = "images";
const LOGITS: &str = "logits";

/// The ONNX file of a checkpoint's model: images (N, …) with values from 0 to 1, for any N, to
/// logits. With `fold`, batch norms become part of the convolutions before them.
///
/// # Errors
/// The checkpoint does not describe its model, or the model has a function that ONNX lacks.
pub fn file(checkpoint: &Checkpoint, fold: bool, classes: Option<&[String]>) -> Result<Vec<u8>> {
    let mut graph = checkpoint.graph()?;
    let mut weights: Weights = checkpoint.tensors.clone();
    if fold {
        graph = graph.fold(&mut weights)?;
    }
    let mut nodes = Nodes::new(&graph, &weights);
    for node in graph.nodes() {
        nodes.add(node)?;
    }
    let (nodes, initializers) = nodes.finish(graph.logits(), LOGITS)?;
    let value = |name: &str, shape: &Shape| ValueInfo {
        name: name.to_owned(),
        r#type: Some(Type {
            tensor_type: Some(TensorType {
                elem_type: FLOAT,
                shape: Some(open_batch(shape)),
            }),
        }),
    };
    let graph = format::Graph {
        node: nodes,
        name: "wgrad".to_owned(),
        initializer: initializers,
        input: vec![value(IMAGES, &graph.value(graph.images()).shape)],
        output: vec![value(LOGITS, &graph.value(graph.logits()).shape)],
    };
    let classes = classes.map(|classes| Property {
        key: "classes".to_owned(),
        value: serde_json::json!(classes).to_string(),
    });
    let model = Model {
        ir_version: FORMAT,
        producer_name: "wgrad".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(graph),
        opset_import: vec![OperatorSet {
            domain: String::new(),
            version: OPERATORS,
        }],
        metadata_props: classes.into_iter().collect(),
    };
    Ok(model.encode_to_vec())
}

/// A shape whose first extent is open.
fn open_batch(shape: &Shape) -> TensorShape {
    let rest = shape.dims().iter().skip(1);
    let rest = rest.map(|&extent| Extent::Value(extent as i64));
    let extents = std::iter::once(Extent::Name("N".to_owned())).chain(rest);
    let dim = extents.map(|extent| Dimension {
        extent: Some(extent),
    });
    TensorShape { dim: dim.collect() }
}
