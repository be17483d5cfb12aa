//! Initial parameters, the same on every machine.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::{ARENA_ALIGNMENT, Init, Plan, Role, TensorId};
use crate::error::Result;
use crate::memory;

/// The arena of parameters before training. Parameter `i` is drawn from stream `i` of a ChaCha
/// generator, in f64, so that a layer's weights do not depend on the sizes of earlier layers.
///
/// # Errors
/// Memory ran out.
pub fn initial_parameters(plan: &Plan, seed: u64) -> Result<Vec<f32>> {
    let end = plan.parameters().map(|(_, t)| t.offset + t.words()).max();
    let len = end.unwrap_or(0).next_multiple_of(ARENA_ALIGNMENT);
    let mut arena: Vec<f32> = memory::zeros("initial parameters", len)?;
    for (stream, (_, tensor)) in plan.parameters().enumerate() {
        let own = &mut arena[tensor.offset..][..tensor.words()];
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream as u64);
        match tensor.init.unwrap_or(Init::ZEROS) {
            Init::Constant(value) => own.fill(value),
            Init::Normal { deviation } => own.fill_with(|| {
                let normal: f64 = StandardNormal.sample(&mut generator);
                (normal * deviation) as f32
            }),
            Init::Uniform { bound } => own.fill_with(|| {
                let uniform: f64 = generator.random();
                (bound * (2.0 * uniform - 1.0)) as f32
            }),
        }
    }
    Ok(arena)
}

/// The states whose initial values are not zero, and these values.
pub(crate) fn initial_states(plan: &Plan) -> Vec<(TensorId, Vec<f32>)> {
    let states = plan.tensors_of(Role::State);
    let values = states.filter_map(|(id, tensor)| match tensor.init {
        Some(Init::Constant(value)) if value != 0.0 => Some((id, vec![value; tensor.words()])),
        _ => None,
    });
    values.collect()
}
