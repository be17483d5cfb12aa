//! The cases of every op as a safetensors file, for another program to compute.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use wgrad::ops::Binding;
use wgrad::ops::case::Floats;
use wgrad::verify::cases;

/// The file: each case's inputs and previous outputs as 32-bit words; sizes and step are in its
/// metadata.
pub fn file(seed: u64, rounds: u32) -> Vec<u8> {
    let (mut tensors, mut described) = (Vec::new(), serde_json::Map::new());
    for (name, case) in cases(seed, rounds, Floats::Hostile) {
        let bindings = case.op.bindings();
        let words = case.inputs.iter().chain(&case.outputs);
        for (Binding { name: binding, .. }, words) in bindings.iter().zip(words) {
            let bytes: Vec<u8> = bytemuck::cast_slice(words).to_vec();
            tensors.push((format!("{name}.{binding}"), words.len(), bytes));
        }
        let names =
            |list: &[Binding]| -> Vec<_> { list.iter().map(|binding| binding.name).collect() };
        let case = json!({
            "op": case.op.name(),
            "constants": case.op.launch().constants.into_iter().collect::<HashMap<_, _>>(),
            "inputs": names(&bindings.inputs),
            "outputs": names(&bindings.outputs),
            "step": {
                "offset": case.step.offset,
                "rows": case.step.rows,
                "slot": case.step.slot,
                "learning_rate": case.step.learning_rate,
                "inverse_rows": case.step.inverse_rows,
                "epoch": case.step.epoch,
                "number": case.step.number,
                "seed": case.step.seed,
                "scalars": case.step.scalars,
                "augments": case.step.augments,
                "mix": case.step.mix,
            },
        });
        described.insert(name, case);
    }
    let views = tensors.iter().map(|(name, len, bytes)| {
        let view = TensorView::new(Dtype::U32, vec![*len], bytes);
        (name, view.expect("as many bytes as words say"))
    });
    let cases = serde_json::Value::Object(described).to_string();
    let metadata = HashMap::from([("cases".to_owned(), cases)]);
    safetensors::serialize(views, Some(metadata)).expect("names differ")
}
