//! Tensors that are written once, before the first step.

use super::builder::PARAMETERS;
use super::{ARENA_ALIGNMENT, Builder, Element, Plan, Role, TensorId};
use crate::error::Result;

impl Builder {
    /// A new tensor of `values`, which nothing changes.
    ///
    /// # Errors
    /// As [`Builder::tensor`].
    pub fn constant(&mut self, name: &str, values: impl Into<Vec<f32>>) -> Result<TensorId> {
        let values: Vec<u32> = bytemuck::cast_vec(values.into());
        let id = self.tensor(name, [values.len()], Element::F32, Role::Constant)?;
        self.plan.tensors[id.0].values = Some(values.into());
        Ok(id)
    }

    /// A new constant tensor: for each block of [`ARENA_ALIGNMENT`] elements of the arena, 1 if weight
    /// decay shrinks it, else 0; with `weights_only`, it shrinks no parameter of one dimension.
    ///
    /// # Errors
    /// As [`Builder::tensor`].
    pub(crate) fn decayed(&mut self, weights_only: bool) -> Result<TensorId> {
        let mut marks = vec![0; self.plan.buffers[PARAMETERS.0].words / ARENA_ALIGNMENT];
        for (_, tensor) in self.plan.parameters() {
            let first = tensor.offset / ARENA_ALIGNMENT;
            let blocks = tensor.words().div_ceil(ARENA_ALIGNMENT);
            let decays = !weights_only || tensor.shape.dims().len() > 1;
            marks[first..first + blocks].fill(decays.into());
        }
        let id = self.tensor("decayed", [marks.len()], Element::U32, Role::Constant)?;
        self.plan.tensors[id.0].values = Some(marks.into());
        Ok(id)
    }
}

impl Plan {
    /// The tensors of [`Role::Constant`], with their words.
    pub(crate) fn constants(&self) -> impl Iterator<Item = (TensorId, &[u32])> {
        let constants = self.tensors_of(Role::Constant);
        constants.filter_map(|(id, tensor)| Some((id, tensor.values.as_deref()?)))
    }
}
