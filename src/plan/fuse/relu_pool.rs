//! ReLU before a max-pool: one op forward, one backward.

use super::graph::Graph;
use crate::error::Result;
use crate::ops::{MaxPoolBackward, MaxPoolForward, ReluBackward, ReluForward};
use crate::plan::Phase;

/// `relu_forward`, `max_pool_forward` → `max_pool_forward` of the input after ReLU, whose indices say
/// where ReLU passed nothing; so that `max_pool_backward`, `relu_backward` →
/// `max_pool_backward`.
pub(super) fn fuse(graph: &mut Graph) -> Result<()> {
    for relu in graph.places() {
        if graph.op::<ReluForward>(relu, Phase::Forward).is_none() {
            continue;
        }
        let (input, rectified) = (graph.inputs(relu)[0], graph.outputs(relu)[0]);
        let readers = graph.readers(rectified);
        let pools = |&place: &usize| graph.op::<MaxPoolForward>(place, Phase::Forward).is_some();
        let Some(pool) = readers.iter().copied().find(pools) else {
            continue;
        };
        let backward = match readers
            .iter()
            .filter(|&&place| place != pool)
            .collect::<Vec<_>>()[..]
        {
            // A model whose first trained layer comes after has no gradient here.
            [] => None,
            [&place] if graph.op::<ReluBackward>(place, Phase::Backward).is_some() => {
                let d_rectified = graph.inputs(place)[1];
                let writer = graph.writer(d_rectified);
                let is_pool = |&place: &usize| {
                    graph
                        .op::<MaxPoolBackward>(place, Phase::Backward)
                        .is_some()
                };
                match writer.filter(is_pool) {
                    Some(writer) => Some((writer, place)),
                    None => continue,
                }
            }
            _ => continue,
        };
        let Some(op) = graph.op::<MaxPoolForward>(pool, Phase::Forward).cloned() else {
            continue;
        };
        let outputs = graph.outputs(pool);
        graph.replace(
            pool,
            MaxPoolForward { relu: true, ..op },
            &[input],
            &outputs,
        )?;
        graph.remove(relu);
        if let Some((pool, relu)) = backward {
            let Some(op) = graph.op::<MaxPoolBackward>(pool, Phase::Backward).cloned() else {
                continue;
            };
            let disjoint = MaxPoolBackward::are_apart(&op.geometry);
            let op = MaxPoolBackward { disjoint, ..op };
            let (inputs, d_input) = (graph.inputs(pool), graph.outputs(relu)[0]);
            graph.remove(relu);
            graph.replace(pool, op, &inputs, &[d_input])?;
        }
    }
    Ok(())
}
