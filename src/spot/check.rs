//! One op on an adapter, at its own size, against single elements of the reference.

use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;

use super::fill::{Filled, PATTERN, random};
use crate::error::{Error, Result};
use crate::gpu::{self, Workbench};
use crate::ops::{Access, Binding, Content, Element, Elements, Op, Step, Words};
use crate::plan::{self, Builder, Phase, Plan, Role, TensorId};

/// Random elements checked per output, besides those at tiles' edges, unless they take too long to
/// compute.
const RANDOM: usize = 64;

/// Minimum elements checked per output.
const FEWEST: usize = 8;

/// Maximum multiply-adds for the reference of one output.
const WORK: u64 = 1 << 21;

/// Distance between the seeds of two tensors.
const NEXT_SEED: u32 = 0x9e37_79b9;

/// A wrong element.
#[derive(Debug, Clone)]
pub(crate) struct Wrong {
    /// The output.
    pub output: &'static str,
    /// Its flat index.
    pub index: usize,
    /// The adapter's value.
    pub got: f32,
    /// The reference's value.
    pub expected: f32,
}

/// The result of checking one op at its own size.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    /// The worst element of each output: its error as a fraction of the bound, and the element.
    pub outputs: Vec<(f64, Wrong)>,
}

impl Verdict {
    /// The worst element of all, if it is wrong.
    pub fn wrong(&self) -> Option<&Wrong> {
        let worst = self.outputs.iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
        (worst.0 > 1.0).then_some(&worst.1)
    }
}

/// A plan of one op, the contents of its tensors, and the elements to check.
struct Probe {
    plan: Plan,
    inputs: Vec<Filled>,
    outputs: Vec<Filled>,
    /// The elements of each output to check.
    places: Vec<Vec<usize>>,
}

impl Probe {
    fn new(op: &dyn Op) -> Result<Self> {
        let mut plan = Builder::new(false);
        let bindings = op.bindings();
        let (inputs, outputs) = plan.tensors_of(op)?;
        plan.boxed_op(Phase::Forward, op.boxed(), &inputs, &outputs)?;
        plan.set_scope("spot");
        let mut seed = 0u32;
        let mut fill = |tensor: TensorId, binding: &Binding| {
            seed = seed.wrapping_add(NEXT_SEED);
            let name = format!("pattern{seed}");
            let content = match binding.access {
                Access::Read | Access::Update => binding.content.clone(),
                Access::Write => Content::Floats,
            };
            let pattern = Filled::repeats(&content, binding.words)
                .then(|| plan.tensor(&name, [PATTERN], plan::Element::U32, Role::Input));
            Ok::<_, Error>(Filled {
                tensor,
                pattern: pattern.transpose()?,
                len: binding.words,
                seed,
                content,
            })
        };
        let (mut filled_inputs, mut filled_outputs) = (Vec::new(), Vec::new());
        for (&tensor, binding) in inputs.iter().zip(&bindings.inputs) {
            filled_inputs.push(fill(tensor, binding)?);
        }
        for (&tensor, binding) in outputs.iter().zip(&bindings.outputs) {
            filled_outputs.push(fill(tensor, binding)?);
        }
        let outputs = bindings.outputs.iter().enumerate();
        Ok(Probe {
            plan: plan.finish(),
            inputs: filled_inputs,
            outputs: filled_outputs,
            places: outputs
                .map(|(i, output)| places(op, i, output.words))
                .collect(),
        })
    }

    /// The worst of the checked elements of an output.
    fn compare(&self, op: &dyn Op, output: usize, found: &[u32], step: &Step) -> (f64, Wrong) {
        let all = self.inputs.iter().chain(&self.outputs);
        let words: Vec<_> = all.map(|filled| |index| filled.word(index)).collect();
        let words: Vec<Words<'_>> = words.iter().map(|word| word as Words<'_>).collect();
        let (inputs, outputs) = words.split_at(self.inputs.len());
        let args = Elements {
            inputs: inputs.to_vec(),
            outputs: outputs.to_vec(),
            step,
        };
        let name = op.bindings().outputs[output].name;
        let places = &self.places[output];
        let ratios = places.par_iter().zip(found).map(|(&index, &found)| {
            let element: Element = op.element(&args, output, index);
            let wrong = Wrong {
                output: name,
                index,
                got: f32::from_bits(found),
                expected: element.to_f32(),
            };
            (element.error_ratio(found), wrong)
        });
        let none = || {
            let wrong = Wrong {
                output: name,
                index: 0,
                got: 0.0,
                expected: 0.0,
            };
            (0.0, wrong)
        };
        ratios.reduce(none, |a, b| if b.0 > a.0 { b } else { a })
    }
}

/// The elements of an output to check: fewer if each takes long to compute.
fn places(op: &dyn Op, output: usize, len: usize) -> Vec<usize> {
    let work = (op.cost().flop / 2 / len as u64).max(1);
    let most = usize::try_from(WORK / work)
        .unwrap_or(usize::MAX)
        .max(FEWEST);
    let mut places: Vec<usize> = if len <= RANDOM {
        (0..len).collect()
    } else {
        let random = (0..RANDOM).map(|i| random(NEXT_SEED, i) as usize % len);
        random.chain(op.tile_edges(output)).collect()
    };
    // In pseudo-random order, so that truncation leaves elements of every kind.
    places.sort_unstable();
    places.dedup();
    places.sort_by_key(|&place| random(1, place));
    places.truncate(most);
    places.extend([0, len - 1]);
    places.sort_unstable();
    places.dedup();
    places
}

/// A single op on an adapter, with filled tensors.
pub(crate) struct Trial {
    probe: Arc<Probe>,
    op: Box<dyn Op>,
    executor: gpu::Executor,
    step: Step,
}

impl Trial {
    /// Loads `op`, and fills its tensors.
    ///
    /// # Errors
    /// Memory ran out, the driver refused the kernel, or the device was lost.
    pub async fn load(bench: &mut Workbench, op: &dyn Op) -> Result<Self> {
        let probe = Arc::new(Probe::new(op)?);
        let executor = bench.load(probe.plan.clone()).await?;
        let mut trial = Trial {
            probe,
            op: op.boxed(),
            executor,
            step: Step::new(0, op.rows() as u32, 0, 1.0 / 16.0)
                .at(3, 70)
                .seed(u64::from(NEXT_SEED) << 20)
                .scalars([2.0, 1.5]),
        };
        trial.fill(bench, |probe| &probe.inputs).await?;
        // Exclude compilation at first use from the timing; some ops accumulate, so outputs are
        // filled last.
        trial.executor.warm_up_node(0, &trial.step)?;
        trial.fill(bench, |probe| &probe.outputs).await?;
        Ok(trial)
    }

    /// Fills `tensors`.
    async fn fill(
        &mut self,
        bench: &Workbench,
        tensors: impl Fn(&Probe) -> &[Filled] + Send + 'static,
    ) -> Result<()> {
        let repeated = tensors(&self.probe).iter();
        let repeated = repeated.filter_map(|filled| Some((filled.pattern?, filled.tensor)));
        let repeated = repeated.collect();
        let probe = self.probe.clone();
        let write = move || -> Vec<_> { tensors(&probe).iter().map(Filled::written).collect() };
        for (tensor, bytes) in bench.run(write).await? {
            self.executor.write_bytes(tensor, 0, bytes)?;
        }
        self.executor.repeat(repeated)
    }

    /// Runs the op, and compares some elements of each output: random ones, those at the edges of
    /// tiles, the first and the last. Also returns the time of that run.
    ///
    /// # Errors
    /// The device was lost or reported a fault.
    pub async fn run(&mut self, bench: &mut Workbench) -> Result<(Verdict, Duration)> {
        let step = self.step;
        let output = self.probe.outputs[0].tensor;
        self.executor.finish(output).await?;
        let took = self.executor.time_node(0, &step, 1).await?;
        let mut outputs = Vec::new();
        for (output, places) in self.probe.places.iter().enumerate() {
            let tensor = self.probe.outputs[output].tensor;
            let found = self.executor.pick(tensor, places).await?;
            let (probe, op) = (self.probe.clone(), self.op.boxed());
            // The reference takes long and must not block the caller's thread.
            let compare = move || probe.compare(op.as_ref(), output, &found, &step);
            outputs.push(bench.run(compare).await?);
        }
        Ok((Verdict { outputs }, took))
    }

    /// The time of one dispatch of the op, whose earlier run took `once`; like [`Workbench::time`].
    ///
    /// # Errors
    /// The device was lost or reported a fault.
    pub async fn time(&mut self, once: Duration, run: Duration) -> Result<Duration> {
        self.executor.time_again(0, &self.step, once, run).await
    }
}

/// Loads `op` and checks it, as [`Trial::run`] does.
///
/// # Errors
/// Memory ran out, the driver refused the kernel, or the device was lost.
pub(crate) async fn check(bench: &mut Workbench, op: &dyn Op) -> Result<Verdict> {
    let mut trial = Trial::load(bench, op).await?;
    Ok(trial.run(bench).await?.0)
}
