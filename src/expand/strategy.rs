//! The layers that the fast plan can compute in several ways.

use std::collections::BTreeMap;
use std::fmt;

use crate::graph::{Convolution, Graph, Linear};

/// A way to compute a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Strategy {
    /// A convolution by im2col, then a matrix product.
    Columns,
    /// A convolution by implicit GEMM: the matrix product reads the columns from the image.
    Implicit,
    /// A convolution with its ReLU and 2×2 pool in one kernel; if those do not follow, as
    /// [`Strategy::Implicit`].
    Pooled,
    /// Like [`Strategy::Pooled`]; in the first layer, also reads the batch directly from the data
    /// set.
    Gathered,
    /// A fully connected layer, each of its two gradients by a matrix product.
    Separate,
    /// A fully connected layer, all its gradients by one kernel, if it has a bias and its input has
    /// a gradient; else as [`Strategy::Separate`].
    Joined,
}

impl Strategy {
    /// Those of a convolution without groups.
    pub const OF_CONVOLUTION: [Strategy; 4] = [
        Strategy::Columns,
        Strategy::Implicit,
        Strategy::Pooled,
        Strategy::Gathered,
    ];

    /// Those of a fully connected layer, the default first.
    pub const OF_LINEAR: [Strategy; 2] = [Strategy::Separate, Strategy::Joined];

    /// Those of all layers.
    pub fn all() -> impl Iterator<Item = Strategy> {
        Strategy::OF_CONVOLUTION
            .into_iter()
            .chain(Strategy::OF_LINEAR)
    }

    /// The strategy of that name.
    pub(crate) fn named(name: &str) -> Option<Strategy> {
        Strategy::all().find(|strategy| strategy.to_string() == name)
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Strategy::Columns => "columns",
            Strategy::Implicit => "implicit",
            Strategy::Pooled => "pooled",
            Strategy::Gathered => "gathered",
            Strategy::Separate => "separate",
            Strategy::Joined => "joined",
        })
    }
}

/// The strategies of a graph's layers, by their nodes' names.
pub type Strategies = BTreeMap<String, Strategy>;

impl Graph {
    /// The names of the layers that the fast plan can compute in several ways, and these.
    pub fn strategies(&self) -> Vec<(String, &'static [Strategy])> {
        let nodes = self.nodes().filter_map(|node| {
            let convolution = self.function::<Convolution>(node);
            let strategies: &[Strategy] = if convolution.is_some_and(|conv| conv.groups == 1) {
                &Strategy::OF_CONVOLUTION
            } else if self.function::<Linear>(node).is_some() {
                &Strategy::OF_LINEAR
            } else {
                return None;
            };
            Some((self.node(node).name.clone(), strategies))
        });
        nodes.collect()
    }

    /// `strategy` for each layer that can be computed so.
    pub fn all_by(&self, strategy: Strategy) -> Strategies {
        let layers = self.strategies().into_iter();
        layers
            .filter(|(_, own)| own.contains(&strategy))
            .map(|(layer, _)| (layer, strategy))
            .collect()
    }
}
