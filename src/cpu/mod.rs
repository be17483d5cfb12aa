//! The reference executor: runs each op of a plan by its [`Op::reference`](crate::ops::Op), with
//! f64 inside. It checks the GPU's results, and is the device if there is no adapter.

mod aside;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crate::error::Result;
use crate::memory;
use crate::ops::{Args, Step, StepMetrics};
use crate::plan::{Phase, Plan, TensorId};

/// A plan in the host's memory.
#[derive(Debug)]
pub struct Executor {
    plan: Arc<Plan>,
    buffers: Vec<Vec<u32>>,
}

impl Executor {
    /// Allocates the plan's memory, all zero.
    ///
    /// # Errors
    /// Memory ran out; the error names the buffer.
    pub fn new(plan: Arc<Plan>) -> Result<Self> {
        // The same size as on an adapter, whose kernels read two words at a time.
        let named = plan.buffers().iter().map(|buffer| {
            let name = format!("buffer {}", buffer.name);
            (name, buffer.words.max(1).next_multiple_of(2))
        });
        let named: Vec<(String, usize)> = named.collect();
        memory::check_total(named.iter().map(|(name, words)| (name.as_str(), *words)))?;
        let buffers = named
            .iter()
            .map(|(name, words)| memory::zeros(name, *words));
        let buffers = buffers.collect::<Result<_>>()?;
        Ok(Executor { plan, buffers })
    }

    /// The plan that it runs.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The words of a tensor.
    pub fn words(&self, tensor: TensorId) -> &[u32] {
        let tensor = self.plan.tensor(tensor);
        &self.buffers[tensor.buffer.index()][tensor.offset..][..tensor.words()]
    }

    /// The mutable words of a tensor.
    pub fn words_mut(&mut self, tensor: TensorId) -> &mut [u32] {
        let tensor = self.plan.tensor(tensor);
        &mut self.buffers[tensor.buffer.index()][tensor.offset..][..tensor.words()]
    }

    /// Runs `phases` for each of `steps`; returns their metrics if a phase computes them.
    pub(crate) fn run(&mut self, phases: &[Phase], steps: &[Step]) -> Option<Vec<StepMetrics>> {
        let nodes: Vec<usize> = self.plan.nodes_of(phases).collect();
        // Stay in rayon's pool from the first op to the last: entering it for each parallel op
        // would put this thread to sleep and wake another every time.
        rayon::scope(|_| {
            for step in steps {
                for &node in &nodes {
                    if self.plan.runs(node, step) {
                        self.run_node(node, step);
                    }
                }
            }
        });
        let tables = self
            .plan
            .metrics()
            .filter(|_| phases.contains(&Phase::Loss));
        tables.map(|tables| {
            let loss_sums = self.words(tables.loss_sum);
            let correct = tables.correct.map(|table| self.words(table));
            let metrics = steps
                .iter()
                .map(|step| StepMetrics::from_words(step, loss_sums, correct));
            metrics.collect()
        })
    }

    /// Runs one op of the plan, by its index in [`Plan::nodes`], for one step.
    pub fn run_node(&mut self, node: usize, step: &Step) {
        let plan = self.plan.clone();
        let node = &plan.nodes()[node];
        // The builder guarantees that no input shares a buffer with an output, so output buffers
        // can be taken out while inputs are read; and that outputs in one buffer do not overlap, so
        // it can be split.
        let mut taken: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for &id in &node.outputs {
            let buffer = plan.tensor(id).buffer.index();
            taken
                .entry(buffer)
                .or_insert_with(|| std::mem::take(&mut self.buffers[buffer]));
        }
        let mut rest: BTreeMap<usize, (usize, &mut [u32])> = taken
            .iter_mut()
            .map(|(&buffer, words)| (buffer, (0, words.as_mut_slice())))
            .collect();
        let mut by_offset: Vec<usize> = (0..node.outputs.len()).collect();
        by_offset.sort_by_key(|&i| plan.tensor(node.outputs[i]).offset);
        let mut outputs: Vec<&mut [u32]> = node.outputs.iter().map(|_| [].as_mut_slice()).collect();
        for i in by_offset {
            let tensor = plan.tensor(node.outputs[i]);
            if let Some((begin, words)) = rest.get_mut(&tensor.buffer.index()) {
                let (_, from) = std::mem::take(words).split_at_mut(tensor.offset - *begin);
                let (own, after) = from.split_at_mut(tensor.words());
                (outputs[i], *words) = (own, after);
                *begin = tensor.offset + tensor.words();
            }
        }
        let mut args = Args {
            inputs: node.inputs.iter().map(|&id| self.words(id)).collect(),
            outputs,
            step,
        };
        let ran = catch_unwind(AssertUnwindSafe(|| node.op.reference(&mut args)));
        drop(args);
        // After a panic too: a restored trainer uses these buffers again.
        for (buffer, words) in taken {
            self.buffers[buffer] = words;
        }
        if let Err(panic) = ran {
            resume_unwind(panic);
        }
    }
}
