//! Training steps of the tutorial's network, on the adapter that `WGRAD_ADAPTER` names (or the best)
//! and on the CPU reference: `cargo bench`.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wgrad::executor::Executor;
use wgrad::nn::{Training, initial_parameters};
use wgrad::ops::Step;
use wgrad::plan::Phase;
use wgrad::verify::built_in;
use wgrad::{Device, Result, block_on};

/// Steps of one submit.
const STEPS: usize = 32;
/// Random-looking samples, enough for that many batches of any size below.
const SAMPLES: usize = 256 * STEPS;

async fn load(device: &Device, batch_size: usize) -> Result<Executor> {
    let tutorial = built_in().remove(0);
    let plan = tutorial.model.lower(&Training {
        batch_size,
        dataset: Some(SAMPLES),
        ..tutorial.training
    })?;
    let parameters = initial_parameters(&plan, 0);
    let mut executor = device.load(plan).await?;
    let plan = executor.plan().clone();
    executor.write(plan.find("parameters")?, &parameters)?;
    let images = plan.find("dataset.images")?;
    let words = 0..plan.tensor(images).words() as u32;
    let noise: Vec<u32> = words.map(|i| i.wrapping_mul(0x9e37_79b9)).collect();
    executor.write_words(images, &noise)?;
    let order: Vec<u32> = (0..SAMPLES as u32).collect();
    executor.write_words(plan.find("dataset.order")?, &order)?;
    Ok(executor)
}

fn training_steps(criterion: &mut Criterion) {
    let name = std::env::var("WGRAD_ADAPTER").ok();
    let mut devices = vec![Device::cpu()];
    match block_on(Device::gpu(name.as_deref())) {
        Ok(device) => devices.push(device),
        Err(error) => eprintln!("only the CPU reference: {error}"),
    }
    for device in devices {
        let mut group = criterion.benchmark_group(format!("tutorial, {device}"));
        group.sample_size(10);
        for batch in [32, 256] {
            let mut executor = block_on(load(&device, batch)).expect("the tutorial's model fits");
            let steps: Vec<Step> = (0..STEPS)
                .map(|i| Step::new((i * batch) as u32, batch as u32, i as u32, 0.01))
                .collect();
            group.throughput(Throughput::Elements((STEPS * batch) as u64));
            group.bench_function(BenchmarkId::from_parameter(batch), |bencher| {
                bencher.iter(|| {
                    let pending = executor
                        .run(&Phase::TRAIN, &steps)
                        .expect("a healthy device");
                    block_on(pending.wait()).expect("a healthy device")
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, training_steps);
criterion_main!(benches);
