//! The futures behave as futures should: they can move between threads, never block the thread that
//! polls them, and may be dropped, after which the trainer still knows its position.

mod common;

use std::time::{Duration, Instant};

use wgrad::graph::Graph;
use wgrad::nn::{Flatten, Linear, Sequential, Training};
use wgrad::plan::Port;
use wgrad::tune::{self, Effort};
use wgrad::{
    Config, Device, Loss, Notices, Planning, Reduction, Session, Sgd, Split, Trainer, gpu, verify,
};

/// The longest permitted gap between ten-millisecond ticks, however busy the machine is.
const LONGEST: Duration = Duration::from_millis(400);

fn config(planning: Planning) -> Config {
    Config::new(Loss::Mse(Reduction::Mean), Sgd::new(0.05))
        .seed(1)
        .planning(planning)
}

async fn trainer(device: &Device, planning: Planning) -> Trainer {
    let data = wgrad::data::load_mnist(common::MNIST).unwrap();
    let data = data.with_train_len(12_800).unwrap();
    let model = common::tutorial_model();
    let trainer = Trainer::new(device, &model, &data, config(planning));
    trainer.await.unwrap()
}

/// Runs on a single thread, as a server with many clients would.
fn on_one_thread<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build().unwrap();
    runtime.block_on(future)
}

/// The result of `future`, polled on the same thread as a 10 ms heartbeat; fails if the future
/// holds up the heartbeat.
async fn beside_a_heartbeat<T>(what: &str, future: impl Future<Output = T>) -> T {
    let mut beats = tokio::time::interval(Duration::from_millis(10));
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    beats.tick().await;
    let begun = Instant::now();
    let (mut last, mut count, mut longest) = (begun, 0, Duration::ZERO);
    let mut future = std::pin::pin!(future);
    let mut done = None;
    while done.is_none() {
        let beat = std::pin::pin!(beats.tick());
        let mut beat = Some(beat);
        std::future::poll_fn(|context| {
            use std::task::Poll;
            let waiting = beat.as_mut();
            if waiting.is_some_and(|beat| beat.as_mut().poll(context).is_ready()) {
                beat = None;
                count += 1;
            }
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                done = Some(value);
            }
            match beat.is_none() || done.is_some() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    let took = begun.elapsed();
    println!("{what}: {count} beats in {took:?}, {longest:?} at most between two");
    assert!(longest < LONGEST, "{what}: no beat for {longest:?}");
    let due = took.as_millis() / 10;
    assert!(
        due < 20 || count >= due / 4,
        "{what}: {count} beats of {due}"
    );
    done.unwrap()
}

/// The device under test, and the CPU reference.
fn devices() -> Option<[Device; 2]> {
    Some([common::gpu()?, Device::cpu()])
}

/// A heartbeat keeps running during everything that takes long: finding and opening the adapter,
/// tuning, training, evaluating, reading.
#[test]
fn nothing_blocks_the_thread() {
    let Some(devices) = devices() else { return };
    let data = wgrad::data::load_mnist(common::MNIST).unwrap();
    for device in devices {
        on_one_thread(async {
            if let Some(name) = device.adapter().map(gpu::Adapter::name) {
                let found = Device::gpu(Some(name));
                beside_a_heartbeat("finding", found).await.unwrap();
            }
            let model = common::tutorial_model();
            let config = config(Planning::Fused(Effort::Full));
            let new = Trainer::new(&device, &model, &data, config);
            let making = format!("{device}, making");
            let mut trainer = beside_a_heartbeat(&making, new).await.unwrap();
            let training = trainer.train_epoch(|_| {});
            beside_a_heartbeat("training", training).await.unwrap();
            let evaluating = trainer.evaluate(Split::Test);
            beside_a_heartbeat("evaluating", evaluating).await.unwrap();
            let reading = trainer.checkpoint();
            beside_a_heartbeat("reading", reading).await.unwrap();
        });
    }
}

/// Timeouts fire on time. The trainer left behind has a checkpoint that records its position, and
/// ends with the same bits as an undisturbed one.
#[test]
fn a_trainer_keeps_its_position_when_a_future_is_dropped() {
    let Some(devices) = devices() else { return };
    for device in devices {
        on_one_thread(async {
            let planning = || Planning::Fused(Effort::Off);
            let mut whole = trainer(&device, planning()).await;
            whole.train_epoch(|_| {}).await.unwrap();
            let expected = whole.checkpoint().await.unwrap();

            let mut dropped = trainer(&device, planning()).await;
            let (mut timeouts, mut within) = (0, 0);
            while dropped.epochs() == 0 {
                let after = Duration::from_millis([30, 200][timeouts % 2]);
                let begun = Instant::now();
                let training = dropped.train_epoch(|_| {});
                if tokio::time::timeout(after, training).await.is_err() {
                    timeouts += 1;
                    let late = begun.elapsed() - after;
                    assert!(late < LONGEST, "{late:?} late");
                }
                // Evaluating must not change the position.
                if timeouts == 1 {
                    let evaluation = dropped.evaluate(Split::Test);
                    let after = Duration::from_millis(5);
                    let _ = tokio::time::timeout(after, evaluation).await;
                }
                let checkpoint = dropped.checkpoint().await.unwrap();
                within += usize::from(checkpoint.metadata["step"] != "0");
                if timeouts == 3 {
                    // Another trainer continues from the checkpoint.
                    let mut other = trainer(&device, planning()).await;
                    other.restore(&checkpoint).unwrap();
                    dropped = other;
                }
            }
            println!("{device}: {timeouts} timeouts, {within} checkpoints within the epoch");
            assert!(timeouts > 0 && within > 0);
            let found = dropped.checkpoint().await.unwrap();
            assert_eq!(found.metadata, expected.metadata);
            assert!(found.tensors == expected.tensors, "the bits differ");
        });
    }
}

/// Two threads train on one GL device, with steps longer than the six seconds that wgpu waits for
/// the GL context they share.
#[test]
fn slow_steps_on_two_threads() {
    let Some(device) = common::gpu() else { return };
    if device.adapter().unwrap().backend() != "gl" {
        eprintln!("SKIPPED: only GL's devices share a context");
        return;
    }
    let train = |width: usize, batch_size: usize| {
        let model = Sequential::new()
            .with(Flatten)
            .with(Linear::new(width))
            .with(Linear::new(2));
        let training = Training::new([width], Loss::Mse(Reduction::Mean), Sgd::new(0.1))
            .batch_size(batch_size)
            .accumulate(false);
        let device = device.clone();
        move || {
            wgrad::block_on(async {
                let mut session = Session::new(&device, &model, &training, 0).await?;
                let images = vec![0.5; width * batch_size];
                session.set_batch(&images, &vec![1; batch_size])?;
                let begun = Instant::now();
                session.forward()?;
                let loss = session.loss().await?;
                Ok::<_, wgrad::Error>((begun.elapsed(), loss))
            })
        }
    };
    // Grow the batch until a step takes more than six seconds; machine speed fluctuates.
    let mut batch = 64;
    loop {
        let (took, expected) = train(1024, batch)().unwrap();
        if took > Duration::from_secs(7) {
            let threads = [(); 2].map(|()| std::thread::spawn(train(1024, batch)));
            let steps = threads.map(|thread| thread.join().expect("no panic").unwrap());
            println!("batch {batch}: {steps:?}");
            assert!(steps.iter().all(|(_, loss)| *loss == expected));
            if steps.iter().all(|(took, _)| *took > Duration::from_secs(6)) {
                break;
            }
        }
        let missing = (10.0 / took.as_secs_f64()).clamp(1.25, 16.0);
        batch = (batch as f64 * missing) as usize;
    }
}

fn is_send<T: Send>(_: T) {}

fn is_send_and_sync<T: Send + Sync>() {}

/// Never called: the test is that it compiles.
#[allow(dead_code)]
async fn every_future_is_send(device: &'static Device, trainer: &'static mut Trainer) {
    let model = common::tutorial_model();
    let data = common::random_data(1, 1);
    is_send(Device::auto());
    is_send(Device::gpu(None));
    is_send(Device::all());
    is_send(gpu::enumerate(wgrad::wgpu::Backends::all()));
    is_send(device.load(trainer.plan().clone()));
    is_send(Trainer::new(
        device,
        &model,
        &data,
        config(Planning::default()),
    ));
    is_send(trainer.train_epoch(|_| {}));
    is_send(trainer.train_until(|_| std::ops::ControlFlow::Continue(())));
    is_send(trainer.evaluate(Split::Test));
    is_send(trainer.checkpoint());
    let plan = trainer.plan().clone();
    let mut notices = Notices::default();
    let training = Training::new(data.sample.clone(), Loss::CrossEntropy, Sgd::new(0.1))
        .batch_size(1)
        .accumulate(false);
    let graph = Graph::training(&model, &training).unwrap();
    is_send(tune::choose(device, &graph, Effort::Quick, &mut notices));
    let tensor = plan.port(Port::Parameters).unwrap();
    let executor = trainer.executor();
    is_send(executor.read(tensor));
    is_send(executor.read_words(tensor));
    is_send(executor.run(&[], &[]).unwrap().wait());
    let step = wgrad::ops::Step::new(0, 1, 0, 0.1);
    if let wgrad::executor::Executor::Gpu(executor) = executor {
        is_send(executor.profile(&[], &step));
        is_send(executor.time_ops(&[], &step));
        is_send(verify::lockstep(executor, &[], &step));
    }
    is_send(gpu::Executor::new(device.adapter().unwrap(), plan.into()));
    is_send(verify::fuzz(device, 0, 1));
    is_send(verify::differentiate(device, 0, 1));
    let subject = verify::built_in().remove(0);
    is_send(verify::drift(device, &subject, 0, 1));
    let options = verify::Options::default();
    is_send(verify::adapter(device, &options));
    is_send(verify::model(device, &subject, &options));
}

#[allow(dead_code)]
async fn every_future_of_a_session_is_send(device: &'static Device, training: &'static Training) {
    let model = Sequential::new();
    is_send(Session::new(device, &model, training, 0));
    let mut session = Session::new(device, &model, training, 0).await.unwrap();
    is_send(session.loss());
    is_send(session.metrics());
    is_send(session.read("logits"));
}

#[test]
fn public_types_are_send_and_sync() {
    is_send_and_sync::<Device>();
    is_send_and_sync::<Trainer>();
    is_send_and_sync::<Session>();
    is_send_and_sync::<wgrad::executor::Executor>();
    is_send_and_sync::<wgrad::executor::Pending>();
    is_send_and_sync::<wgrad::ops::StepMetrics>();
    is_send_and_sync::<gpu::Executor>();
    is_send_and_sync::<gpu::Adapter>();
    is_send_and_sync::<wgrad::cpu::Executor>();
    is_send_and_sync::<wgrad::Checkpoint>();
    is_send_and_sync::<Config>();
    is_send_and_sync::<Planning>();
    is_send_and_sync::<wgrad::Progress>();
    is_send_and_sync::<wgrad::EpochReport>();
    is_send_and_sync::<Split>();
    is_send_and_sync::<wgrad::Error>();
    is_send_and_sync::<Loss>();
    is_send_and_sync::<Sgd>();
    is_send_and_sync::<Notices>();
    is_send_and_sync::<Sequential>();
    is_send_and_sync::<Training>();
    is_send_and_sync::<tune::Choices>();
    is_send_and_sync::<wgrad::plan::Plan>();
    is_send_and_sync::<wgrad::plan::Builder>();
    is_send_and_sync::<wgrad::data::Dataset>();
    is_send_and_sync::<Box<dyn wgrad::ops::Op>>();
    is_send_and_sync::<wgrad::ops::case::Case>();
    is_send_and_sync::<wgrad::ops::ErrorBound>();
    is_send_and_sync::<verify::OutputReport>();
}
