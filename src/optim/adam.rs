//! Adam and AdamW.

use std::fmt;

use super::{check_eps, check_rate, check_share, of_weights};
use crate::error::Result;
use crate::ops;
use crate::plan::{Builder, Element, Phase, Role, TensorId};

/// Adam (Kingma and Ba, 2015, arXiv:1412.6980) as in PyTorch, or AdamW (Loshchilov and Hutter,
/// 2019, arXiv:1711.05101), whose weight decay is not part of the gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    learning_rate: f32,
    betas: [f32; 2],
    eps: f32,
    weight_decay: f32,
    decoupled: bool,
    weights_only: bool,
}

impl Adam {
    /// Adam with PyTorch's defaults: betas 0.9 and 0.999, eps 1e-8, no weight decay.
    pub fn new(learning_rate: f32) -> Self {
        Adam {
            learning_rate,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
            weights_only: false,
        }
    }

    /// AdamW with PyTorch's defaults: like [`Adam::new`], with weight decay 0.01.
    pub fn decoupled(learning_rate: f32) -> Self {
        Adam {
            weight_decay: 0.01,
            decoupled: true,
            ..Adam::new(learning_rate)
        }
    }

    /// Sets the decay rates of the averages of the gradient and of its square.
    #[must_use]
    pub fn betas(mut self, first: f32, second: f32) -> Self {
        self.betas = [first, second];
        self
    }

    /// Sets the value added to the root of the averaged square.
    #[must_use]
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// Sets the weight decay: adds `weight_decay·p` to each gradient; if decoupled, subtracts the
    /// learning rate times that from `p`.
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

    /// The bias corrections of step `number`, counted from 0.
    pub(super) fn scalars(&self, number: u64) -> [f32; 2] {
        ops::Adam::scalars(self.betas[0], self.betas[1], number)
    }

    /// Appends the update of the whole arena to the update phase.
    ///
    /// # Errors
    /// A rate is negative or not finite, eps is not above zero, or a beta is not in [0, 1).
    pub(super) fn lower(
        &self,
        plan: &mut Builder,
        parameters: TensorId,
        gradients: TensorId,
    ) -> Result<()> {
        for (what, value) in [
            ("learning rate", self.learning_rate),
            ("weight decay", self.weight_decay),
        ] {
            check_rate(what, value)?;
        }
        check_eps(self.eps)?;
        for beta in self.betas {
            check_share("beta", beta)?;
        }
        let len = plan.get(parameters).words();
        let selective = self.weights_only && self.weight_decay > 0.0;
        let mut inputs = vec![gradients];
        if selective {
            inputs.push(plan.decayed(true)?);
        }
        let adam = ops::Adam {
            len,
            beta1: self.betas[0],
            beta2: self.betas[1],
            eps: self.eps,
            weight_decay: self.weight_decay,
            decoupled: self.decoupled,
            selective,
        };
        let state =
            |plan: &mut Builder, name| plan.tensor(name, [len], Element::F32, Role::OptimizerState);
        let first = state(plan, "first_moment")?;
        let second = state(plan, "second_moment")?;
        plan.op(Phase::Update, adam, &inputs, &[parameters, first, second])
    }
}

impl fmt::Display for Adam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.decoupled { "AdamW" } else { "Adam" };
        let Adam {
            learning_rate,
            betas: [first, second],
            eps,
            weight_decay,
            weights_only,
            ..
        } = self;
        write!(
            f,
            "{name}, learning rate {learning_rate}, betas {first} and {second}, eps {eps}, weight decay \
             {weight_decay}{}",
            of_weights(*weights_only)
        )
    }
}
