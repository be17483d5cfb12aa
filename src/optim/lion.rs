//! Lion.

use std::fmt;

use super::{check_rate, check_share, of_weights};
use crate::error::Result;
use crate::ops;
use crate::plan::{Builder, Element, Phase, Role, TensorId};

/// Lion (Chen et al., 2023, arXiv:2302.06675): steps of the learning rate in the direction of the
/// sign of a momentum; the weight decay is not part of the gradient. Rates are a third to a tenth of
/// AdamW's, and decays as many times larger.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lion {
    learning_rate: f32,
    betas: [f32; 2],
    weight_decay: f32,
    weights_only: bool,
}

impl Lion {
    /// Lion with the paper's betas, 0.9 and 0.99, and no weight decay.
    pub fn new(learning_rate: f32) -> Self {
        Lion {
            learning_rate,
            betas: [0.9, 0.99],
            weight_decay: 0.0,
            weights_only: false,
        }
    }

    /// Sets the shares of the momentum in the direction, and in the momentum of the next step.
    #[must_use]
    pub fn betas(mut self, first: f32, second: f32) -> Self {
        self.betas = [first, second];
        self
    }

    /// Sets the weight decay: `p -= lr·weight_decay·p`.
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f32) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// Decays only weights: no parameter of one dimension, which are biases and the parameters of
    /// normalisations. In PyTorch, two groups of parameters.
    #[must_use]
    pub fn decay_weights_only(mut self) -> Self {
        self.weights_only = true;
        self
    }

    /// The initial learning rate.
    pub fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    /// Appends the update of the whole arena to the update phase.
    ///
    /// # Errors
    /// A rate is negative or not finite, or a beta is not in [0, 1).
    pub(super) fn lower(
        &self,
        plan: &mut Builder,
        parameters: TensorId,
        gradients: TensorId,
    ) -> Result<()> {
        check_rate("learning rate", self.learning_rate)?;
        check_rate("weight decay", self.weight_decay)?;
        for beta in self.betas {
            check_share("beta", beta)?;
        }
        let len = plan.get(parameters).words();
        let decayed = plan.decayed(self.weights_only)?;
        let momentum = plan.tensor("momentum", [len], Element::F32, Role::OptimizerState)?;
        let op = ops::Lion {
            len,
            beta1: self.betas[0],
            beta2: self.betas[1],
            weight_decay: self.weight_decay,
        };
        plan.op(
            Phase::Update,
            op,
            &[gradients, decayed],
            &[parameters, momentum],
        )
    }
}

impl fmt::Display for Lion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lion {
            learning_rate,
            betas: [first, second],
            weight_decay,
            weights_only,
        } = self;
        write!(
            f,
            "Lion, learning rate {learning_rate}, betas {first} and {second}, weight decay \
             {weight_decay}{}",
            of_weights(*weights_only)
        )
    }
}
