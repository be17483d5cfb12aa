//! The filters of the first convolution.

use wgrad::graph::Convolution;
use wgrad::{Checkpoint, Result};

use crate::tiles::{self, Group, Image, Layout, Tile};

/// Filters that are drawn at most.
const MOST: usize = 128;

const LAYOUT: Layout = Layout {
    columns: 16,
    side: 48,
    lines: 1,
};

/// Each filter (C, KH, KW) of the convolution of the images: of three channels in colour, of others
/// its first channel in grey. Zero is middle grey; the largest weight is black or white.
///
/// `None` if the model has no such convolution.
///
/// # Errors
/// The checkpoint does not describe its model.
pub fn sheet(checkpoint: &Checkpoint) -> Result<Option<String>> {
    let graph = checkpoint.graph()?;
    let first = graph
        .nodes()
        .find(|&node| graph.function::<Convolution>(node).is_some());
    let Some(first) = first.map(|node| graph.node(node)) else {
        return Ok(None);
    };
    let name = &graph.value(first.inputs[1]).name;
    let Some((shape, weights)) = checkpoint.tensors.get(name) else {
        return Ok(None);
    };
    let &[filters, channels, height, width] = shape.dims() else {
        return Ok(None);
    };
    let shown = if channels == 3 { 3 } else { 1 };
    let largest = weights
        .iter()
        .fold(0f32, |most, weight| most.max(weight.abs()));
    let values = weights
        .chunks_exact(channels * height * width)
        .map(|filter| {
            let weights = filter[..shown * height * width].iter();
            let values = weights.map(|weight| 0.5 + 0.5 * weight / largest.max(f32::MIN_POSITIVE));
            values.collect()
        });
    let tiles = values.take(MOST).enumerate().map(|(number, values)| {
        Ok(Tile {
            image: Image::new(&[shown, height, width].into(), values)?,
            caption: vec![number.to_string()],
            is_marked: false,
        })
    });
    let group = Group {
        title: format!("{name} {shape}: grey is 0, white {largest:.2}, black −{largest:.2}"),
        tiles: tiles.collect::<Result<_>>()?,
    };
    let title = match filters > MOST {
        true => format!("First {MOST} of {filters} filters of the first convolution"),
        false => "Filters of the first convolution".to_owned(),
    };
    tiles::sheet(&title, &[group], LAYOUT).map(Some)
}
