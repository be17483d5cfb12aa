//! Chooses kernels by measuring them: on the adapter at hand, for a plan's shapes.
//!
//! All kernels of an op are under the same error bound, so a choice may change the last bits of a result
//! and nothing else. What was measured and chosen is remembered on disk, so that the same adapter chooses
//! alike the next time, at once; [`Choices`] says what was chosen, and a plan lowered with the same choices gives the same
//! bits.

mod budget;
mod candidates;
mod choices;
mod foreign;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use web_time::Instant;

use crate::cache::Cache;
use crate::device::Device;
use crate::error::Result;
use crate::expand::{ConvKernel, ConvKernels};
use crate::gpu::{Adapter, Workbench};
use crate::graph::Graph;
use crate::notices::Notices;
use crate::ops::{Op, SHADERS, Variant, identity};
use crate::plan::Plan;
use crate::spot::{self, Checks};
use budget::Budget;
use candidates::{candidates, is_worthwhile};
pub use choices::Choices;

/// Ways to compute a convolution within this factor of the fastest are measured again, since a machine's speed
/// fluctuates.
const CLOSE: f64 = 1.5;

/// How much to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// Nothing: the kernels that suit adapters of this kind.
    Off,
    /// For two seconds at most, the kernels that suit adapters of this kind, the costliest ops first; or what
    /// was chosen before.
    #[default]
    Quick,
    /// Every kernel of every op, and anew what was measured before.
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

    /// Of one run of one kernel.
    fn run(self) -> Duration {
        match self {
            Effort::Off | Effort::Quick => Duration::from_millis(2),
            Effort::Full => Duration::from_millis(10),
        }
    }
}

/// Chooses the kernels for the fast plan of `graph` on `device`. `notices` takes what a user
/// should know of it.
///
/// # Errors
/// A device that is lost or reports a fault.
pub async fn choose(
    device: &Device,
    graph: &Graph,
    effort: Effort,
    notices: &mut Notices,
) -> Result<Choices> {
    let Some(adapter) = device.adapter() else {
        return Ok(on_the_reference(graph));
    };
    let mut cache = Cache::load(&adapter.to_string());
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
    let checksum = checksum(graph)?;
    let known = tuner
        .cache
        .choices(&checksum)
        .and_then(|text| text.parse().ok());
    if let (Effort::Quick, Some(mut known)) = (effort, known) {
        foreign::adapt(&mut known, device, graph, tuner.notices)?;
        adapter.leave(tuner.bench);
        return Ok(known);
    }
    let mut choices = Choices::default();
    if effort != Effort::Off {
        choices.convs = tuner.convolutions(graph).await?;
    }
    let plan = graph.fast(&choices.convs)?;
    let mut nodes: Vec<&dyn Op> = plan.nodes().iter().map(|node| node.op.as_ref()).collect();
    nodes.sort_by_key(|op| std::cmp::Reverse(op.cost().flop));
    for op in nodes {
        if let Some(key) = op.choice().filter(|key| !choices.ops.contains_key(key)) {
            let best = tuner.best(op).await?;
            // Without a name no kernel of the op has loops as short as they must be: the plan is split.
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

/// The reference has one way to compute an op; of convolution's it takes the one that writes no columns.
fn on_the_reference(graph: &Graph) -> Choices {
    let layers = graph.convolutions().into_iter();
    Choices {
        convs: layers.map(|layer| (layer, ConvKernel::Implicit)).collect(),
        ops: BTreeMap::new(),
    }
}

/// Tells models, and versions of the kernels, apart.
///
/// # Errors
/// As [`Graph::fast`].
fn checksum(graph: &Graph) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    for node in graph.fast(&ConvKernels::new())?.nodes() {
        identity(node.op.as_ref()).hash(&mut hasher);
    }
    SHADERS.hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

struct Tuner<'a> {
    adapter: &'a Adapter,
    /// How often the loops of an invocation may go round.
    longest: u64,
    bench: Option<Workbench>,
    cache: Cache,
    /// None where kernels are taken for right.
    checks: Option<Checks<'a>>,
    notices: &'a mut Notices,
    effort: Effort,
    budget: Budget,
}

impl Tuner<'_> {
    /// For each convolution the kernel whose ops take least time together; those whose time the budget
    /// does not allow to measure do not count.
    async fn convolutions(&mut self, graph: &Graph) -> Result<ConvKernels> {
        let mut chosen = ConvKernels::new();
        for layer in graph.convolutions() {
            let mut plans = Vec::new();
            for kernel in ConvKernel::ALL {
                let mut convs = chosen.clone();
                convs.insert(layer.clone(), kernel);
                let plan = graph.fast(&convs)?;
                plans.push((kernel, count(&plan), plan));
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
            for (kernel, _, plan) in plans {
                if let Some(time) = self.time_of(plan, &counts, limit).await? {
                    limit = limit.min(time.mul_f64(CLOSE));
                    timed.push((time, *kernel, plan));
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
            if let Some((_, kernel, _)) = timed.iter().min_by_key(|(time, _, _)| *time) {
                chosen.insert(layer, *kernel);
            }
        }
        Ok(chosen)
    }

    /// Measures a plan's ops that `counts` once more, each by its best kernel.
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

    /// The time of a training step's ops that `counts`, each by its best kernel; none once it is clear that
    /// it reaches `limit`.
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

    /// The name and the time of an op's best kernel; without a time, the one that suits such adapters.
    async fn best(&mut self, op: &dyn Op) -> Result<(String, Option<Duration>)> {
        let mut candidates = candidates(op, self.adapter, self.effort);
        candidates.retain(|variant| variant.op.longest_loop() <= self.longest);
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

    /// The time of one dispatch, remembered or measured; none when the budget is spent.
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

    /// Compiles what is to be measured of an op's kernels, all at once.
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

    /// Measures one dispatch and remembers the shortest time that it ever took.
    async fn measure(&mut self, op: &dyn Op, variant: &str) -> Result<Option<Duration>> {
        if !self.budget.is_left() || op.longest_loop() > self.longest {
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
            // What does not fit the adapter, or its driver refuses, is not chosen; memory that ran out may
            // have cost the device.
            Err(_) => {
                self.bench = None;
                Ok(None)
            }
        }
    }
}

/// What a kernel of an op is called where its time is remembered, and this version of its shader.
fn kernel_key(op: &dyn Op, variant: &str) -> String {
    let mut shader = DefaultHasher::new();
    op.shader().hash(&mut shader);
    format!("{} {variant} {:016x}", identity(op), shader.finish())
}

/// How often each op stands in a plan.
fn count(plan: &Plan) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for node in plan.nodes() {
        *counts.entry(identity(node.op.as_ref())).or_default() += 1;
    }
    counts
}
