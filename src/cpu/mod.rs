//! The reference executor: the same plan, each op by its [`Op::reference`](crate::ops::Op), f64
//! inside. It checks the GPU's results, and is the device where there is no adapter.

use std::sync::Arc;

use crate::executor::StepMetrics;
use crate::ops::{Args, Step};
use crate::plan::{Phase, Plan, TensorId};

/// A plan in the host's memory.
#[derive(Debug)]
pub struct Executor {
    plan: Arc<Plan>,
    buffers: Vec<Vec<u32>>,
}

impl Executor {
    /// Makes the plan's memory, all zero.
    pub fn new(plan: Arc<Plan>) -> Self {
        let buffers = plan
            .buffers()
            .iter()
            .map(|buffer| vec![0; buffer.words])
            .collect();
        Executor { plan, buffers }
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

    /// The words of a tensor, to be overwritten.
    pub fn words_mut(&mut self, tensor: TensorId) -> &mut [u32] {
        let tensor = self.plan.tensor(tensor);
        &mut self.buffers[tensor.buffer.index()][tensor.offset..][..tensor.words()]
    }

    /// Runs `phases` for each of `steps`; returns their metrics where a phase makes them.
    pub(crate) fn run(&mut self, phases: &[Phase], steps: &[Step]) -> Option<Vec<StepMetrics>> {
        let nodes: Vec<usize> = self.plan.nodes_of(phases).collect();
        for step in steps {
            for &node in &nodes {
                self.run_node(node, step);
            }
        }
        let tables = self
            .plan
            .metrics()
            .filter(|_| phases.contains(&Phase::Loss));
        tables.map(|tables| {
            let (loss_sums, correct) = (self.words(tables.loss_sum), self.words(tables.correct));
            let metrics = steps
                .iter()
                .map(|step| StepMetrics::from_words(step, loss_sums, correct));
            metrics.collect()
        })
    }

    /// Runs one op of the plan, by its place in [`Plan::nodes`], for one step.
    pub fn run_node(&mut self, node: usize, step: &Step) {
        let plan = self.plan.clone();
        let node = &plan.nodes()[node];
        // The builder saw to it that an op's outputs lie in buffers of their own, so these can be
        // taken out while the others are read.
        let outputs = node.outputs.iter().map(|&id| plan.tensor(id));
        let mut taken: Vec<Vec<u32>> = outputs
            .clone()
            .map(|tensor| std::mem::take(&mut self.buffers[tensor.buffer.index()]))
            .collect();
        let written = taken.iter_mut().zip(outputs.clone());
        node.op.reference(&mut Args {
            inputs: node.inputs.iter().map(|&id| self.words(id)).collect(),
            outputs: written
                .map(|(buffer, tensor)| &mut buffer[tensor.offset..][..tensor.words()])
                .collect(),
            step,
        });
        for (buffer, tensor) in taken.into_iter().zip(outputs) {
            self.buffers[tensor.buffer.index()] = buffer;
        }
    }
}
