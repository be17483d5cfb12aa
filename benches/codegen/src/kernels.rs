//! The kernels of a network's plans.

use std::collections::BTreeMap;

use wgrad::Result;
use wgrad::expand::Strategy;
use wgrad::ops::{Loads, Op, Variant};
use wgrad::plan::Phase;

use crate::workload::{self, Model};

/// A kernel at its constants.
pub struct Kernel {
    /// Its name in kernel choices, or its entry point.
    pub name: String,
    pub entry_point: &'static str,
    pub source: String,
    /// Its `override` constants, with `WORKGROUP_SIZE`.
    pub constants: Vec<(&'static str, f64)>,
}

/// Every kernel of a training step of `models`, each way to compute a convolution and a product
/// among them, at each set of constants once.
pub fn of_networks(models: &[Model]) -> Result<Vec<Kernel>> {
    let mut found = BTreeMap::new();
    for &model in models {
        for strategy in Strategy::all() {
            let graph = model.graph(1, model.batch())?;
            let plan = graph.fast(&graph.all_by(strategy))?;
            for number in plan.nodes_of(&Phase::TRAIN) {
                let op = plan.nodes()[number].op.as_ref();
                for Variant { name, op } in workload::kernels_of(op) {
                    let kernel = of_op(name, op.as_ref());
                    let sizes = format!("{} {:?}", kernel.name, kernel.constants);
                    found.entry(sizes).or_insert(kernel);
                }
            }
        }
    }
    Ok(found.into_values().collect())
}

fn of_op(name: String, op: &dyn Op) -> Kernel {
    let launch = op.launch();
    let workgroup = launch.workgroup_size as f64;
    Kernel {
        name,
        entry_point: op.name(),
        source: launch.shader.source(Loads::Narrow),
        constants: launch.constants([("WORKGROUP_SIZE", workgroup)]).constants,
    }
}
