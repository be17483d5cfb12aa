//! Trains phase by phase, like PyTorch's loops: forward, loss, backward, step, zero_grad.

mod common;

use std::process::ExitCode;

use common::say;
use wgrad::nn::{Training, models};
use wgrad::{Device, Loss, Result, Session, Sgd, data};

/// Batch size.
const BATCH: usize = 32;

fn main() -> ExitCode {
    common::run(train())
}

async fn train() -> Result<()> {
    let data = data::load_mnist("data/mnist")?;
    let sgd = Sgd::new(0.05).momentum(0.9);
    let training = Training::new(data.sample.clone(), Loss::CrossEntropy, sgd).batch_size(BATCH);
    let device = Device::auto().await?;
    let mut session = Session::new(&device, &models::tutorial(1), &training, 0).await?;
    for step in 0..60 {
        let rows = step * BATCH..(step + 1) * BATCH;
        let images = data.train.floats(rows.clone())?;
        session.set_batch(&images, &data.train.classes(rows)?)?;
        session.forward()?;
        let metrics = session.metrics().await?; // the loss phase; `loss` gives the loss alone
        session.backward()?;
        if step % 20 == 0 {
            // Any tensor of the plan can be read by name.
            let gradient = session.read("0.d_weight").await?;
            let norm = gradient.iter().map(|d| d * d).sum::<f32>().sqrt();
            say!(
                "step {step}: loss {:.4}, {} of {BATCH} right, gradient of 0.weight {norm:.4}",
                metrics.loss_sum / metrics.rows as f64,
                metrics.correct
            )?;
        }
        session.step()?;
        session.zero_grad()?;
    }
    session.forward()?;
    say!("loss of the last batch {:.4}", session.loss().await?)
}
