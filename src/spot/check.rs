//! One op on an adapter, at its own size, against single elements of the reference.

use std::sync::Arc;

use rayon::prelude::*;

use super::ops::{Fill, Filling, Pick, random};
use crate::error::Result;
use crate::gpu::Workbench;
use crate::ops::{Content, Element, Elements, Op, Step, Words};
use crate::plan::{self, Builder, Phase, Plan, Role, TensorId};

/// Elements that are looked at besides those at tiles' edges, unless each takes too long to compute.
const RANDOM: usize = 64;

/// The fewest elements of an output.
const FEWEST: usize = 8;

/// The multiply-adds that the reference of one output may take.
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
    /// What the adapter wrote.
    pub got: f32,
    /// The right answer.
    pub expected: f32,
}

/// What one op was seen to do at its own size.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    /// The worst element of each output: its error in units of what is allowed, and the element.
    pub outputs: Vec<(f64, Wrong)>,
}

impl Verdict {
    /// The worst element of all, if it is wrong.
    pub fn wrong(&self) -> Option<&Wrong> {
        let worst = self.outputs.iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
        (worst.0 > 1.0).then_some(&worst.1)
    }
}

/// A binding while the op runs: its tensor, and what it holds.
struct Filled {
    tensor: TensorId,
    len: usize,
    seed: u32,
    content: Content,
}

/// How the device fills what holds that, if it does.
fn filling(content: &Content) -> Option<Filling> {
    match content {
        Content::Floats => Some(Filling::Integers),
        Content::Spread => Some(Filling::Spread),
        Content::Pixels => Some(Filling::Pixels),
        Content::Words(_) => None,
    }
}

impl Filled {
    /// The word at `index`.
    fn word(&self, index: usize) -> u32 {
        match (&self.content, filling(&self.content)) {
            (Content::Words(word), _) => word(index, random(self.seed, index)),
            (_, filling) => filling.map_or(0, |filling| filling.word(self.seed, index)),
        }
    }

    /// All words, for what the host fills.
    fn words(&self) -> Option<Vec<u32>> {
        let Content::Words(word) = &self.content else {
            return None;
        };
        let all = (0..self.len).into_par_iter();
        Some(
            all.map(|index| word(index, random(self.seed, index)))
                .collect(),
        )
    }
}

/// A plan of one op, what fills its tensors, and what is looked at.
struct Probe {
    plan: Plan,
    inputs: Vec<Filled>,
    outputs: Vec<Filled>,
    /// What the host writes besides: seeds and places.
    written: Vec<(TensorId, Vec<u32>)>,
    /// Of each output: where the elements are picked to, and which.
    picked: Vec<(TensorId, Vec<usize>)>,
}

impl Probe {
    fn new(op: &dyn Op) -> Result<Self> {
        let mut plan = Builder::new(false);
        let bindings = op.bindings();
        let (inputs, outputs) = plan.tensors_of(op)?;
        plan.set_scope("spot");
        let mut written = Vec::new();
        let mut fill =
            |i: usize, tensor: TensorId, len: usize, content: Content| -> Result<Filled> {
                let seed = (i as u32 + 1).wrapping_mul(NEXT_SEED);
                if let Some(filling) = filling(&content) {
                    let name = format!("seed{i}");
                    let from = plan.tensor(&name, [1], plan::Element::U32, Role::Input)?;
                    plan.op(Phase::Forward, Fill { len, filling }, &[from], &[tensor])?;
                    written.push((from, vec![seed]));
                }
                Ok(Filled {
                    tensor,
                    len,
                    seed,
                    content,
                })
            };
        let (mut filled_inputs, mut filled_outputs) = (Vec::new(), Vec::new());
        for (i, (&tensor, (_, len))) in inputs.iter().zip(&bindings.inputs).enumerate() {
            filled_inputs.push(fill(i, tensor, *len, op.content(i))?);
        }
        for (i, (&tensor, (_, len))) in outputs.iter().zip(&bindings.outputs).enumerate() {
            filled_outputs.push(fill(inputs.len() + i, tensor, *len, Content::Floats)?);
        }
        plan.boxed_op(Phase::Forward, op.boxed(), &inputs, &outputs)?;
        let mut picked = Vec::new();
        for (i, (&tensor, (_, len))) in outputs.iter().zip(&bindings.outputs).enumerate() {
            let (len, places) = (*len, places(op, i, *len));
            let count = places.len();
            let mut words = |name: &str| {
                plan.tensor(
                    &format!("{name}{i}"),
                    [count],
                    plan::Element::U32,
                    Role::Input,
                )
            };
            let (from, to) = (words("places")?, words("picked")?);
            plan.op(Phase::Forward, Pick { len, count }, &[tensor, from], &[to])?;
            written.push((from, places.iter().map(|&place| place as u32).collect()));
            picked.push((to, places));
        }
        Ok(Probe {
            plan: plan.finish(),
            inputs: filled_inputs,
            outputs: filled_outputs,
            written,
            picked,
        })
    }

    /// What the host writes: seeds, places, and what the device does not fill.
    fn host_words(&self) -> Vec<(TensorId, Vec<u32>)> {
        let filled = self.inputs.iter().chain(&self.outputs);
        let words = filled.filter_map(|filled| Some((filled.tensor, filled.words()?)));
        words.chain(self.written.iter().cloned()).collect()
    }

    /// The worst of the elements that were picked of an output.
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
        let name = op.bindings().outputs[output].0;
        let places = &self.picked[output].1;
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

/// The elements of an output that are looked at: fewer where each takes long to compute.
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
    // In an order that looks random, so that what is left of them is of every kind.
    places.sort_unstable();
    places.dedup();
    places.sort_by_key(|&place| random(1, place));
    places.truncate(most);
    places.extend([0, len - 1]);
    places.sort_unstable();
    places.dedup();
    places
}

/// Runs `op` alone, on inputs that fill its tensors, and compares some elements of each output: random
/// ones, those at the edges of tiles, the first and the last.
///
/// # Errors
/// Memory that runs out, a kernel that the driver refuses, a device that is lost.
pub(crate) async fn check(bench: &mut Workbench, op: &dyn Op) -> Result<Verdict> {
    let probe = Arc::new(Probe::new(op)?);
    let mut executor = bench.load(probe.plan.clone()).await?;
    let own = probe.clone();
    let written = bench.run(move || own.host_words()).await?;
    for (tensor, words) in written {
        executor.write_bytes(tensor, bytemuck::cast_slice(&words).to_vec())?;
    }
    let step = Step::new(0, op.rows() as u32, 0, 1.0 / 16.0);
    let nodes: Vec<usize> = (0..probe.plan.nodes().len()).collect();
    executor.run_nodes(&nodes, &step)?;
    let mut outputs = Vec::new();
    for (output, (picked, _)) in probe.picked.iter().enumerate() {
        let found = executor.read(*picked).await?;
        let (own, op) = (probe.clone(), op.boxed());
        // The reference takes long, and whoever awaits this may have more to do.
        let compare = move || own.compare(op.as_ref(), output, &found, &step);
        outputs.push(bench.run(compare).await?);
    }
    Ok(Verdict { outputs })
}
