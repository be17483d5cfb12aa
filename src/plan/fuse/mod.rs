//! Passes that replace ops by fewer and faster ones which compute the same.
//!
//! Each pass looks for a pattern of the readable plan (im2col, GEMM, bias, ReLU, …), puts one op in
//! its place, and leaves everything that it does not know as it is. Tensors that nobody needs any more are
//! dropped, and the rest shares memory (see [`memory`](super::memory)).

mod conv;
mod gather;
mod graph;
mod linear;
mod loss;
mod relu_pool;

use std::collections::HashMap;
use std::fmt;

use super::{Plan, memory};
use crate::error::Result;
use graph::Graph;

/// How a convolution is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConvKernel {
    /// im2col's columns, written once and multiplied.
    Columns,
    /// The matrix product that reads the columns from the image.
    Implicit,
    /// With its ReLU and 2×2 pool in one kernel; where those do not follow, as [`ConvKernel::Implicit`].
    Pooled,
    /// The same, which also reads the batch where it lies in the data set, where the first layer is such a
    /// convolution; elsewhere as [`ConvKernel::Pooled`].
    Gathered,
}

impl ConvKernel {
    /// All of them.
    pub const ALL: [ConvKernel; 4] = [
        ConvKernel::Columns,
        ConvKernel::Implicit,
        ConvKernel::Pooled,
        ConvKernel::Gathered,
    ];
}

impl fmt::Display for ConvKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConvKernel::Columns => "columns",
            ConvKernel::Implicit => "implicit",
            ConvKernel::Pooled => "pooled",
            ConvKernel::Gathered => "gathered",
        })
    }
}

/// How each convolution of a plan is computed, by its layer's name.
pub type ConvKernels = HashMap<String, ConvKernel>;

impl Plan {
    /// The same computation in fewer ops, over tensors that share memory.
    ///
    /// Layers that `convs` does not name are computed as [`ConvKernel::Gathered`] if they have few input
    /// channels, else as [`ConvKernel::Columns`].
    ///
    /// # Errors
    /// None, unless a pass is wrong.
    pub fn fused(self, convs: &ConvKernels) -> Result<Plan> {
        let mut graph = Graph::new(self);
        loss::fuse(&mut graph)?;
        relu_pool::fuse(&mut graph)?;
        conv::fuse(&mut graph, convs)?;
        linear::fuse(&mut graph)?;
        Ok(memory::share(graph.finish()))
    }

    /// The names of the layers whose convolution the passes know, one with a bias, in a readable plan: what
    /// [`ConvKernels`] may name.
    pub fn convolutions(&self) -> Vec<String> {
        conv::names(self)
    }
}
