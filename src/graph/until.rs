//! The part of a graph that computes one of its values.

use std::collections::{BTreeMap, BTreeSet};

use super::{Graph, Node, NodeId, Source, Value, ValueId};
use crate::error::{Error, Result};

impl Graph {
    /// The part of the graph that computes `value`, which becomes its output, for inference: with
    /// it, a [`Predictor`](crate::Predictor) shows what a layer makes of an image.
    ///
    /// # Errors
    /// `value` is not computed from the batch, or is not (N, …).
    pub fn until(&self, value: ValueId) -> Result<Graph> {
        let mut needed = BTreeSet::from([value]);
        for node in self.nodes().rev() {
            let node = self.node(node);
            if needed.contains(&node.output) {
                needed.extend(&node.inputs);
            }
        }
        if value == self.images() || !needed.contains(&self.images()) {
            let name = &self.value(value).name;
            return Err(Error::value("model", "a value computed from images", name));
        }
        let moved: BTreeMap<ValueId, ValueId> =
            needed.iter().copied().zip((0..).map(ValueId)).collect();
        let (mut values, mut nodes): (Vec<Value>, Vec<Node>) = (Vec::new(), Vec::new());
        for &id in &needed {
            let mut kept = self.value(id).clone();
            if let Some(writer) = self.writer(id) {
                kept.source = Source::Node(NodeId(nodes.len()));
                let node = self.node(writer).clone();
                nodes.push(Node {
                    inputs: node.inputs.iter().map(|input| moved[input]).collect(),
                    output: moved[&id],
                    ..node
                });
            }
            values.push(kept);
        }
        Graph::from_parts(values, nodes, moved[&self.images()], moved[&value])
    }
}
