//! A custom layer, with its gradient, built from the library's ops.

mod common;

use std::process::ExitCode;

use common::say;
use wgrad::graph::{Function, Parameter, Site};
use wgrad::nn::{Linear, Module, Sequential, Training, Var};
use wgrad::ops::{Gemm, Operand};
use wgrad::plan::Init;
use wgrad::shape::Shape;
use wgrad::{Device, Error, Loss, Result, Session, Sgd};

/// `output = input × weightᵀ × weight`: (N, F) projected onto D directions and reconstructed from
/// them. Input and output (N, F), weight (D, F).
#[derive(Debug, Clone)]
struct Tied {
    directions: usize,
}

/// The layer as a module: its tensors.
impl Module for Tied {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        let fan_in = input.shape().dims()[1];
        let init = Init::he_normal(fan_in);
        let weight = Parameter::trained("weight", [self.directions, fan_in], init);
        input.layer(self.clone(), &[], &[weight])
    }
}

/// The layer as a function of its input (0) and its weight (1).
impl Function for Tied {
    fn name(&self) -> &'static str {
        "tied"
    }

    fn output_shape(&self, at: &str, inputs: &[&Shape]) -> Result<Shape> {
        if inputs[0].dims().len() != 2 {
            return Err(Error::Shape {
                at: at.to_owned(),
                expected: "(N, F)".to_owned(),
                got: inputs[0].to_string(),
            });
        }
        Ok(inputs[0].clone())
    }

    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let (to_code, from_code, _) = products(site);
        let (input, weight) = (site.input(0)?, site.input(1)?);
        let [n, d] = [to_code.m, to_code.n];
        let code = site.plan().activation("code", [n, d])?;
        let output = site.make_output()?;
        site.forward(to_code, &[input, weight], &[code])?;
        site.forward(from_code, &[code, weight], &[output])
    }

    /// `d_code = d_output × weightᵀ`, `d_weight = codeᵀ × d_output + d_codeᵀ × input`,
    /// `d_input = d_code × weight`.
    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let (to_code, from_code, to_weight) = products(site);
        let (input, weight, code) = (site.input(0)?, site.input(1)?, site.plan().own("code")?);
        let d_output = site.d_output()?;
        let [n, d] = [to_code.m, to_code.n];
        let d_code = site.plan().scratch("d_code", [n, d])?;
        site.backward(to_code, &[d_output, weight], &[d_code])?;

        let (d_weight, accumulate) = site.d_parameter(1)?;
        let first = Gemm {
            accumulate,
            ..to_weight.clone()
        };
        let second = Gemm {
            accumulate: true,
            ..to_weight
        };
        site.backward(first, &[code, d_output], &[d_weight])?;
        site.backward(second, &[d_code, input], &[d_weight])?;

        // There is no gradient for the batch itself, which nothing needs.
        match site.d_input(0)? {
            Some(d_input) => site.backward(from_code, &[d_code, weight], &[d_input]),
            None => Ok(()),
        }
    }
}

/// (N, F) × weightᵀ, (N, D) × weight, and (N, D)ᵀ × (N, F).
fn products(site: &Site<'_, '_>) -> (Gemm, Gemm, Gemm) {
    let (input, weight) = (site.shape(0).dims(), site.shape(1).dims());
    let [n, d, f] = [input[0], weight[0], weight[1]];
    let (plain, transposed) = (Operand::PLAIN, Operand::TRANSPOSED);
    (
        Gemm::new(1, [n, d, f], plain, transposed),
        Gemm::new(1, [n, f, d], plain, plain),
        Gemm::new(1, [d, f, n], transposed, plain),
    )
}

fn main() -> ExitCode {
    common::run(check())
}

/// Checks the gradient against a central difference: in the gradient's direction the loss rises by
/// its square.
async fn check() -> Result<()> {
    let model = Sequential::new()
        .with(Linear::new(6))
        .with(Tied { directions: 3 })
        .with(Linear::new(2));
    let training = Training::new([4], Loss::CrossEntropy, Sgd::new(0.1)).batch_size(8);
    let device = Device::auto().await?;
    let mut session = Session::new(&device, &model, &training, 0).await?;
    let batch: Vec<f32> = (0..32).map(|i| (i * i % 11) as f32 / 11.0).collect();
    session.set_batch(&batch, &[0, 1, 1, 0, 1, 0, 0, 1])?;
    session.forward()?;
    session.loss().await?;
    session.backward()?;
    let gradient = session.read("1.d_weight").await?;
    let square: f64 = gradient.iter().map(|&d| f64::from(d * d)).sum();

    let weight = session.read("1.weight").await?;
    let mut losses = Vec::new();
    for step in [0.05, -0.05] {
        let along = weight.iter().zip(&gradient);
        let moved: Vec<f32> = along.map(|(w, d)| w + step * d).collect();
        session.write("1.weight", &moved)?;
        session.forward()?;
        losses.push(session.loss().await?);
    }
    let rise = (losses[0] - losses[1]) / 0.1;
    say!("the loss rises by {rise:.5}, the gradient's square is {square:.5}")?;
    match (rise - square).abs() < 0.01 * square {
        true => Ok(()),
        false => Err(Error::value("rise of the loss", square.to_string(), rise)),
    }
}
