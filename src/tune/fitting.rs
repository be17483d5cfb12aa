//! Which strategies for convolutions fit an adapter's memory.

use crate::error::Result;
use crate::expand::{ConvStrategies, ConvStrategy};
use crate::gpu::{Adapter, required_limits};
use crate::graph::Graph;
use crate::plan::Plan;

/// The fast plan with `convs`, if its tensors fit the adapter.
pub(super) fn plan_that_fits(
    adapter: &Adapter,
    graph: &Graph,
    convs: &ConvStrategies,
) -> Option<Plan> {
    let plan = graph.fast(convs).ok()?;
    required_limits(adapter, &plan).ok()?;
    Some(plan)
}

/// The strategies of convolutions whose columns, the default, do not fit the adapter: implicit
/// products.
///
/// # Errors
/// As [`Graph::fast`], if the plan has an error without columns too.
pub(super) fn implicit_if_needed(adapter: &Adapter, graph: &Graph) -> Result<ConvStrategies> {
    let mut chosen = ConvStrategies::new();
    if plan_that_fits(adapter, graph, &chosen).is_some() {
        return Ok(chosen);
    }
    let layers = graph.convolutions();
    let implicit = layers.iter().cloned();
    let implicit: ConvStrategies = implicit.map(|l| (l, ConvStrategy::Implicit)).collect();
    graph.fast(&implicit)?;
    for layer in layers {
        let mut others = implicit.clone();
        others.remove(&layer);
        if plan_that_fits(adapter, graph, &others).is_none() {
            chosen.insert(layer, ConvStrategy::Implicit);
        }
    }
    Ok(chosen)
}
