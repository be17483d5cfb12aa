//! Whether an op may work on the tensors that it is given.

use super::{Element, Plan, Tensor, TensorId};
use crate::error::{Error, Result};
use crate::ops::{Binding, Content, Op};

impl Plan {
    /// Checks the tensors of `op`; `at` names it in errors.
    ///
    /// # Errors
    /// As [`Builder::op`].
    pub(super) fn check_op(
        &self,
        at: &str,
        op: &dyn Op,
        inputs: &[TensorId],
        outputs: &[TensorId],
    ) -> Result<()> {
        let bindings = op.bindings();
        let wanted = bindings.iter();
        let given = inputs.iter().chain(outputs);
        if (inputs.len(), outputs.len()) != (bindings.inputs.len(), bindings.outputs.len()) {
            return Err(Error::Shape {
                at: at.to_owned(),
                expected: format!(
                    "{:?}",
                    wanted.map(|binding| binding.name).collect::<Vec<_>>()
                ),
                got: format!("{} inputs and {} outputs", inputs.len(), outputs.len()),
            });
        }
        for (binding, &id) in wanted.zip(given) {
            let (
                Binding {
                    name,
                    words,
                    content,
                    ..
                },
                tensor,
            ) = (binding, self.tensor(id));
            let is_float = tensor.element == Element::F32;
            if !matches!(content, Content::Any) && content.is_floats() != is_float {
                let numbers = if is_float { "whole numbers" } else { "floats" };
                return Err(Error::Shape {
                    at: at.to_owned(),
                    expected: format!("`{name}` of {numbers}"),
                    got: format!("{} of {:?}", tensor.name, tensor.element),
                });
            }
            if tensor.words() != *words {
                return Err(Error::Shape {
                    at: at.to_owned(),
                    expected: format!("`{name}` of {words} words"),
                    got: format!(
                        "{} {} of {} words",
                        tensor.name,
                        tensor.shape,
                        tensor.words()
                    ),
                });
            }
        }
        let overlap = |a: &Tensor, b: &Tensor| {
            a.buffer == b.buffer
                && a.offset < b.offset + b.words()
                && b.offset < a.offset + a.words()
        };
        for (i, &id) in outputs.iter().enumerate() {
            let output = self.tensor(id);
            let read = inputs.iter().map(|&id| self.tensor(id));
            let written = outputs[..i].iter().map(|&id| self.tensor(id));
            let mut in_the_way = read
                .filter(|input| input.buffer == output.buffer)
                .chain(written.filter(|other| overlap(output, other)));
            if let Some(other) = in_the_way.next() {
                return Err(Error::Shape {
                    at: at.to_owned(),
                    expected: "outputs in memory of their own".to_owned(),
                    got: format!("{} and {} in one buffer", output.name, other.name),
                });
            }
        }
        Ok(())
    }
}
