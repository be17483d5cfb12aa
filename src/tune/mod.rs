//! Chooses kernels by measuring them: on the adapter at hand, for a plan's shapes.
//!
//! All kernels of an op have the same error bound, so a choice may change only the last bits of a
//! result. Times and choices are cached on disk, so that the same adapter makes the same choices
//! the next time, at once. [`Choices`] holds them; a plan lowered with the same choices gives the
//! same bits.

mod budget;
mod candidates;
mod choices;
mod fitting;
mod foreign;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use web_time::Instant;

use crate::cache::Cache;
use crate::device::Device;
use crate::error::Result;
use crate::expand::{Strategies, Strategy};
use crate::gpu::{Adapter, Workbench};
use crate::graph::Graph;
use crate::notices::Notices;
use crate::ops::{Op, SHADERS, Variant, identity};
use crate::plan::Plan;
use crate::spot::{self, Checks};
use budget::Budget;
use candidates::{candidates, is_worthwhile};
pub use choices::Choices;
use fitting::{implicit_if_needed, plan_that_fits};

/// Strategies within this factor of the fastest are measured again, since machine speed fluctuates.
const CLOSE: f64 = 1.5;

/// How much to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// Nothing: use the defaults for this kind of adapter.
    Off,
    /// For at most two seconds, the kernels that suit this kind of adapter, the costliest ops
    /// first; or reuse cached choices.
    #[default]
    Quick,
    /// Every kernel of every op, ignoring cached times.
    Full,
}

impl Effort {
    fn budget(self) -> Duration {
        match self {
            Effort::Off => Duration::ZERO,
            Effort::Quick => Duration::from_secs(2),
            Effort::Full => Duration::MAX,
        }
    }

    /// The duration of one run of one kernel.
    fn run(self) -> Duration {
        match self {
            Effort::Off | Effort::Quick => Duration::from_millis(2),
            Effort::Full => Duration::from_millis(10),
        }
    }
}

/// Chooses the kernels for the fast plan of `graph` on `device`. `notices` receives messages for
/// the user.
///
/// # Errors
/// The device was lost or reported a fault.
pub async fn choose(
    device: &Device,
    graph: &Graph,
    effort: Effort,
    notices: &mut Notices,
) -> Result<Choices> {
    let Some(adapter) = device.adapter() else {
        return Ok(on_the_reference(graph));
    };
    let mut cache = Cache::load(&adapter.cache_key());
    let mut bench = None;
    let longest = spot::longest_loop(adapter, &mut bench, &mut cache).await?;
    let checks = device.has_spot_checks().then(|| Checks::new(adapter));
    let mut tuner = Tuner {
        adapter,
        longest,
        bench,
        cache,
        checks,
        notices,
        effort,
        budget: Budget::new(effort.budget()),
    };
    if effort == Effort::Full {
        tuner.cache.forget_times();
    }
    let base = implicit_if_needed(adapter, graph)?;
    let checksum = checksum(graph, &base)?;
    let known = tuner
        .cache
        .choices(&checksum)
        .and_then(|text| text.parse().ok());
    if let (Effort::Quick, Some(mut known)) = (effort, known) {
        foreign::adapt(&mut known, device, graph, tuner.notices)?;
        adapter.leave(tuner.bench);
        return Ok(known);
    }
    let mut choices = Choices {
        layers: base,
        ..Choices::default()
    };
    if effort != Effort::Off {
        choices.layers = tuner.layers(graph, choices.layers).await?;
    }
    let plan = graph.fast(&choices.layers)?;
    let mut nodes: Vec<&dyn Op> = plan.nodes().iter().map(|node| node.op.as_ref()).collect();
    nodes.sort_by_key(|op| std::cmp::Reverse(op.cost().flop));
    for op in nodes {
        if let Some(key) = op.choice().filter(|key| !choices.ops.contains_key(key)) {
            let best = tuner.best(op).await?;
            // No name: every kernel of the op exceeds the loop limit, so the plan will be split.
            if !best.0.is_empty() {
                choices.ops.insert(key, best.0);
            }
        }
    }
    if effort != Effort::Off {
        tuner.cache.insert_choices(checksum, choices.to_string());
        if let Err(line) = tuner.cache.save() {
            tuner.notices.push(line);
        }
    }
    adapter.leave(tuner.bench);
    Ok(choices)
}

/// The choices for the CPU reference, which has one way to compute an op: convolutions without
/// columns.
fn on_the_reference(graph: &Graph) -> Choices {
    Choices {
        layers: graph.all_by(Strategy::Implicit),
        ops: BTreeMap::new(),
    }
}

/// A checksum that identifies the model and the version of the kernels.
///
/// # Errors
/// As [`Graph::fast`].
fn checksum(graph: &Graph, strategies: &Strategies) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    for node in graph.fast(strategies)?.nodes() {
        identity(node.op.as_ref()).hash(&mut hasher);
    }
    SHADERS.hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

struct Tuner<'a> {
    adapter: &'a Adapter,
    /// The adapter's loop limit.
    longest: u64,
    bench: Option<Workbench>,
    cache: Cache,
    /// `None` if kernels are not checked.
    checks: Option<Checks<'a>>,
    notices: &'a mut Notices,
    effort: Effort,
    budget: Budget,
}

impl Tuner<'_> {
    /// For each layer that has several, the strategy with the least total time of its ops;
    /// strategies that the budget leaves unmeasured are ignored. `chosen` holds those of layers
    /// whose default does not fit the adapter.
    async fn layers(&mut self, graph: &Graph, mut chosen: Strategies) -> Result<Strategies> {
        for (layer, strategies) in graph.strategies() {
            let mut plans = Vec::new();
            for &strategy in strategies {
                let mut layers = chosen.clone();
                layers.insert(layer.clone(), strategy);
                if let Some(plan) = plan_that_fits(self.adapter, graph, &layers) {
                    plans.push((strategy, count(&plan), plan));
                }
            }
            // The default is measured first, so that it has a time even if the budget runs out.
            let default = count(&graph.fast(&chosen)?);
            plans.sort_by_key(|(_, counts, _)| *counts != default);
            let is_everywhere = |op: &str| {
                let mut counts = plans.iter().map(|(_, counts, _)| counts.get(op));
                let first = counts.next();
                counts.all(|count| Some(count) == first)
            };
            let counts = |op: &str| !is_everywhere(op);
            let worthwhile = |(_, _, plan): &&(_, _, Plan)| {
                let mut ops = plan.nodes().iter().map(|node| node.op.as_ref());
                ops.all(|op| !counts(&identity(op)) || is_worthwhile(op, self.adapter, self.effort))
            };
            let plans: Vec<_> = plans.iter().filter(worthwhile).collect();
            if let [(only, _, _)] = plans[..] {
                chosen.insert(layer, *only);
                continue;
            }
            let mut limit = Duration::MAX;
            let mut timed = Vec::new();
            for (strategy, _, plan) in plans {
                if let Some(time) = self.time_of(plan, &counts, limit).await? {
                    limit = limit.min(time.mul_f64(CLOSE));
                    timed.push((time, *strategy, plan));
                }
            }
            timed.retain(|(time, _, _)| *time < limit);
            if timed.len() > 1 {
                for (_, _, plan) in &timed {
                    self.measure_again(plan, &counts).await?;
                }
                for (time, _, plan) in &mut timed {
                    let again = self.time_of(plan, &counts, Duration::MAX).await?;
                    *time = again.unwrap_or(*time);
                }
            }
            if let Some((_, strategy, _)) = timed.iter().min_by_key(|(time, _, _)| *time) {
                chosen.insert(layer, *strategy);
            }
        }
        Ok(chosen)
    }

    /// Measures the plan's ops selected by `counts` once more, each with its best kernel.
    async fn measure_again(
        &mut self,
        plan: &Plan,
        counts: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<()> {
        for node in plan.nodes() {
            let op = node.op.as_ref();
            if counts(&identity(op)) {
                let (name, _) = self.best(op).await?;
                let mut variants = op.variants().into_iter();
                let variant = variants.find(|variant| variant.name == name);
                let op = variant.map_or_else(|| op.boxed(), |variant| variant.op);
                self.measure(op.as_ref(), &name).await?;
            }
        }
        Ok(())
    }

    /// The total time of the ops selected by `counts` in a training step, each with its best
    /// kernel; `None` once it reaches `limit`.
    async fn time_of(
        &mut self,
        plan: &Plan,
        counts: &(dyn Fn(&str) -> bool + Sync),
        limit: Duration,
    ) -> Result<Option<Duration>> {
        let mut total = Duration::ZERO;
        for node in plan
            .nodes()
            .iter()
            .filter(|node| counts(&identity(node.op.as_ref())))
        {
            match self.best(node.op.as_ref()).await?.1 {
                Some(time) => total += time,
                None => return Ok(None),
            }
            if total >= limit {
                return Ok(None);
            }
        }
        Ok(Some(total))
    }

    /// The name and the time of an op's best kernel; without a time, the default for the adapter.
    async fn best(&mut self, op: &dyn Op) -> Result<(String, Option<Duration>)> {
        let mut candidates = candidates(op, self.adapter, self.effort);
        candidates.retain(|variant| variant.op.launch().longest_loop <= self.longest);
        if candidates.is_empty() {
            let time = self.time(op, "").await?;
            return Ok((String::new(), time));
        }
        self.compile(&candidates).await?;
        let suits = candidates[0].name.clone();
        let mut best: Option<(Duration, String)> = None;
        for Variant { name, op } in candidates {
            let time = self.time(op.as_ref(), &name).await?;
            if let Some(time) = time.filter(|time| best.as_ref().is_none_or(|b| *time < b.0)) {
                best = Some((time, name));
            }
        }
        Ok(match best {
            Some((time, name)) => (name, Some(time)),
            None => (suits, None),
        })
    }

    /// The time of one dispatch, cached or measured; `None` if the budget is spent.
    async fn time(&mut self, op: &dyn Op, variant: &str) -> Result<Option<Duration>> {
        match self.known(op, variant) {
            Some(time) => Ok(Some(time)),
            None => self.measure(op, variant).await,
        }
    }

    fn known(&self, op: &dyn Op, variant: &str) -> Option<Duration> {
        let time = self.cache.time(&kernel_key(op, variant));
        time.filter(|_| self.effort != Effort::Off)
    }

    /// Compiles the candidates of an op that are to be measured, in parallel.
    async fn compile(&mut self, candidates: &[Variant]) -> Result<()> {
        let ops = candidates.iter().filter_map(|Variant { name, op }| {
            let op = op.as_ref();
            self.known(op, name).is_none().then(|| op.boxed())
        });
        let ops: Vec<_> = ops.collect();
        if ops.len() > 1 && self.budget.is_left() {
            let begun = Instant::now();
            self.bench().await?.compile(ops).await;
            self.budget.count(begun);
        }
        Ok(())
    }

    async fn bench(&mut self) -> Result<&mut Workbench> {
        spot::opened(self.adapter, &mut self.bench).await
    }

    /// Measures one dispatch and caches the shortest time so far.
    async fn measure(&mut self, op: &dyn Op, variant: &str) -> Result<Option<Duration>> {
        if !self.budget.is_left() || op.launch().longest_loop > self.longest {
            return Ok(None);
        }
        let run = self.effort.run();
        let bench = spot::opened(self.adapter, &mut self.bench).await?;
        let begun = Instant::now();
        let measured = match &mut self.checks {
            Some(checks) => {
                let (cache, notices) = (&mut self.cache, &mut *self.notices);
                checks.time(bench, cache, op, run, notices).await
            }
            None => bench.time(op.boxed(), run).await.map(Some),
        };
        self.budget.count(begun);
        match measured {
            Ok(None) => Ok(None),
            Ok(Some(time)) => {
                let key = kernel_key(op, variant);
                let shortest = self.cache.time(&key).map_or(time, |known| known.min(time));
                self.cache.insert_time(key, shortest);
                Ok(Some(shortest))
            }
            // A kernel that exceeds a limit, or that the driver refuses, is not chosen; the device
            // may have been lost when memory ran out.
            Err(_) => {
                self.bench = None;
                Ok(None)
            }
        }
    }
}

/// The cache key of a kernel's time: op, variant, and a hash of the shader.
fn kernel_key(op: &dyn Op, variant: &str) -> String {
    let mut shader = DefaultHasher::new();
    op.launch().shader.hash(&mut shader);
    format!("{} {variant} {:016x}", identity(op), shader.finish())
}

/// The number of occurrences of each op in a plan.
fn count(plan: &Plan) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for node in plan.nodes() {
        *counts.entry(identity(node.op.as_ref())).or_default() += 1;
    }
    counts
}
