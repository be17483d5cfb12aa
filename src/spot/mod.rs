//! Spot checks: every kernel is checked at the size at which it will run.
//!
//! Verification uses small sizes. Some faults need large ones: llvmpipe ends loops after 65,535
//! iterations, and other drivers have limits of their own. So before an op first runs on an adapter
//! at some size, it runs once on synthetic inputs, and some elements of its outputs are compared
//! with the reference. The inputs are small integers, so that most sums are exact and one missing
//! term shows.

mod check;
mod fill;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::gpu::{self, Adapter, Workbench, check_kernels, check_loops, required_limits};
use crate::notices::Notices;
use crate::ops::{Op, identity};
use crate::plan::Plan;
pub(crate) use check::check;
use check::{Trial, Verdict};

/// The cache key of a passed check: op, sizes, and a hash of the shader.
fn key(op: &dyn Op) -> String {
    let mut hasher = DefaultHasher::new();
    identity(op).hash(&mut hasher);
    op.launch().shader.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// An adapter's checks: kernels known to pass, and those known to be wrong.
#[derive(Debug)]
pub(crate) struct Checks<'a> {
    adapter: &'a Adapter,
    /// The errors of the wrong kernels.
    wrong: BTreeMap<String, String>,
}

impl<'a> Checks<'a> {
    pub fn new(adapter: &'a Adapter) -> Self {
        Checks {
            adapter,
            wrong: BTreeMap::new(),
        }
    }

    /// Whether `op` is correct at its size; checked unless it passed before. A failure gives a
    /// notice.
    ///
    /// # Errors
    /// As [`check`].
    pub async fn passes(
        &mut self,
        bench: &mut Workbench,
        cache: &mut Cache,
        op: &dyn Op,
        notices: &mut Notices,
    ) -> Result<bool> {
        if let Some(known) = self.known(cache, op) {
            return Ok(known);
        }
        let verdict = check(bench, op).await?;
        Ok(self.note(cache, op, &verdict, notices))
    }

    /// The time of a dispatch of `op`, like [`Workbench::time`]; `None` if its check fails. The
    /// checked run is also timed, so that a check costs little.
    ///
    /// # Errors
    /// As [`check`].
    pub async fn time(
        &mut self,
        bench: &mut Workbench,
        cache: &mut Cache,
        op: &dyn Op,
        run: Duration,
        notices: &mut Notices,
    ) -> Result<Option<Duration>> {
        if let Some(known) = self.known(cache, op) {
            return match known {
                true => bench.time(op.boxed(), run).await.map(Some),
                false => Ok(None),
            };
        }
        let mut trial = Trial::load(bench, op).await?;
        let (verdict, once) = trial.run(bench).await?;
        match self.note(cache, op, &verdict, notices) {
            true => trial.time(once, run).await.map(Some),
            false => Ok(None),
        }
    }

    /// The result of an earlier check of `op`.
    fn known(&self, cache: &Cache, op: &dyn Op) -> Option<bool> {
        let key = key(op);
        match cache.has_passed(&key) {
            true => Some(true),
            false => self.wrong.contains_key(&key).then_some(false),
        }
    }

    /// Records whether `op` passed.
    fn note(
        &mut self,
        cache: &mut Cache,
        op: &dyn Op,
        verdict: &Verdict,
        notices: &mut Notices,
    ) -> bool {
        let Some(wrong) = verdict.wrong() else {
            cache.insert_passed(key(op));
            return true;
        };
        let (expected, got) = (wrong.expected, wrong.got);
        let (output, index) = (wrong.output, wrong.index);
        let found = format!("expected {expected} at element {index} of {output}, got {got}");
        self.wrong.insert(key(op), found);
        notices.push(format!("{} It is not used.", self.error(op)));
        false
    }

    /// The error for a wrong `op`.
    fn error(&self, op: &dyn Op) -> Error {
        let found = self.wrong.get(&key(op)).map_or("", String::as_str);
        Error::WrongKernel {
            kernel: op.name(),
            adapter: self.adapter.to_string(),
            what: format!("{op:?}: {found}"),
        }
    }
}

/// The adapter's loop limit, cached or measured.
///
/// # Errors
/// The device could not be opened, was lost or reported a fault.
pub(crate) async fn longest_loop(
    adapter: &Adapter,
    bench: &mut Option<Workbench>,
    cache: &mut Cache,
) -> Result<u64> {
    if let Some(known) = adapter.longest_loop() {
        return Ok(known);
    }
    let measured = match cache.longest_loop() {
        Some(known) => known,
        None => gpu::longest_loop(opened(adapter, bench).await?).await?,
    };
    cache.set_longest_loop(measured);
    adapter.set_longest_loop(measured);
    Ok(adapter.longest_loop().unwrap_or(measured))
}

/// The bench, opened on first use.
pub(crate) async fn opened<'a>(
    adapter: &Adapter,
    bench: &'a mut Option<Workbench>,
) -> Result<&'a mut Workbench> {
    Ok(match bench {
        Some(bench) => bench,
        none => none.insert(match adapter.take_spare() {
            Some(spare) => spare,
            None => Workbench::open(adapter).await?,
        }),
    })
}

/// The plan as `adapter` can run it: no loop exceeds its limit and, with `checked`, every kernel
/// has passed its spot check; a kernel that fails is replaced by another of its op.
///
/// # Errors
/// The plan exceeds a limit, no kernel of an op passes, or the device was lost or reported a fault.
pub(crate) async fn prepare(
    adapter: &Adapter,
    plan: Plan,
    checked: bool,
    notices: &mut Notices,
) -> Result<Plan> {
    required_limits(adapter, &plan)?;
    check_kernels(adapter, &plan)?;
    let mut cache = Cache::load(&adapter.cache_key());
    let mut bench = None;
    let longest = longest_loop(adapter, &mut bench, &mut cache).await?;
    let mut plan = plan.with_loops_up_to(longest, |op| adapter.runs(op));
    required_limits(adapter, &plan)?;
    check_loops(adapter, &plan)?;
    if checked {
        check_plan(adapter, &mut plan, &mut bench, &mut cache, notices).await?;
    }
    if let Err(line) = cache.save() {
        notices.push(line);
    }
    if bench.is_some() {
        adapter.leave(bench);
    }
    Ok(plan)
}

async fn check_plan(
    adapter: &Adapter,
    plan: &mut Plan,
    bench: &mut Option<Workbench>,
    cache: &mut Cache,
    notices: &mut Notices,
) -> Result<()> {
    let mut checks = Checks::new(adapter);
    let unknown = |plan: &Plan| -> Vec<Box<dyn Op>> {
        let new = plan.nodes().iter().map(|node| node.op.as_ref());
        let mut keys = BTreeSet::new();
        let new = new.filter(|op| !cache.has_passed(&key(*op)) && keys.insert(key(*op)));
        new.map(|op| op.boxed()).collect()
    };
    let unknown = unknown(plan);
    if unknown.is_empty() {
        return Ok(());
    }
    let bench = opened(adapter, bench).await?;
    bench.compile(unknown.clone()).await;
    for op in unknown {
        if checks.passes(bench, cache, op.as_ref(), notices).await? {
            continue;
        }
        let mut other = None;
        for variant in op.variants() {
            let variant = variant.op;
            let can_run = adapter.runs(variant.as_ref())
                && Some(variant.launch().longest_loop) <= adapter.longest_loop();
            if can_run
                && checks
                    .passes(bench, cache, variant.as_ref(), notices)
                    .await?
            {
                other = Some(variant);
                break;
            }
        }
        let Some(other) = other else {
            return Err(checks.error(op.as_ref()));
        };
        let wrong = key(op.as_ref());
        plan.replace_ops(|op| (key(op) == wrong).then(|| other.boxed()));
    }
    Ok(())
}
