//! The data of one step, and its metrics.

use bytemuck::{Pod, Zeroable};

/// The data of one step; kernels read it as the uniform `this_step` (`shaders/prelude/step.wgsl`).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
pub struct Step {
    /// The index of the batch's first sample in the `order` of samples.
    pub offset: u32,
    /// The number of real rows in the batch; the rest are padding.
    pub rows: u32,
    /// The slot of the metrics table that the step fills.
    pub slot: u32,
    /// The optimizer's learning rate.
    pub learning_rate: f32,
    /// 1 over the rows of the update's batch, of which this one may be a part, rounded on the host so that every adapter scales by the same bits.
    pub inverse_rows: f32,
    /// 0, unknown at compile time: the padding's zero, whose product with infinity is NaN.
    zero: u32,
    /// The epoch, from 0 on.
    pub epoch: u32,
    /// Training steps before this one, over all epochs, modulo 2³².
    pub number: u32,
    /// The run's seed, low word first.
    pub seed: [u32; 2],
    /// The optimizer's functions of the step's number, computed in f64 on the host: Adam's bias
    /// corrections.
    pub scalars: [f32; 2],
    /// 1 if the step changes its images at random ([`Augment`](crate::ops::Augment)), else 0.
    pub augments: u32,
    /// The share of a row's own image, in 256ths, where it is mixed with the next row's; 256 if not.
    pub mix: u32,
    /// 1 if the gradients of the step's batch complete those of an update, which follows; 0 if only
    /// later ones do: the step's run then leaves out the phases of the update.
    updates: u32,
    /// Updates before the step's, modulo 2³².
    update: u32,
}

impl Step {
    /// A step over `rows` samples from `offset` on, filling metrics slot `slot`: the first of its
    /// run, whose seed is 0.
    pub fn new(offset: u32, rows: u32, slot: u32, learning_rate: f32) -> Self {
        Step {
            offset,
            rows,
            slot,
            learning_rate,
            inverse_rows: 1.0 / rows as f32,
            zero: 0,
            epoch: 0,
            number: 0,
            seed: [0; 2],
            scalars: [0.0; 2],
            augments: 0,
            mix: 256,
            updates: 1,
            update: 0,
        }
    }

    /// This step over `rows` samples.
    #[must_use]
    pub fn with_rows(self, rows: u32) -> Self {
        Step {
            rows,
            inverse_rows: 1.0 / rows as f32,
            ..self
        }
    }

    /// This step in epoch `epoch`, after `number` training steps and as many updates.
    #[must_use]
    pub fn at(self, epoch: u32, number: u32) -> Self {
        Step {
            epoch,
            number,
            update: number,
            ..self
        }
    }

    /// This step in a run with seed `seed`.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Step {
            seed: [seed as u32, (seed >> 32) as u32],
            ..self
        }
    }

    /// This step with images changed at random, of whose mixtures `mix` 256ths are a row's own.
    #[must_use]
    pub fn augmenting(self, mix: u32) -> Self {
        Step {
            augments: 1,
            mix,
            ..self
        }
    }

    /// This step over a part of a batch of `rows` rows, whose mean the loss is, with `update` updates
    /// before that of the batch: the last part if it `updates`.
    #[must_use]
    pub fn part_of(self, rows: u32, update: u32, updates: bool) -> Self {
        Step {
            inverse_rows: 1.0 / rows as f32,
            update,
            updates: updates.into(),
            ..self
        }
    }

    /// Whether its update is the run's first.
    pub(crate) fn is_first_update(&self) -> bool {
        self.update == 0
    }

    /// Whether an update follows.
    pub(crate) fn updates(&self) -> bool {
        self.updates != 0
    }

    /// This step with the optimizer's scalars.
    #[must_use]
    pub fn scalars(self, scalars: [f32; 2]) -> Self {
        Step { scalars, ..self }
    }
}

/// The metrics of one or more steps.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StepMetrics {
    /// Number of real rows.
    pub rows: u64,
    /// Σ of their losses, for [`Loss::of_sum`](crate::loss::Loss::of_sum).
    pub loss_sum: f64,
    /// Number of correct predictions; 0 if the loss knows none.
    pub correct: u64,
}

impl StepMetrics {
    /// Reads the step's slot of the tables.
    pub(crate) fn from_words(step: &Step, loss_sums: &[u32], correct: Option<&[u32]>) -> Self {
        let slot = step.slot as usize;
        StepMetrics {
            rows: u64::from(step.rows),
            loss_sum: f64::from(f32::from_bits(loss_sums[slot])),
            correct: correct.map_or(0, |correct| correct[slot].into()),
        }
    }

    /// The fraction of correct predictions, 0 to 1, if there is one for each row.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.rows as f64
    }
}

impl std::ops::AddAssign for StepMetrics {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.loss_sum += other.loss_sum;
        self.correct += other.correct;
    }
}

#[cfg(test)]
mod tests {
    use std::mem::{offset_of, size_of};

    use super::*;

    /// Kernels read the bytes of [`Step`] as the struct of the prelude.
    #[test]
    fn a_step_has_the_layout_that_kernels_read() {
        let text = include_str!("../../../shaders/prelude/step.wgsl");
        let module = naga::front::wgsl::parse_str(text).unwrap();
        let layout = module.types.iter().find_map(|(_, found)| {
            let naga::TypeInner::Struct { members, span } = &found.inner else {
                return None;
            };
            let members = members.iter();
            let offsets = members.map(|member| (member.name.clone().unwrap(), member.offset));
            Some((offsets.collect::<Vec<_>>(), *span))
        });
        macro_rules! offsets {
            ($($field:ident),+) => {
                vec![$((stringify!($field).to_owned(), offset_of!(Step, $field) as u32)),+]
            };
        }
        let own = offsets![
            offset,
            rows,
            slot,
            learning_rate,
            inverse_rows,
            zero,
            epoch,
            number,
            seed,
            scalars,
            augments,
            mix,
            updates,
            update
        ];
        let size = size_of::<Step>();
        assert_eq!(layout, Some((own, size as u32)));
        assert!(size.is_multiple_of(16), "what uniforms must be");
    }

    #[test]
    fn a_seed_is_two_words_low_word_first() {
        let step = Step::new(0, 1, 0, 0.0).seed(0x0123_4567_89ab_cdef);
        assert_eq!(step.seed, [0x89ab_cdef, 0x0123_4567]);
    }
}
