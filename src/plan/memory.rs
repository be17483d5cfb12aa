//! Lets tensors share memory if their lives within a step do not overlap.

use std::collections::HashMap;

use super::{Buffer, BufferId, Plan, Role, TensorId};

/// The life of a buffer: from the first op that uses it to the last, as indices into
/// [`Plan::nodes`].
#[derive(Debug, Clone, Copy)]
struct Life {
    first: usize,
    last: usize,
}

impl Plan {
    /// Whether a buffer holds only data that a step produces and consumes, and that the host never
    /// reads.
    fn is_transient(&self, buffer: BufferId) -> bool {
        let mut ports = self.ports.values();
        let mut tensors = self.tensors.iter().filter(|tensor| tensor.buffer == buffer);
        tensors.all(|tensor| matches!(tensor.role, Role::Activation | Role::Scratch))
            && !ports.any(|port| self.tensor(*port).buffer == buffer)
    }

    /// The lives of the buffers that ops use.
    fn lives(&self) -> HashMap<BufferId, Life> {
        let mut lives: HashMap<BufferId, Life> = HashMap::new();
        for (place, node) in self.nodes.iter().enumerate() {
            for id in node.inputs.iter().chain(&node.outputs) {
                let life = lives.entry(self.tensor(*id).buffer);
                life.or_insert(Life {
                    first: place,
                    last: place,
                })
                .last = place;
            }
        }
        lives
    }
}

/// Drops tensors that no op uses, and reuses buffers whose contents are dead: the largest first,
/// each in the first buffer that is free for its whole life.
pub(crate) fn share(mut plan: Plan) -> Plan {
    let lives = plan.lives();
    let transient: Vec<BufferId> = (0..plan.buffers.len())
        .map(BufferId)
        .filter(|&buffer| plan.is_transient(buffer))
        .collect();
    let is_batch = |buffer: BufferId| {
        let mut tensors = plan.tensors.iter().filter(|tensor| tensor.buffer == buffer);
        tensors.all(|tensor| tensor.role == Role::Input)
    };
    let kept = |buffer: BufferId| {
        !transient.contains(&buffer) && (lives.contains_key(&buffer) || !is_batch(buffer))
    };

    let mut buffers: Vec<Buffer> = Vec::new();
    let mut moved: HashMap<BufferId, BufferId> = HashMap::new();
    for old in (0..plan.buffers.len())
        .map(BufferId)
        .filter(|&buffer| kept(buffer))
    {
        moved.insert(old, BufferId(buffers.len()));
        buffers.push(plan.buffers[old.0].clone());
    }

    let mut used: Vec<(BufferId, Life)> = transient
        .iter()
        .filter_map(|buffer| Some((*buffer, *lives.get(buffer)?)))
        .collect();
    used.sort_by_key(|(buffer, life)| {
        (std::cmp::Reverse(plan.buffers[buffer.0].words), life.first)
    });
    let mut tenants: Vec<(BufferId, Vec<Life>)> = Vec::new();
    for (old, life) in used {
        let is_free = |lives: &[Life]| {
            lives
                .iter()
                .all(|other| life.first > other.last || life.last < other.first)
        };
        let home = match tenants.iter_mut().find(|(_, lives)| is_free(lives)) {
            Some((home, lives)) => {
                lives.push(life);
                *home
            }
            None => {
                let home = BufferId(buffers.len());
                let words = plan.buffers[old.0].words;
                buffers.push(Buffer {
                    name: format!("shared{}", tenants.len()),
                    words,
                });
                tenants.push((home, vec![life]));
                home
            }
        };
        moved.insert(old, home);
    }

    let mut renumbered: HashMap<TensorId, TensorId> = HashMap::new();
    let mut tensors = Vec::new();
    for (place, mut tensor) in std::mem::take(&mut plan.tensors).into_iter().enumerate() {
        let Some(&buffer) = moved.get(&tensor.buffer) else {
            continue;
        };
        renumbered.insert(TensorId(place), TensorId(tensors.len()));
        tensor.buffer = buffer;
        tensors.push(tensor);
    }
    for node in &mut plan.nodes {
        for id in node.inputs.iter_mut().chain(&mut node.outputs) {
            *id = renumbered[id];
        }
    }
    plan.constants = std::mem::take(&mut plan.constants)
        .into_iter()
        .filter_map(|(id, words)| Some((*renumbered.get(&id)?, words)))
        .collect();
    plan.ports = std::mem::take(&mut plan.ports)
        .into_iter()
        .filter_map(|(port, id)| Some((port, *renumbered.get(&id)?)))
        .collect();
    Plan {
        tensors,
        buffers,
        ..plan
    }
}
