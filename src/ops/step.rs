//! What changes from step to step.

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
