//! `mnist_gpu --recover`: the cost of losing a device. No driver loses a device on request, so the
//! example's own parts run here on a device that is destroyed midway.

#[path = "../examples/cli/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the test uses a part of it")]
mod cli;
#[path = "../examples/common/mod.rs"]
mod common;
#[path = "common/mod.rs"]
mod shared;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Parser;
use cli::{Args, Checkpoints};
use wgrad::data::Dataset;
use wgrad::executor::Executor;
use wgrad::{Checkpoint, Config, Device, Error, Loss, Result, Sgd, Trainer};

const EPOCHS: u64 = 3;

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn args(folder: &Path, more: &[&str]) -> Args {
    let named = [
        "mnist_gpu",
        "--recover",
        "--checkpoint",
        folder.to_str().unwrap(),
    ];
    let args = Args::try_parse_from(named.iter().chain(more)).unwrap();
    args.check().unwrap();
    args
}

async fn trainer(device: &Device, data: &Dataset, seed: u64) -> Result<Trainer> {
    let model = shared::built_in("uneven");
    let config = Config::new(Loss::CrossEntropy, Sgd::new(0.05).momentum(0.9))
        .batch_size(8)
        .seed(seed)
        .planning(wgrad::Planning::Fused(wgrad::tune::Effort::Off));
    Trainer::new(device, &model, data, config).await
}

/// One run of the example, whose device is lost in the epoch after `lost_after`, if given; the
/// final checkpoint.
fn run(
    device: &Device,
    args: &Args,
    checkpoints: &Checkpoints,
    lost_after: Option<u64>,
) -> Result<Checkpoint> {
    wgrad::block_on(async {
        let data = shared::random_data(203, 8);
        let resumed = args.resumed()?;
        let mut trainer = trainer(device, &data, args.seed).await?;
        checkpoints.begin(args, &mut trainer, resumed.as_ref())?;
        while trainer.epochs() < EPOCHS {
            if lost_after == Some(trainer.epochs()) {
                trainer.train_until(|_| ControlFlow::Break(())).await?;
                let Executor::Gpu(gpu) = trainer.executor() else {
                    panic!("the device is no adapter");
                };
                gpu.destroy_device();
            }
            checkpoints.train_epoch(&mut trainer, EPOCHS, &data).await?;
        }
        trainer.checkpoint().await
    })
}

/// Loses a device once, and continues as the example does.
fn recovers(name: &str, more: &[&str], lost_after: u64, prepare: impl Fn(&Device, &Path)) {
    let Some(device) = shared::gpu() else { return };
    let whole = folder(&format!("{name}_whole"));
    prepare(&device, &whole);
    let expected = args(&whole, more);
    let expected = run(&device, &expected, &Checkpoints::new(&expected), None).unwrap();

    let folder = folder(name);
    prepare(&device, &folder);
    let mut args = args(&folder, more);
    let checkpoints = Checkpoints::new(&args);
    let lost = run(&device, &args, &checkpoints, Some(lost_after)).map(drop);
    assert!(matches!(lost, Err(Error::DeviceLost(_))), "{lost:?}");
    assert!(checkpoints.continues_after(&lost, &mut args).unwrap());
    let found = run(&device, &args, &checkpoints, None).unwrap();
    assert!(
        found == expected,
        "{device}: other bits after a lost device"
    );
    assert!(!checkpoints.continues_after(&Ok(()), &mut args).unwrap());
}

#[test]
fn training_continues_from_the_checkpoint() {
    recovers("recover", &[], 1, |_, _| {});
}

#[test]
fn before_the_first_checkpoint_training_starts_over() {
    recovers("recover_early", &[], 0, |_, _| {});
}

/// `--init` applies again if nothing of this training was saved.
#[test]
fn before_the_first_checkpoint_training_starts_with_the_same_weights() {
    let weights = folder("recover_weights").join("weights.safetensors");
    let Some(device) = shared::gpu() else { return };
    wgrad::block_on(async {
        let other = trainer(&device, &shared::random_data(203, 8), 9)
            .await
            .unwrap();
        let mut other = other.checkpoint().await.unwrap();
        other
            .tensors
            .retain(|name, _| !name.starts_with("optimizer."));
        other.save(&weights).unwrap();
    });
    recovers(
        "recover_init",
        &["--init", weights.to_str().unwrap()],
        0,
        |_, _| {},
    );
}

/// A checkpoint that an earlier run left in the folder is not continued, unless that run was
/// resumed.
#[test]
fn a_checkpoint_of_another_run_is_not_continued() {
    let earlier = |device: &Device, folder: &Path, epochs: u64, rate: f32| {
        wgrad::block_on(async {
            let data = shared::random_data(203, 8);
            let mut trainer = trainer(device, &data, 1).await.unwrap();
            trainer.set_learning_rate(rate).unwrap();
            for _ in 0..epochs {
                trainer.train_epoch(|_| {}).await.unwrap();
            }
            let checkpoint = trainer.checkpoint().await.unwrap();
            checkpoint.save(folder.join("last.safetensors")).unwrap();
        });
    };
    recovers("recover_other", &[], 0, |device, folder| {
        earlier(device, folder, 2, 0.2);
    });
    recovers("recover_resumed", &["--resume"], 1, |device, folder| {
        earlier(device, folder, 1, 0.2);
    });
}

/// If the device is lost every time, recovery gives up.
#[test]
fn recovery_gives_up_on_a_device_that_is_lost_again_at_once() {
    let Some(device) = shared::gpu() else { return };
    let mut args = args(&folder("recover_again"), &[]);
    let checkpoints = Checkpoints::new(&args);
    let mut goes_on = |lost_after| {
        let lost = run(&device, &args, &checkpoints, Some(lost_after)).map(drop);
        assert!(matches!(lost, Err(Error::DeviceLost(_))), "{lost:?}");
        checkpoints.continues_after(&lost, &mut args).unwrap()
    };
    // Before the second loss an epoch was saved, before the third none.
    assert_eq!([goes_on(0), goes_on(1), goes_on(1)], [true, true, false]);
}
