//! Folds a batch norm into the convolution before it.

use std::collections::BTreeMap;

use super::{BatchNorm, Convolution, Graph, Node, NodeId, Source, Value, ValueId};
use crate::error::{Error, Result};
use crate::plan::Init;
use crate::shape::Shape;

/// A model's tensors, by name.
pub type Weights = BTreeMap<String, (Shape, Vec<f32>)>;

/// A convolution and the batch norm that is its only reader.
struct Pair {
    convolution: NodeId,
    norm: NodeId,
}

impl Graph {
    /// The graph for inference, with each batch norm folded into the weights of the convolution
    /// before it if nothing else reads those weights or the value in between: `weight·s` and
    /// `(bias − mean)·s + shift` per channel, with `s = scale/√(variance + eps)`. `weights` are the
    /// model's, and become the folded graph's.
    ///
    /// # Errors
    /// `weights` lacks a tensor.
    pub fn fold(&self, weights: &mut Weights) -> Result<Graph> {
        let mut graph = self.clone();
        while let Some(pair) = graph.pair() {
            graph = graph.without_norm(&pair, weights)?;
        }
        Ok(graph)
    }

    fn pair(&self) -> Option<Pair> {
        self.nodes().find_map(|convolution| {
            self.function::<Convolution>(convolution)?;
            let norm = self.next::<BatchNorm>(convolution)?;
            // Tensors that another node reads too must stay as they are.
            let own = [convolution, norm].map(|node| &self.node(node).inputs[1..]);
            own.concat()
                .iter()
                .all(|&id| self.only_reader(id).is_some())
                .then_some(Pair { convolution, norm })
        })
    }

    fn without_norm(&self, pair: &Pair, weights: &mut Weights) -> Result<Graph> {
        let (convolution, norm) = (self.node(pair.convolution), self.node(pair.norm));
        let bias = match convolution.inputs.get(2) {
            Some(&bias) => self.value(bias).name.clone(),
            None => format!("{}.bias", convolution.name),
        };
        self.fold_weights(pair, &bias, weights)?;

        let (mut values, mut nodes): (Vec<Value>, Vec<Node>) = (Vec::new(), Vec::new());
        let mut moved: BTreeMap<ValueId, ValueId> = BTreeMap::new();
        let of_norm = &norm.inputs[1..];
        for id in self.values() {
            let value = self.value(id);
            let node = self.writer(id);
            if of_norm.contains(&id) || node == Some(pair.norm) {
                continue;
            }
            let Some(node) = node else {
                moved.insert(id, ValueId(values.len()));
                values.push(value.clone());
                continue;
            };
            let Node {
                name,
                function,
                inputs,
                ..
            } = self.node(node);
            let mut inputs: Vec<ValueId> = inputs.iter().map(|input| moved[input]).collect();
            if node == pair.convolution && inputs.len() == 2 {
                inputs.push(ValueId(values.len()));
                values.push(Value {
                    name: bias.clone(),
                    shape: [value.shape.dims()[1]].into(),
                    source: Source::Parameter(Init::ZEROS),
                });
            }
            let output = ValueId(values.len());
            moved.insert(id, output);
            if node == pair.convolution {
                moved.insert(norm.output, output);
            }
            values.push(Value {
                source: Source::Node(NodeId(nodes.len())),
                ..value.clone()
            });
            nodes.push(Node {
                name: name.clone(),
                function: function.clone(),
                inputs,
                output,
            });
        }
        Graph::from_parts(values, nodes, moved[&self.images()], moved[&self.logits()])
    }

    /// Folds the norm into the convolution's weight and its bias, called `bias`.
    fn fold_weights(&self, pair: &Pair, bias: &str, weights: &mut Weights) -> Result<()> {
        let norm = self.node(pair.norm);
        let eps = self
            .function(pair.norm)
            .map_or(0.0, |norm: &BatchNorm| f64::from(norm.eps));
        let name = |node: NodeId, input: usize| &*self.value(self.node(node).inputs[input]).name;
        let get = |name: &str| {
            let found = weights.get(name).map(|(_, values)| values.clone());
            found.ok_or_else(|| Error::value("weights", format!("a tensor {name}"), "none"))
        };
        let weight_name = name(pair.convolution, 1).to_owned();
        let (scale, shift) = (get(name(pair.norm, 1))?, get(name(pair.norm, 2))?);
        let (mean, variance) = (get(name(pair.norm, 3))?, get(name(pair.norm, 4))?);
        let mut weight = get(&weight_name)?;
        let channels = scale.len();
        let old_bias = match self.node(pair.convolution).inputs.len() {
            2 => vec![0.0; channels],
            _ => get(bias)?,
        };
        let of_channel = weight.len() / channels;
        let mut new_bias = Vec::with_capacity(channels);
        for (channel, weight) in weight.chunks_mut(of_channel).enumerate() {
            let deviation = (f64::from(variance[channel]) + eps).sqrt();
            let factor = f64::from(scale[channel]) / deviation;
            for weight in weight {
                *weight = (f64::from(*weight) * factor) as f32;
            }
            let centred = f64::from(old_bias[channel]) - f64::from(mean[channel]);
            new_bias.push((centred * factor + f64::from(shift[channel])) as f32);
        }
        if let Some((_, values)) = weights.get_mut(&weight_name) {
            *values = weight;
        }
        weights.insert(bias.to_owned(), ([channels].into(), new_bias));
        for &input in &norm.inputs[1..] {
            weights.remove(&self.value(input).name);
        }
        Ok(())
    }
}
