//! After a device is lost, every call returns that error.

use std::ops::ControlFlow;

use super::devices::{model, trainer};
use crate::common;
use wgrad::executor::Executor;
use wgrad::nn::Training;
use wgrad::ops::Step;
use wgrad::plan::{Phase, Port};
use wgrad::tune::Effort;
use wgrad::{Device, Error, Loss, Planning, Progress, Session, Sgd, Split, block_on};

fn is_lost<T>(call: &str, result: wgrad::Result<T>) {
    match result {
        Err(Error::DeviceLost(_)) => {}
        Err(error) => panic!("{call}: {error}"),
        Ok(_) => panic!("{call}: Ok"),
    }
}

/// Destroys the device through the library, or behind its back, as a driver would.
fn lose(executor: &Executor, behind_its_back: bool) {
    let Executor::Gpu(gpu) = executor else {
        panic!("the device is no adapter");
    };
    match behind_its_back {
        false => gpu.destroy_device(),
        true => {
            gpu.device().destroy();
            // The driver reports it at its next call.
            let lost = block_on(executor.read_words(executor.plan().port(Port::Logits).unwrap()));
            is_lost("the first call", lost);
        }
    }
}

/// Once the device is lost, every call of a trainer returns that error and no other, whether it has
/// trained before or not.
#[test]
fn every_call_of_a_trainer_reports_the_lost_device() {
    let Some(device) = common::gpu() else { return };
    for (has_trained, behind) in [(false, false), (true, false), (false, true), (true, true)] {
        for planning in [Planning::Unfused, Planning::Fused(Effort::Off)] {
            block_on(async {
                let mut trainer = trainer(&device, planning).await.unwrap();
                if has_trained {
                    trainer.train_epoch(|_| {}).await.unwrap();
                }
                let checkpoint = trainer.checkpoint().await.unwrap();
                lose(trainer.executor(), behind);
                is_lost("train_epoch", trainer.train_epoch(|_| {}).await);
                let go_on = |_: &Progress| ControlFlow::Continue(());
                is_lost("train_until", trainer.train_until(go_on).await);
                is_lost("evaluate", trainer.evaluate(Split::Test).await);
                is_lost("checkpoint", trainer.checkpoint().await);
                is_lost("restore", trainer.restore(&checkpoint));
                is_lost("load_parameters", trainer.load_parameters(&checkpoint));
                is_lost("set_learning_rate", trainer.set_learning_rate(0.5));
                lost_executor(trainer.executor()).await;
            });
        }
    }
}

/// The same with each call as the first one after the loss: none relies on an earlier call to
/// notice.
#[test]
fn the_first_call_after_the_loss_reports_it() {
    let Some(device) = common::gpu() else { return };
    block_on(async {
        for call in 0..8 {
            let mut trainer = trainer(&device, Planning::Fused(Effort::Off))
                .await
                .unwrap();
            let checkpoint = trainer.checkpoint().await.unwrap();
            lose(trainer.executor(), false);
            match call {
                0 => is_lost("train_epoch", trainer.train_epoch(|_| {}).await),
                1 => is_lost("evaluate", trainer.evaluate(Split::Test).await),
                2 => is_lost("checkpoint", trainer.checkpoint().await),
                3 => is_lost("restore", trainer.restore(&checkpoint)),
                4 => is_lost("load_parameters", trainer.load_parameters(&checkpoint)),
                5 => lost_executor(trainer.executor()).await,
                _ => is_lost("a second device", second_use(&device, call == 6).await),
            }
        }
    });
}

/// Another trainer on the same `Device` opens the adapter anew; a loss during its tuning is
/// reported too.
async fn second_use(device: &Device, loses: bool) -> wgrad::Result<()> {
    let mut other = trainer(device, Planning::Fused(Effort::Quick)).await?;
    if loses {
        lose(other.executor(), false);
    }
    other.train_epoch(|_| {}).await?;
    Err(Error::DeviceLost("not this time".to_owned()))
}

async fn lost_executor(executor: &mut Executor) {
    let step = Step::new(0, 1, 0, 0.1);
    let tensor = executor.plan().port(Port::Parameters).unwrap();
    let words = executor.plan().tensor(tensor).words();
    is_lost("read", executor.read(tensor).await);
    is_lost("read_words", executor.read_words(tensor).await);
    is_lost("write", executor.write(tensor, &vec![0.0; words]));
    is_lost("write_words", executor.write_words(tensor, &vec![0; words]));
    is_lost("run", executor.run(&Phase::TRAIN, &[step]));
    is_lost("run of nothing", executor.run(&[], &[]));
    let Executor::Gpu(gpu) = executor else { return };
    is_lost("run_node", gpu.run_node(0, &step));
    is_lost("profile", gpu.profile(&Phase::TRAIN, &step).await);
    is_lost("time_ops", gpu.time_ops(&Phase::TRAIN, &step).await);
    is_lost(
        "lockstep",
        wgrad::verify::lockstep(gpu, &Phase::TRAIN, &step).await,
    );
}

#[test]
fn every_call_of_a_session_reports_the_lost_device() {
    let Some(device) = common::gpu() else { return };
    let training = Training::new([2, 12, 11], Loss::CrossEntropy, Sgd::new(0.1)).batch_size(4);
    block_on(async {
        for behind in [false, true] {
            let mut session = Session::new(&device, &model(), &training, 0).await.unwrap();
            let (images, labels) = (vec![0.5; 4 * 2 * 12 * 11], [0, 1, 2, 3]);
            session.set_batch(&images, &labels).unwrap();
            session.forward().unwrap();
            lose(session.executor(), behind);
            is_lost("set_batch", session.set_batch(&images, &labels));
            is_lost("set_learning_rate", session.set_learning_rate(0.5));
            is_lost("forward", session.forward());
            is_lost("loss", session.loss().await);
            is_lost("metrics", session.metrics().await);
            is_lost("backward", session.backward());
            is_lost("step", session.step());
            is_lost("zero_grad", session.zero_grad());
            is_lost("read", session.read("logits").await);
            is_lost("write", session.write("images", &images));
        }
    });
}
