//! What each layer makes of an image.

use wgrad::graph::{Graph, NodeId};
use wgrad::{Checkpoint, Device, Predictor, Result};

use super::Subject;
use crate::tiles::{self, Group, Image, Layout, Tile};

/// Channels that are drawn of a layer at most.
const MOST: usize = 16;

const LAYOUT: Layout = Layout {
    columns: MOST,
    side: 64,
    lines: 1,
};

/// Functions that are drawn together with what they read.
const FOLLOWING: [&str; 10] = [
    "batch_norm",
    "dropout",
    "dropout2d",
    "gelu",
    "group_norm",
    "layer_norm",
    "leaky_relu",
    "relu",
    "sigmoid",
    "silu",
];

/// The first channels of each layer with planes: black is the layer's least value, white its
/// largest.
///
/// # Errors
/// The checkpoint does not describe its model, or the device was lost.
pub async fn sheet(device: &Device, checkpoint: &Checkpoint, subject: &Subject) -> Result<String> {
    let graph = checkpoint.graph()?;
    let mut groups = vec![Group {
        title: subject.name.clone(),
        tiles: vec![Tile {
            image: Image::new(&sample(&graph), subject.values.clone())?,
            caption: Vec::new(),
            is_marked: false,
        }],
    }];
    for node in graph.nodes().filter(|&node| is_drawn(&graph, node)) {
        let output = graph.node(node).output;
        let &[_, channels, height, width] = graph.value(output).shape.dims() else {
            continue;
        };
        let part = graph.until(output)?;
        let mut predictor = Predictor::from_graph(device, &part, checkpoint)?;
        let values = predictor.logits(&subject.values).await?;
        let (least, most) = values.iter().fold(
            (f32::INFINITY, f32::NEG_INFINITY),
            |(least, most), &value| (least.min(value), most.max(value)),
        );
        let range = (most - least).max(f32::MIN_POSITIVE);
        let planes = values.chunks_exact(height * width).take(MOST);
        let tiles = planes.enumerate().map(|(channel, plane)| {
            let scaled = plane.iter().map(|value| (value - least) / range);
            Tile {
                image: Image::grey([height, width], scaled.collect()),
                caption: vec![channel.to_string()],
                is_marked: false,
            }
        });
        groups.push(Group {
            title: format!(
                "{}, ({channels}, {height}, {width}): black {least:.2}, white {most:.2}",
                label(&graph, node)
            ),
            tiles: tiles.collect(),
        });
    }
    tiles::sheet("Activations, layer by layer", &groups, LAYOUT)
}

fn sample(graph: &Graph) -> wgrad::shape::Shape {
    wgrad::shape::Shape::new(&graph.value(graph.images()).shape.dims()[1..])
}

/// Whether it computes planes, and no function follows that is drawn together with it.
fn is_drawn(graph: &Graph, node: NodeId) -> bool {
    let output = graph.node(node).output;
    let follows = graph.only_reader(output).is_some_and(|next| {
        let name = graph.node(next).function.name();
        FOLLOWING.contains(&name)
    });
    let is_input = graph.node(node).function.name() == "normalize";
    graph.value(output).shape.dims().len() == 4 && !follows && !is_input
}

/// The name of the layer, and its functions: `conv1: convolution, batch_norm, relu`.
fn label(graph: &Graph, node: NodeId) -> String {
    let (mut first, mut functions) = (node, Vec::new());
    loop {
        let name = graph.node(first).function.name();
        functions.push(name);
        let before = graph.writer(graph.node(first).inputs[0]);
        match before {
            Some(before) if FOLLOWING.contains(&name) && !is_drawn(graph, before) => first = before,
            _ => break,
        }
    }
    functions.reverse();
    format!("{}: {}", graph.node(first).name, functions.join(", "))
}
