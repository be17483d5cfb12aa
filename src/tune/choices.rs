//! Kernel choices, as text and applied to a plan.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::foreign;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::expand::{Strategies, Strategy};
use crate::graph::Graph;
use crate::notices::Notices;
use crate::plan::Plan;

/// The kernel of each op.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    /// The strategy of each layer that has several, by its name.
    pub layers: Strategies,
    /// The variant of each op that has several, by [`Op::choice`](crate::ops::Op::choice).
    pub ops: BTreeMap<String, String>,
}

impl fmt::Display for Choices {
    /// One line per choice: `conv2: columns`, `product of 1 32×676 by 676×32: gemm_8x8/16`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (layer, strategy) in &self.layers {
            writeln!(f, "{layer}: {strategy}")?;
        }
        for (op, variant) in &self.ops {
            writeln!(f, "{op}: {variant}")?;
        }
        Ok(())
    }
}

impl FromStr for Choices {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut choices = Choices::default();
        for line in text.lines() {
            let wrong = || Error::value("choices", "lines of `op: kernel`", format!("`{line}`"));
            let (of, chosen) = line.rsplit_once(": ").ok_or_else(wrong)?;
            match Strategy::named(chosen) {
                Some(strategy) => {
                    choices.layers.insert(of.to_owned(), strategy);
                }
                None => {
                    choices.ops.insert(of.to_owned(), chosen.to_owned());
                }
            }
        }
        Ok(choices)
    }
}

impl Choices {
    /// The fast plan of `graph` for `device`, with these kernels; ops that they do not name keep
    /// their defaults. A choice that the device cannot run is replaced, and one for an op that is
    /// not in the plan is removed, each with a notice; afterwards the choices are those that the
    /// plan runs.
    ///
    /// # Errors
    /// As [`Graph::fast`].
    pub fn apply(&mut self, device: &Device, graph: &Graph, notices: &mut Notices) -> Result<Plan> {
        foreign::adapt(self, device, graph, notices)?;
        let mut plan = graph.fast(&self.layers)?;
        plan.replace_ops(|op| {
            let chosen = self.ops.get(&op.choice()?)?;
            let mut variants = op.variants().into_iter();
            Some(variants.find(|variant| variant.name == *chosen)?.op)
        });
        Ok(plan)
    }
}
