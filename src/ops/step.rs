//! What changes from step to step, and the metrics of a step.

use bytemuck::{Pod, Zeroable};

/// What changes from step to step; kernels see it as the uniform `this_step` (`shaders/prelude/step.wgsl`).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
pub struct Step {
    /// Where the step's batch begins in the `order` of samples.
    pub offset: u32,
    /// How many rows of the batch are real; the rest count for nothing.
    pub rows: u32,
    /// The slot of the metrics table that the step fills.
    pub slot: u32,
    /// The optimizer's learning rate.
    pub learning_rate: f32,
    /// `1 / rows`, rounded on the host so that every adapter scales by the same bits.
    pub inverse_rows: f32,
    /// 0, which no compiler knows: the padding's zero, whose product with infinity is NaN.
    zero: u32,
    /// Keeps the size a multiple of 16 bytes, as WGSL's uniform layout wants.
    padding: [u32; 2],
}

impl Step {
    /// A step over `rows` samples from `offset` on, filling metrics slot `slot`.
    pub fn new(offset: u32, rows: u32, slot: u32, learning_rate: f32) -> Self {
        Step {
            offset,
            rows,
            slot,
            learning_rate,
            inverse_rows: 1.0 / rows as f32,
            zero: 0,
            padding: [0; 2],
        }
    }
}

/// The metrics of one or more steps.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StepMetrics {
    /// Rows that count.
    pub rows: u64,
    /// Σ of their losses, as [`Loss::of_sum`](crate::loss::Loss::of_sum) wants it.
    pub loss_sum: f64,
    /// Rows classified right.
    pub correct: u64,
}

impl StepMetrics {
    /// The step's slot of the two tables.
    pub(crate) fn from_words(step: &Step, loss_sums: &[u32], correct: &[u32]) -> Self {
        let slot = step.slot as usize;
        StepMetrics {
            rows: u64::from(step.rows),
            loss_sum: f64::from(f32::from_bits(loss_sums[slot])),
            correct: u64::from(correct[slot]),
        }
    }

    /// The share of rows classified right, 0 to 1.
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
