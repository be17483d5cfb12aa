//! A custom op: `leak.wgsl` is its kernel, `leak.rs` defines its launch and its reference. Here a
//! layer uses it, and both are verified on this adapter.

#[path = "../common/mod.rs"]
mod common;
mod leak;

use std::process::ExitCode;

use common::say;
use leak::Leak;
use wgrad::graph::{Function, Site};
use wgrad::nn::{Conv2d, Flatten, Linear, Module, Sequential, Training, Var};
use wgrad::shape::Shape;
use wgrad::verify::{self, Options, Subject};
use wgrad::{Device, Error, Loss, Result, Sgd};

/// `x` where it is above zero, else `slope · x`.
#[derive(Debug, Clone)]
struct LeakyReLU {
    slope: f32,
}

impl Module for LeakyReLU {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        input.layer(self.clone(), &[], &[])
    }
}

impl Function for LeakyReLU {
    fn name(&self) -> &'static str {
        "leaky_relu"
    }

    fn output_shape(&self, _at: &str, inputs: &[&Shape]) -> Result<Shape> {
        Ok(inputs[0].clone())
    }

    /// The input is its own gate.
    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let (input, output) = (site.input(0)?, site.make_output()?);
        site.forward(self.op(site), &[input, input], &[output])
    }

    /// The gradient uses the same gate.
    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let (input, d_output) = (site.input(0)?, site.d_output()?);
        match site.d_input(0)? {
            Some(d_input) => site.backward(self.op(site), &[input, d_output], &[d_input]),
            None => Ok(()),
        }
    }
}

impl LeakyReLU {
    fn op(&self, site: &Site<'_, '_>) -> Leak {
        Leak {
            len: site.output_shape().elements(),
            slope: self.slope,
        }
    }
}

fn main() -> ExitCode {
    common::run(check())
}

async fn check() -> Result<()> {
    // An adapter, not the CPU reference, which is what the kernel is compared with.
    let device = Device::gpu(None).await?;
    say!("{device}")?;

    // The op alone: random sizes, hostile inputs, its gradient against central differences.
    let options = Options {
        rounds: 10,
        ..Options::default()
    };
    let alone = verify::ops(&device, leak::cases, &options).await?;
    if let Some(wrong) = alone.gradients.iter().find(|found| !found.passes()) {
        let expected = wrong.difference.to_string();
        return Err(Error::value("gradient of leak", expected, wrong.gradient));
    }

    // A model that uses it: every op of its plan, on its inputs in two training steps.
    let model = Sequential::new()
        .with(Conv2d::new(1, 3, 3))
        .with(LeakyReLU { slope: 0.01 })
        .with(Flatten)
        .with(Linear::new(5));
    let subject = Subject {
        name: "leaky".to_owned(),
        model: Box::new(model),
        training: Training::new([1, 9, 8], Loss::CrossEntropy, Sgd::new(0.05))
            .batch_size(4)
            .accumulate(false),
        fused: None,
    };
    let in_model = verify::model(&device, &subject, &options).await?;
    for found in alone.outputs.iter().chain(&in_model.outputs) {
        let (index, got, expected) = found.at;
        if !found.passes() {
            let what = format!("element {index} of {}", found.tensor);
            return Err(Error::value(what, expected.to_string(), got));
        }
    }
    let own = in_model.outputs.iter().filter(|found| found.op == "leak");
    say!("in a model: {} outputs of leak are right", own.count())?;
    let (outputs, gradients) = (alone.outputs.len(), alone.gradients.len());
    say!("alone: {outputs} outputs and {gradients} gradients are right")
}
