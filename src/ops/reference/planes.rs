//! Loops of the references over planes, whose elements share a channel, and over their parts.

use rayon::prelude::*;

use super::arithmetic::{ELEMENT, min_task_len, vectorized};
use crate::ops::sizes::batch_norm::Sizes;

/// Partial sums that a vector instruction can add to at once.
const LANES: usize = 16;

/// Calls `write(channel, first element, plane)` for each plane of `output` in the first `rows` rows,
/// in parallel; those of other rows are zeros.
pub(in crate::ops) fn each_plane(
    sizes: Sizes,
    rows: usize,
    output: &mut [f32],
    write: impl Fn(usize, usize, &mut [f32]) + Sync,
) {
    let Sizes { channels, area, .. } = sizes;
    let planes = output.par_chunks_exact_mut(area).enumerate();
    let planes = planes.with_min_len(min_task_len(ELEMENT * area));
    planes.for_each(|(number, plane)| {
        if number >= rows * channels {
            return plane.fill(0.0);
        }
        vectorized(
            #[inline(always)]
            || write(number % channels, number * area, plane),
        );
    });
}

/// The sum over i of `term([inputs[0][i], …])`, of inputs of the same length: in interleaved partial
/// sums, whose order does not depend on the processor.
#[inline(always)]
pub(in crate::ops) fn sum_of<const INPUTS: usize>(
    inputs: [&[f32]; INPUTS],
    term: impl Fn([f64; INPUTS]) -> f64,
) -> f64 {
    let halves = inputs.map(|input| input.as_chunks::<LANES>());
    let (chunks, rest) = (halves.map(|half| half.0), halves.map(|half| half.1));
    let len = |slices: [usize; INPUTS]| slices.into_iter().min().unwrap_or(0);
    let mut partial = [0.0; LANES];
    for i in 0..len(chunks.map(<[_]>::len)) {
        let chunk = chunks.map(|chunks| &chunks[i]);
        for (lane, sum) in partial.iter_mut().enumerate() {
            *sum += term(chunk.map(|chunk| chunk[lane].into()));
        }
    }
    let rest = (0..len(rest.map(<[_]>::len))).map(|i| term(rest.map(|rest| rest[i].into())));
    partial.into_iter().chain(rest).sum()
}
