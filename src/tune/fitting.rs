//! Which strategies fit an adapter's memory.

use crate::error::Result;
use crate::expand::{Strategies, Strategy};
use crate::gpu::{Adapter, required_limits};
use crate::graph::Graph;
use crate::plan::Plan;

/// The fast plan with `strategies`, if its tensors fit the adapter.
pub(super) fn plan_that_fits(
    adapter: &Adapter,
    graph: &Graph,
    strategies: &Strategies,
) -> Option<Plan> {
    let plan = graph.fast(strategies).ok()?;
    required_limits(adapter, &plan).ok()?;
    Some(plan)
}

/// The strategies of convolutions whose columns, the default, do not fit the adapter: implicit
/// products.
///
/// # Errors
/// As [`Graph::fast`], if the plan has an error without columns too.
pub(super) fn implicit_if_needed(adapter: &Adapter, graph: &Graph) -> Result<Strategies> {
    let mut chosen = Strategies::new();
    if plan_that_fits(adapter, graph, &chosen).is_some() {
        return Ok(chosen);
    }
    let implicit = graph.all_by(Strategy::Implicit);
    graph.fast(&implicit)?;
    for layer in implicit.keys().cloned() {
        let mut others = implicit.clone();
        others.remove(&layer);
        if plan_that_fits(adapter, graph, &others).is_none() {
            chosen.insert(layer, Strategy::Implicit);
        }
    }
    Ok(chosen)
}
