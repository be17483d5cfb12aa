//! The gradient of the loss with respect to every value, from the logits back to the parameters.

use super::{Graph, Lowering, Source, ValueId};
use crate::error::Result;
use crate::ops;
use crate::plan::TensorId;

/// The values that have gradients, and the parts of these computed so far.
#[derive(Debug)]
pub(super) struct Gradients {
    has: Vec<bool>,
    parts: Vec<Vec<TensorId>>,
}

impl Gradients {
    /// A value has a gradient if it is trained, or computed from one that has.
    pub fn of(graph: &Graph) -> Self {
        let mut has = vec![false; graph.values.len()];
        for id in graph.values() {
            has[id.0] = match graph.value(id).source {
                Source::Parameter(_) => true,
                Source::Batch | Source::State(..) => false,
                Source::Node(node) => graph.node(node).inputs.iter().any(|input| has[input.0]),
            };
        }
        Gradients {
            parts: vec![Vec::new(); has.len()],
            has,
        }
    }
}

/// A node, or a chain of nodes that one op computes, during lowering.
pub(crate) trait Piece {
    /// Its output.
    fn output(&self, graph: &Graph) -> ValueId;

    /// Appends the ops that compute it.
    ///
    /// # Errors
    /// As [`super::Function::forward`].
    fn forward(&self, lowering: &mut Lowering<'_>) -> Result<()>;

    /// Appends the ops that compute the gradients of its inputs.
    ///
    /// # Errors
    /// As [`super::Function::forward`].
    fn backward(&self, lowering: &mut Lowering<'_>) -> Result<()>;
}

/// The chain rule: each piece, the last first, computes its inputs' gradients from its output's.
///
/// # Errors
/// As [`super::Function::forward`].
pub(crate) fn backward(lowering: &mut Lowering<'_>, pieces: &[Box<dyn Piece>]) -> Result<()> {
    for piece in pieces.iter().rev() {
        if lowering.has_gradient(piece.output(lowering.graph())) {
            piece.backward(lowering)?;
        }
    }
    Ok(())
}

impl Lowering<'_> {
    /// Whether the loss's gradient with respect to a value is computed.
    pub fn has_gradient(&self, value: ValueId) -> bool {
        self.gradients.has[value.0]
    }

    /// Adds `part`, of the value's shape, to the gradient of a value; each reader contributes one.
    pub fn give_gradient(&mut self, value: ValueId, part: TensorId) {
        self.gradients.parts[value.0].push(part);
    }

    /// The gradient of a computed value, once all its readers have contributed: the sum of their
    /// parts.
    ///
    /// # Errors
    /// As [`super::Function::forward`].
    pub fn gradient(&mut self, value: ValueId) -> Result<TensorId> {
        let parts = std::mem::take(&mut self.gradients.parts[value.0]);
        let shape = self.graph().value(value).shape.clone();
        let mut parts = parts.into_iter();
        // Every value has at least one part: the graph refuses values without readers.
        let mut sum = match parts.next() {
            Some(first) => first,
            None => self.plan.scratch("d_output", shape.clone())?,
        };
        for (number, part) in parts.enumerate() {
            let add = ops::Add {
                len: shape.elements(),
                relu: false,
            };
            let name = format!("d_output_sum{}", number + 1);
            let both = self.plan.scratch(&name, shape.clone())?;
            self.backward_op(add, &[sum, part], &[both])?;
            sum = both;
        }
        self.gradients.parts[value.0].push(sum);
        Ok(sum)
    }

    /// The tensor of a parameter's gradient, and whether ops add to it: if backward accumulates,
    /// and from the parameter's second reader on.
    pub fn parameter_gradient(&mut self, parameter: ValueId) -> Result<(TensorId, bool)> {
        let tensor = self.tensor(parameter)?;
        let gradient = self.plan.gradient_of(tensor)?;
        let parts = &mut self.gradients.parts[parameter.0];
        let accumulates = self.plan.accumulate() || !parts.is_empty();
        parts.push(gradient);
        Ok((gradient, accumulates))
    }
}
