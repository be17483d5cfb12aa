//! Branches whose outputs are joined along channels.

use super::Sequential;
use crate::error::Result;
use crate::graph::{Module, Var};

/// The outputs of several branches of one input, side by side along dimension 1: the block of
/// Inception (Szegedy et al., 2015, arXiv:1409.4842); with an empty branch, which is the identity,
/// the layer of DenseNet (Huang et al., 2017, arXiv:1608.06993). [`Var::concat`] joins any values.
///
/// Tensors are named by the branch's number: `0.0.weight`, within the name of the block.
///
/// ```
/// use wgrad::nn::{Concat, Conv2d, Sequential};
/// let grow = Concat::new()
///     .branch(Sequential::new())
///     .branch(Sequential::new().with(Conv2d::new(16, 8, 3).padding(1)));
/// assert_eq!(grow.len(), 2);
/// ```
#[derive(Debug, Default)]
pub struct Concat {
    branches: Vec<Sequential>,
}

impl Concat {
    /// No branches yet: the identity.
    pub fn new() -> Self {
        Concat::default()
    }

    /// Appends a branch, whose channels follow those of the branches before.
    #[must_use]
    pub fn branch(mut self, branch: Sequential) -> Self {
        self.branches.push(branch);
        self
    }

    /// Number of branches.
    pub fn len(&self) -> usize {
        self.branches.len()
    }

    /// Whether there are no branches.
    pub fn is_empty(&self) -> bool {
        self.branches.is_empty()
    }
}

impl Module for Concat {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        let outputs = self.branches.iter().enumerate();
        let outputs = outputs.map(|(number, branch)| input.apply(&number.to_string(), branch));
        match outputs.collect::<Result<Vec<_>>>()?.split_first() {
            Some((first, others)) => first.concat(others),
            None => Ok(input),
        }
    }
}
