//! Limits of the gradients.

use std::fmt;

use crate::error::{Error, Result};
use crate::ops::{ClipNorm, ClipValue, ReduceSum, SumSquares};
use crate::plan::{Builder, Phase, TensorId};

/// Limits of the gradients, which hold before each update: first of each value, then of the norm of
/// all gradients as one vector. By default there is none.
///
/// ```
/// use wgrad::Clipping;
///
/// assert_eq!(Clipping::new().norm(5.0).to_string(), "norm 5");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Clipping {
    value: Option<f32>,
    norm: Option<f32>,
}

impl Clipping {
    /// No limit.
    pub fn new() -> Self {
        Clipping::default()
    }

    /// Limits each gradient to [−limit, limit]: PyTorch's `clip_grad_value_`.
    #[must_use]
    pub fn value(mut self, limit: f32) -> Self {
        self.value = Some(limit);
        self
    }

    /// Multiplies all gradients by min(limit / (norm + 1e-6), 1), where norm is the square root of
    /// the sum of their squares: PyTorch's `clip_grad_norm_` (Pascanu et al., 2013, arXiv:1211.5063).
    #[must_use]
    pub fn norm(mut self, limit: f32) -> Self {
        self.norm = Some(limit);
        self
    }

    /// Appends the clipping of the whole arena to the update phase.
    ///
    /// # Errors
    /// A limit is not a finite number above zero.
    pub(crate) fn lower(&self, plan: &mut Builder, gradients: TensorId) -> Result<()> {
        for (what, limit) in [
            ("limit of the gradients", self.value),
            ("limit of the gradients' norm", self.norm),
        ] {
            if let Some(limit) = limit.filter(|limit| !(limit.is_normal() && *limit > 0.0)) {
                return Err(Error::value(what, "a finite number above 0", limit));
            }
        }
        let len = plan.get(gradients).words();
        if let Some(limit) = self.value {
            let clip = ClipValue { len, limit };
            plan.op(Phase::Update, clip, &[], &[gradients])?;
        }
        if let Some(limit) = self.norm {
            let squares = SumSquares::new(len);
            let parts = squares.parts;
            let partials = plan.scratch("gradient_squares", [parts])?;
            let total = plan.scratch("squared_norm", [1])?;
            plan.op(Phase::Update, squares, &[gradients], &[partials])?;
            let sum = ReduceSum::new(parts, 1);
            plan.op(Phase::Update, sum, &[partials], &[total])?;
            let clip = ClipNorm { len, limit };
            plan.op(Phase::Update, clip, &[total], &[gradients])?;
        }
        Ok(())
    }
}

impl fmt::Display for Clipping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.value, self.norm) {
            (None, None) => f.write_str("none"),
            (Some(value), None) => write!(f, "value {value}"),
            (None, Some(norm)) => write!(f, "norm {norm}"),
            (Some(value), Some(norm)) => write!(f, "value {value}, norm {norm}"),
        }
    }
}
