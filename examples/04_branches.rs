//! A custom model: a struct of layers whose `forward` connects them.

mod common;

use std::process::ExitCode;

use common::say;
use wgrad::nn::{Conv2d, Linear, MaxPool2d, Module, Var};
use wgrad::{Adam, Config, Device, Loss, Result, Split, Trainer, data};

/// Two branches with different filter sizes, and a shortcut around both.
#[derive(Debug)]
struct Branches {
    stem: Conv2d,
    narrow: Conv2d,
    wide: Conv2d,
    fc: Linear,
}

impl Branches {
    fn new() -> Self {
        Branches {
            stem: Conv2d::new(1, 8, 5).stride(2).padding(2),
            narrow: Conv2d::new(8, 8, 3).padding(1),
            wide: Conv2d::new(8, 8, 5).padding(2),
            fc: Linear::new(10),
        }
    }
}

impl Module for Branches {
    /// A `Var` names a value and may be read any number of times: gradients are added. Layer names
    /// are the prefixes of tensor names: `stem.weight`.
    fn forward<'g>(&self, x: Var<'g>) -> Result<Var<'g>> {
        let x = x.apply("stem", &self.stem)?.relu()?;
        let x = x.apply("pool", &MaxPool2d::new(2))?;
        let narrow = x.apply("narrow", &self.narrow)?;
        let wide = x.apply("wide", &self.wide)?;
        let x = narrow.add(wide)?.add(x)?.relu()?;
        x.flatten()?.apply("fc", &self.fc)
    }
}

fn main() -> ExitCode {
    common::run(train())
}

async fn train() -> Result<()> {
    let data = data::load_mnist("data/mnist")?.with_train_len(3200)?;
    let config = Config::new(Loss::CrossEntropy, Adam::new(0.005));
    let device = Device::auto().await?;
    let mut trainer = Trainer::new(&device, &Branches::new(), &data, config).await?;
    for (_, parameter) in trainer.plan().parameters() {
        say!("{} {}", parameter.name, parameter.shape)?;
    }
    trainer.train_epoch(|_progress| {}).await?;
    let report = trainer.evaluate(Split::Test).await?;
    say!("test accuracy {:.4}", report.accuracy)
}
