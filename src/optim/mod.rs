//! Optimizers.

mod sgd;

pub use sgd::Sgd;

use crate::error::{Error, Result};

/// A rate or factor of an optimizer.
///
/// # Errors
/// One that is not finite and at least zero.
pub(crate) fn check_rate(what: &str, value: f32) -> Result<()> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(Error::value(what, "a finite number of at least 0", value))
}
