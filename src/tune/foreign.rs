//! Choices made elsewhere: on another adapter, for another model, by another version.

use std::collections::{BTreeMap, BTreeSet};

use super::Effort;
use super::candidates::candidates;
use super::choices::Choices;
use crate::device::Device;
use crate::error::Result;
use crate::expand::{Strategies, Strategy};
use crate::graph::Graph;
use crate::notices::Notices;
use crate::ops::Op;
use crate::plan::Plan;

/// Removes `choices` for ops that are not in the fast plan of `graph`, and replaces those that do
/// not run on `device` by the device's defaults.
///
/// # Errors
/// As [`Graph::fast`].
pub(super) fn adapt(
    choices: &mut Choices,
    device: &Device,
    graph: &Graph,
    notices: &mut Notices,
) -> Result<()> {
    let mut replaced = BTreeSet::new();
    let mut known = BTreeSet::new();
    let plan = fitting(choices, device, graph, &mut replaced)?;
    for node in plan.nodes() {
        let op = node.op.as_ref();
        let Some(key) = op.choice().filter(|key| !known.contains(key)) else {
            continue;
        };
        let chosen = choices.ops.get_mut(&key);
        if let Some(chosen) = chosen.filter(|name| !runs(op, name, device))
            && let Some(suits) = substitute(op, device)
        {
            replaced.insert(format!("{chosen} by {suits}"));
            *chosen = suits;
        }
        known.insert(key);
    }
    if !replaced.is_empty() {
        notices.push(format!(
            "kernels that were chosen elsewhere and that {device} cannot run are replaced, so that \
             bits may differ: {}",
            list(&replaced)
        ));
    }
    let layers: BTreeMap<_, _> = graph.strategies().into_iter().collect();
    let has = |layer: &String, strategy: &Strategy| {
        let own = layers.get(layer);
        own.is_some_and(|own| own.contains(strategy))
    };
    let foreign = choices.layers.iter().filter(|(of, by)| !has(of, by));
    let unknown: BTreeSet<String> = (foreign.map(|(layer, _)| layer))
        .chain(choices.ops.keys().filter(|op| !known.contains(*op)))
        .cloned()
        .collect();
    if !unknown.is_empty() {
        notices.push(format!(
            "kernels were chosen for what this plan does not have, and are left out: {}",
            list(&unknown)
        ));
    }
    choices
        .layers
        .retain(|layer, strategy| has(layer, strategy));
    choices.ops.retain(|op, _| known.contains(op));
    Ok(())
}

/// The plan with the chosen strategies, or with the default ones if only those are
/// within the adapter's limits.
fn fitting(
    choices: &mut Choices,
    device: &Device,
    graph: &Graph,
    replaced: &mut BTreeSet<String>,
) -> Result<Plan> {
    let plan = graph.fast(&choices.layers)?;
    let Some(adapter) = device.adapter().filter(|adapter| !adapter.fits(&plan)) else {
        return Ok(plan);
    };
    let usual = graph.fast(&Strategies::new())?;
    if !adapter.fits(&usual) {
        // Loading reports the limit that it exceeds.
        return Ok(plan);
    }
    for (layer, strategy) in std::mem::take(&mut choices.layers) {
        replaced.insert(format!("{strategy} of {layer} by the usual way"));
    }
    Ok(usual)
}

/// Whether `op` has a kernel called `name`, and the device can run it.
fn runs(op: &dyn Op, name: &str, device: &Device) -> bool {
    let mut variants = op.variants().into_iter();
    let named = variants.find(|variant| variant.name == name);
    named.is_some_and(|variant| {
        let adapter = device.adapter();
        adapter.is_none_or(|adapter| adapter.runs(variant.op.as_ref()))
    })
}

/// The default kernel of `op` on the device; to the CPU reference all are the same.
fn substitute(op: &dyn Op, device: &Device) -> Option<String> {
    let variants = match device.adapter() {
        Some(adapter) => candidates(op, adapter, Effort::Off),
        None => op.variants(),
    };
    Some(variants.into_iter().next()?.name)
}

fn list(items: &BTreeSet<String>) -> String {
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    items.join("; ")
}
