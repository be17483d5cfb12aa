//! Each kernel alone, on its inputs in a training step, on the adapter named by `WGRAD_ADAPTER` (or
//! the best): `cargo bench --bench kernels`.
//!
//! Covers all ops of the larger model's fused plans, with each convolution kernel; of the
//! tutorial's model only ops with several kernels; and square products.

use std::collections::HashSet;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use wgrad::executor::Executor;
use wgrad::expand::Strategy;
use wgrad::ops::{Epilogue, Op, Product, Step, Variant};
use wgrad::plan::{Node, Phase};
use wgrad::{Device, Result, block_on};

#[path = "common/mod.rs"]
mod workload;

use workload::{Alone, Model};

/// A kernel slower than this is run only once, which is printed, instead of sampled ten times.
const TOO_LONG: Duration = Duration::from_millis(200);

/// Benchmarks the kernels of a device, each op once.
struct Kernels<'a> {
    criterion: &'a mut Criterion,
    device: &'a Device,
    seen: HashSet<String>,
}

fn kernels(criterion: &mut Criterion) {
    let name = std::env::var("WGRAD_ADAPTER").ok();
    let device = match block_on(Device::gpu(name.as_deref())) {
        Ok(device) => device,
        Err(error) => return eprintln!("no kernels without an adapter: {error}"),
    };
    let mut kernels = Kernels {
        criterion,
        device: &device,
        seen: HashSet::new(),
    };
    for size in [256, 1024] {
        kernels.square(size).expect("a healthy device");
    }
    for model in Model::USUAL {
        for strategy in Strategy::all() {
            kernels.of_plan(model, strategy).expect("a healthy device");
        }
    }
}

impl Kernels<'_> {
    /// The product of two square matrices with each kernel.
    fn square(&mut self, size: usize) -> Result<()> {
        let is_software = self
            .device
            .adapter()
            .is_none_or(wgrad::gpu::Adapter::is_software);
        if is_software && size > 256 {
            return Ok(());
        }
        let product = Product::new([size; 3], [false; 2], Epilogue::Plain);
        let floats = |len| workload::noise(len).into_iter().map(fraction).collect();
        let bindings = product.bindings().inputs;
        let inputs: Vec<Vec<u32>> = bindings.iter().map(|input| floats(input.words)).collect();
        let name = format!("product of {size}×{size} matrices");
        self.op(&name, &product, &inputs, Step::new(0, 1, 0, 0.0))
    }

    /// Runs a training step op by op, and benchmarks each op on its inputs there.
    fn of_plan(&mut self, model: Model, strategy: Strategy) -> Result<()> {
        let graph = model.graph(1, model.batch())?;
        let plan = graph.fast(&graph.all_by(strategy))?;
        let mut executor = block_on(workload::load(self.device, plan))?;
        let plan = executor.plan().clone();
        let step = workload::steps(model.batch(), 1)[0];
        for number in plan.nodes_of(&Phase::TRAIN) {
            let Node {
                op,
                inputs,
                outputs,
                ..
            } = &plan.nodes()[number];
            let wanted = model == Model::Larger || !op.variants().is_empty();
            if wanted && self.seen.insert(format!("{op:?}")) {
                let read = inputs.iter().map(|&id| block_on(executor.read_words(id)));
                let read = read.collect::<Result<Vec<_>>>()?;
                let written = plan.tensor(outputs[0]);
                let name = format!("{}, {} {}", model.name(), written.name, written.shape);
                self.op(&name, op.as_ref(), &read, step)?;
            }
            match &mut executor {
                Executor::Gpu(gpu) => gpu.run_node(number, &step)?,
                Executor::Cpu(cpu) => cpu.run_node(number, &step),
            }
        }
        Ok(())
    }

    /// One op with each kernel that the adapter can run.
    fn op(&mut self, name: &str, op: &dyn Op, inputs: &[Vec<u32>], step: Step) -> Result<()> {
        let mut variants = workload::kernels_of(op);
        let has_subgroups = self
            .device
            .adapter()
            .is_some_and(|adapter| adapter.has_subgroups());
        variants.retain(|variant| has_subgroups || !variant.op.launch().needs_subgroups);
        let mut group = self.criterion.benchmark_group(name);
        group.sampling_mode(SamplingMode::Flat);
        for variant in variants {
            let label = variant.name.clone();
            if let Some(once) = bench(&mut group, self.device, variant, inputs, step)? {
                println!("{name}/{label}: one run takes {once:.1?}, not repeated");
            }
        }
        group.finish();
        Ok(())
    }
}

/// Benchmarks a kernel; if one run takes too long to be repeated, returns its time.
fn bench(
    group: &mut BenchmarkGroup<'_, WallTime>,
    device: &Device,
    Variant { name, op }: Variant,
    inputs: &[Vec<u32>],
    step: Step,
) -> Result<Option<Duration>> {
    let cost = op.cost();
    // A guess at the kernel's bottleneck. criterion's elements are FLOP.
    group.throughput(if cost.flop > 4 * cost.bytes {
        Throughput::Elements(cost.flop)
    } else {
        Throughput::Bytes(cost.bytes)
    });
    let mut alone = block_on(Alone::new(device, op, inputs, step, 1))?;
    let once = block_on(alone.run(1))?;
    if once > TOO_LONG {
        return Ok(Some(once));
    }
    group.bench_function(&name, |bencher| {
        bencher.iter_custom(|count| {
            let took = block_on(alone.run(count as usize));
            took.expect("a healthy device")
        });
    });
    Ok(None)
}

/// Random bits mapped to a float between 0 and 1.
fn fraction(word: u32) -> u32 {
    (word as f32 / u32::MAX as f32).to_bits()
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(300));
    targets = kernels
}
criterion_main!(benches);
