//! With limits lowered on purpose, results are the same, or the refusal names what does not fit;
//! and memory does not grow.

mod common;

use wgrad::nn::{Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential};
use wgrad::plan::Port;
use wgrad::wgpu::Limits;
use wgrad::{Config, Device, Loss, Planning, Sgd, Split, Trainer};

fn model() -> Sequential {
    Sequential::new()
        .with(Conv2d::new(2, 4, 3).padding(1))
        .with(ReLU)
        .with(MaxPool2d::new(2))
        .with(Flatten)
        .with(Linear::new(4))
}

fn config(batch_size: usize) -> Config {
    // im2col has the largest ops and buffers.
    let unfused = Planning::Unfused;
    Config::new(Loss::CrossEntropy, Sgd::new(0.05))
        .batch_size(batch_size)
        .seed(2)
        .planning(unfused)
}

/// The bits of the parameters after an epoch, or the error.
fn trained(device: &Device) -> Result<Vec<u32>, String> {
    wgrad::block_on(async {
        let data = common::random_data(64, 0);
        let mut trainer = Trainer::new(device, &model(), &data, config(16)).await?;
        trainer.train_epoch(|_| {}).await?;
        let arena = trainer.plan().port(Port::Parameters)?;
        trainer.executor().read_words(arena).await
    })
    .map_err(|error| error.to_string())
}

#[test]
fn fewer_workgroups_per_dimension_give_the_same_bits() {
    let Some(device) = common::gpu() else { return };
    let expected = trained(&device).unwrap();
    // The largest op, im2col, has 38,016 elements: 594 workgroups.
    for per_dimension in [25, 37, 100] {
        let limits = Limits {
            max_compute_workgroups_per_dimension: per_dimension,
            ..Limits::default()
        };
        let found = trained(&device.clone().with_limits(limits)).unwrap();
        assert!(
            found == expected,
            "{per_dimension} workgroups a dimension: other bits"
        );
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name_before_anything_is_created() {
    let Some(device) = common::gpu() else { return };
    let adapter = device.adapter().unwrap().name().to_owned();
    let refusal = |limits| trained(&device.clone().with_limits(limits)).unwrap_err();
    assert_eq!(
        refusal(Limits {
            max_compute_workgroups_per_dimension: 20,
            ..Limits::default()
        }),
        format!(
            "im2col: needs 594 workgroups, but {adapter} offers 400 \
             (max_compute_workgroups_per_dimension, squared)"
        )
    );
    assert_eq!(
        refusal(Limits {
            max_storage_buffer_binding_size: 100_000,
            ..Limits::default()
        }),
        format!(
            "0.columns: needs 152064 bytes, but {adapter} offers 100000 \
             (max_storage_buffer_binding_size)"
        )
    );
    assert_eq!(
        refusal(Limits {
            max_buffer_size: 100_000,
            ..Limits::default()
        }),
        format!("0.columns: needs 152064 bytes, but {adapter} offers 100000 (max_buffer_size)")
    );
    assert_eq!(
        refusal(Limits {
            max_storage_buffers_per_shader_stage: 4,
            ..Limits::default()
        }),
        format!(
            "gather: needs 5 storage buffers, but {adapter} offers 4 \
             (max_storage_buffers_per_shader_stage)"
        )
    );
    assert_eq!(
        refusal(Limits {
            max_compute_invocations_per_workgroup: 32,
            ..Limits::default()
        }),
        format!(
            "a workgroup: needs 64 invocations, but {adapter} offers 32 \
             (max_compute_invocations_per_workgroup)"
        )
    );
}

/// The resident memory of this process in bytes.
#[cfg(target_os = "linux")]
fn resident() -> i64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<i64>().unwrap() * 4096
}

/// A software adapter's memory is the process's own, so this counts both.
#[test]
#[cfg(target_os = "linux")]
fn memory_stays_flat_over_a_thousand_epochs() {
    let Some(device) = common::gpu() else { return };
    wgrad::block_on(async {
        let data = common::random_data(64, 16);
        let mut trainer = Trainer::new(&device, &model(), &data, config(16))
            .await
            .unwrap();
        let mut after = Vec::new();
        for epoch in 0..1000 {
            trainer.train_epoch(|_| {}).await.unwrap();
            trainer.evaluate(Split::Test).await.unwrap();
            if epoch % 100 == 99 {
                after.push(resident());
            }
        }
        // Pools and caches fill up during the first hundred epochs.
        let growth = after.last().unwrap() - after[0];
        println!(
            "{device}: {} MiB after 100 epochs, {growth} bytes more after 1,000",
            after[0] >> 20
        );
        assert!(growth < 2 << 20, "grew by {growth} bytes: {after:?}");
    });
}
