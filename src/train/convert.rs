//! Converts tensors of other programs to f32.

use half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorView};

use crate::notices::Notices;

/// The values of a tensor of floats as f32; rounding gives a notice.
///
/// F16 and BF16 are subsets of f32, so their conversion is exact.
///
/// # Errors
/// The element type is not a float, or a value is out of f32's range: what was expected and found.
pub(super) fn floats(
    name: &str,
    view: &TensorView<'_>,
    notices: &mut Notices,
) -> Result<Vec<f32>, (&'static str, String)> {
    let data = view.data();
    Ok(match view.dtype() {
        Dtype::F32 => bytemuck::pod_collect_to_vec(data),
        Dtype::F16 => {
            let values = data.as_chunks().0.iter();
            values
                .map(|&bytes| f16::from_le_bytes(bytes).to_f32())
                .collect()
        }
        Dtype::BF16 => {
            let values = data.as_chunks().0.iter();
            values
                .map(|&bytes| bf16::from_le_bytes(bytes).to_f32())
                .collect()
        }
        Dtype::F64 => {
            let exact = data
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| f64::from_le_bytes(bytes));
            let values: Vec<f32> = exact.clone().map(|value| value as f32).collect();
            let mut pairs = exact.zip(&values);
            if let Some((exact, _)) = pairs
                .clone()
                .find(|(a, b)| a.is_finite() && b.is_infinite())
            {
                return Err(("values within f32's range", format!("{exact:e} in {name}")));
            }
            if pairs.any(|(exact, &value)| !exact.is_nan() && f64::from(value) != exact) {
                notices.push(format!("{name} of F64 is rounded to f32"));
            }
            values
        }
        other => {
            let expected = "tensors of F32, F64, F16, BF16 or I64";
            return Err((expected, format!("{name} of {other:?}")));
        }
    })
}
