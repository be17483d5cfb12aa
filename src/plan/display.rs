//! A plan as a table.

use std::fmt;

use super::{Phase, Plan, TensorId};

impl fmt::Display for Plan {
    /// One line per op: phase, name, inputs and outputs, with shapes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |ids: &[TensorId]| -> String {
            let tensors = ids.iter().map(|&id| self.tensor(id));
            let names: Vec<String> = tensors.map(|t| format!("{} {}", t.name, t.shape)).collect();
            names.join(", ")
        };
        for node in &self.nodes {
            writeln!(
                f,
                "{:<13} {:<22} {} → {}",
                list_phases(node.phases),
                node.op.name(),
                list(&node.inputs),
                list(&node.outputs),
            )?;
        }
        if !self.written_readably.is_empty() {
            writeln!(
                f,
                "without a fast form: {}",
                self.written_readably.join(", ")
            )?;
        }
        write!(
            f,
            "{} ops, {} buffers, {:.1} MiB",
            self.nodes.len(),
            self.buffers.len(),
            self.words() as f64 * 4.0 / f64::from(1 << 20),
        )
    }
}

fn list_phases(phases: &[Phase]) -> String {
    let names = phases.iter().map(|phase| format!("{phase:?}"));
    names.collect::<Vec<_>>().join("+")
}
