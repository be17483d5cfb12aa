//! Stochastic gradient descent.

use std::fmt;

use super::{check_rate, of_weights};
use crate::error::{Error, Result};
use crate::ops;
use crate::plan::{Builder, Element, Phase, Role, TensorId};

/// `p -= lr·g`, optionally with PyTorch's momentum and weight decay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    learning_rate: f32,
    momentum: f32,
    weight_decay: f32,
    nesterov: bool,
    weights_only: bool,
}

impl fmt::Display for Sgd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sgd {
            learning_rate,
            momentum,
            weight_decay,
            nesterov,
            weights_only,
        } = self;
        let nesterov = if *nesterov { ", Nesterov" } else { "" };
        write!(
            f,
            "SGD, learning rate {learning_rate}, momentum {momentum}{nesterov}, weight decay \
             {weight_decay}{}",
            of_weights(*weights_only)
        )
    }
}

impl Sgd {
    /// SGD without momentum and weight decay.
    pub fn new(learning_rate: f32) -> Self {
        Sgd {
            learning_rate,
            momentum: 0.0,
            weight_decay: 0.0,
            nesterov: false,
            weights_only: false,
        }
    }

    /// Sets the momentum: `v = momentum·v + g; p -= lr·v`.
    #[must_use]
    pub fn momentum(mut self, momentum: f32) -> Self {
        self.momentum = momentum;
        self
    }

    /// Uses Nesterov's momentum: `p -= lr·(g + momentum·v)`.
    #[must_use]
    pub fn nesterov(mut self) -> Self {
        self.nesterov = true;
        self
    }

    /// Sets the weight decay: adds `weight_decay·p` to each gradient.
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
    /// A rate is negative or not finite, or Nesterov's momentum is 0.
    pub(super) fn lower(
        &self,
        plan: &mut Builder,
        parameters: TensorId,
        gradients: TensorId,
    ) -> Result<()> {
        for (what, value) in [
            ("learning rate", self.learning_rate),
            ("momentum", self.momentum),
            ("weight decay", self.weight_decay),
        ] {
            check_rate(what, value)?;
        }
        let len = plan.get(parameters).words();
        let weight_decay = self.weight_decay;
        if self.nesterov && self.momentum == 0.0 {
            return Err(Error::value("Nesterov's momentum", "above 0", 0));
        }
        let selective = self.weights_only && weight_decay > 0.0;
        let mut inputs = vec![gradients];
        if selective {
            inputs.push(plan.decayed(true)?);
        }
        if self.momentum == 0.0 {
            let sgd = ops::Sgd {
                len,
                weight_decay,
                selective,
            };
            return plan.op(Phase::Update, sgd, &inputs, &[parameters]);
        }
        let velocity = plan.tensor("velocity", [len], Element::F32, Role::OptimizerState)?;
        let sgd = ops::SgdMomentum {
            len,
            weight_decay,
            momentum: self.momentum,
            nesterov: self.nesterov,
            selective,
        };
        plan.op(Phase::Update, sgd, &inputs, &[parameters, velocity])
    }
}
