//! RMSprop.

use std::fmt;

use super::{check_eps, check_rate, check_share, of_weights};
use crate::error::Result;
use crate::ops;
use crate::plan::{Builder, Element, Phase, Role, TensorId};

/// RMSprop (Hinton's lecture 6e, 2012) as in PyTorch: the gradient over the root of its mean square.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RmsProp {
    learning_rate: f32,
    alpha: f32,
    eps: f32,
    weight_decay: f32,
    momentum: f32,
    centered: bool,
    weights_only: bool,
}

impl RmsProp {
    /// RMSprop with PyTorch's defaults: alpha 0.99, eps 1e-8, no momentum, no weight decay.
    pub fn new(learning_rate: f32) -> Self {
        RmsProp {
            learning_rate,
            alpha: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
            momentum: 0.0,
            centered: false,
            weights_only: false,
        }
    }

    /// Sets the decay rate of the mean square.
    #[must_use]
    pub fn alpha(mut self, alpha: f32) -> Self {
        self.alpha = alpha;
        self
    }

    /// Sets the value added to the root of the mean square.
    #[must_use]
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// Sets the momentum: `v = momentum·v + u; p -= lr·v`, where u is the scaled gradient.
    #[must_use]
    pub fn momentum(mut self, momentum: f32) -> Self {
        self.momentum = momentum;
        self
    }

    /// Divides by the deviation: subtracts the square of the mean gradient from the mean square
    /// (Graves, 2013, arXiv:1308.0850).
    #[must_use]
    pub fn centered(mut self) -> Self {
        self.centered = true;
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
    /// A rate is negative or not finite, eps is not above zero, or alpha is not in [0, 1).
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
        check_eps(self.eps)?;
        check_share("alpha", self.alpha)?;
        let len = plan.get(parameters).words();
        let decayed = plan.decayed(self.weights_only)?;
        let names = [
            Some("square"),
            self.centered.then_some("mean"),
            (self.momentum > 0.0).then_some("velocity"),
        ];
        let mut outputs = vec![parameters];
        for name in names.into_iter().flatten() {
            outputs.push(plan.tensor(name, [len], Element::F32, Role::OptimizerState)?);
        }
        let op = ops::RmsProp {
            len,
            alpha: self.alpha,
            eps: self.eps,
            weight_decay: self.weight_decay,
            momentum: self.momentum,
            centered: self.centered,
        };
        plan.op(Phase::Update, op, &[gradients, decayed], &outputs)
    }
}

impl fmt::Display for RmsProp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RmsProp {
            learning_rate,
            alpha,
            eps,
            weight_decay,
            momentum,
            centered,
            weights_only,
        } = self;
        let centered = if *centered { ", centered" } else { "" };
        write!(
            f,
            "RMSprop, learning rate {learning_rate}, alpha {alpha}, eps {eps}, momentum {momentum}\
             {centered}, weight decay {weight_decay}{}",
            of_weights(*weights_only)
        )
    }
}
