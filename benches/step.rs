//! Training steps of two models, fused and readable, on the adapter named by `WGRAD_ADAPTER` (or
//! the best), and of the smaller one on the CPU reference: `cargo bench --bench step`.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wgrad::plan::Plan;
use wgrad::tune::{self, Effort};
use wgrad::{Device, Notices, Result, block_on};

#[path = "common/mod.rs"]
mod workload;

/// Images per submit.
const IMAGES: usize = 256;

fn training_steps(criterion: &mut Criterion) {
    let name = std::env::var("WGRAD_ADAPTER").ok();
    let mut devices = vec![Device::cpu()];
    match block_on(Device::gpu(name.as_deref())) {
        Ok(device) => devices.push(device),
        Err(error) => eprintln!("only the CPU reference: {error}"),
    }
    for model in workload::Model::USUAL {
        for device in &devices {
            if device.adapter().is_none() && model != workload::Model::Tutorial {
                continue;
            }
            let mut group = criterion.benchmark_group(format!("{}, {device}", model.name()));
            group.throughput(Throughput::Elements(IMAGES as u64));
            for kind in ["fused", "readable"] {
                let plan = plan(device, model, kind == "fused").expect("the models fit");
                let loaded = block_on(workload::load(device, plan));
                let mut executor = loaded.expect("the models fit");
                let steps = workload::steps(model.batch(), IMAGES / model.batch());
                group.bench_function(BenchmarkId::new(kind, model.batch()), |bencher| {
                    bencher.iter(|| {
                        let trained = block_on(workload::train(&mut executor, &steps));
                        trained.expect("a healthy device")
                    });
                });
            }
            group.finish();
        }
    }
}

fn plan(device: &Device, model: workload::Model, fused: bool) -> Result<Plan> {
    let graph = model.graph(1, model.batch())?;
    if !fused {
        return graph.readable();
    }
    let mut notices = Notices::default();
    let choices = tune::choose(device, &graph, Effort::Quick, &mut notices);
    block_on(choices)?.apply(device, &graph, &mut notices)
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = training_steps
}
criterion_main!(benches);
