//! Verification as a user runs it: a right adapter passes, a wrong kernel is named.

mod common;

use std::fmt;

use wgrad::nn::{Around, Conv2d, Flatten, Layer, Linear, MaxPool2d, ReLU, Sequential};
use wgrad::ops::case::Floats;
use wgrad::ops::{
    Args, Bindings, Cost, Element, Elements, ErrorBound, Loads, Op, ReluForward, Shader,
};
use wgrad::plan::{Builder, Phase, TensorId};
use wgrad::verify::{self, Options, Subject, built_in};
use wgrad::{Device, Result};

/// Fewer rounds than the example's, more in total over its four models.
fn options() -> Options {
    Options {
        seed: 1,
        rounds: 6,
        steps: 20,
        networks: 1,
    }
}

#[test]
fn this_adapter_is_right() {
    let Some(device) = common::gpu() else { return };
    let report = wgrad::block_on(verify::adapter(&device, &options())).unwrap();
    assert!(report.is_right(), "{report}");
    assert_eq!(report.models.len(), built_in().len());
    // Every family of ops has cases, and those with adjoints have gradients.
    let subgroups = device
        .adapter()
        .is_some_and(|adapter| adapter.has_subgroups());
    let cases = verify::cases(1, 6, Floats::Hostile);
    let can_run = cases
        .iter()
        .filter(|(_, case)| subgroups || !case.op.needs_subgroups());
    let outputs = can_run.map(|(_, case)| case.outputs.len());
    assert_eq!(report.ops.len(), outputs.sum::<usize>());
    let gradients: std::collections::BTreeSet<_> = report.gradients.iter().map(|g| g.op).collect();
    for op in [
        "im2col",
        "col2im",
        "gemm",
        "batch_norm_backward_sums",
        "bias_backward",
        "relu_backward",
        "max_pool_backward",
        "max_pool_backward_all",
        "mse",
        "cross_entropy",
    ] {
        assert!(
            gradients.contains(op),
            "{op} is not differentiated: {gradients:?}"
        );
    }
    // Freely running, the adapter and the reference part by roundings only.
    for model in &report.models {
        assert!(model.drift.loss < 1e-5, "{}: {:?}", model.name, model.drift);
    }
    let text = report.to_string();
    assert!(
        text.contains("Every result is within its bound.") && !text.contains("WRONG"),
        "{text}"
    );
}

#[test]
fn the_reference_is_no_adapter_to_verify() {
    let error = wgrad::block_on(verify::adapter(&Device::cpu(), &options())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "verification: expected an adapter, got the CPU reference"
    );
}

/// ReLU with a part of its kernel replaced: `!= 0` for `> 0` lets negative numbers pass.
#[derive(Debug, Clone)]
struct WrongRelu(ReluForward, &'static str);

impl Op for WrongRelu {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn shader(&self) -> Shader {
        let text = self.0.shader().source(Loads::Narrow);
        Shader::new(
            &[],
            Box::leak(text.replace("> 0;", self.1).into_boxed_str()),
        )
    }
    fn bindings(&self) -> Bindings {
        self.0.bindings()
    }
    fn constants(&self) -> Vec<(&'static str, f64)> {
        self.0.constants()
    }
    fn invocations(&self) -> u64 {
        self.0.invocations()
    }
    fn longest_loop(&self) -> u64 {
        self.0.longest_loop()
    }
    fn cost(&self) -> Cost {
        self.0.cost()
    }
    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        self.0.element(args, output, index)
    }
    fn reference(&self, args: &mut Args<'_>) {
        self.0.reference(args);
    }
    fn error_bounds(&self, args: &Args<'_>) -> Vec<ErrorBound> {
        self.0.error_bounds(args)
    }
}

#[derive(Debug)]
struct WrongReluLayer;

impl fmt::Display for WrongReluLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrong ReLU")
    }
}

impl Layer for WrongReluLayer {
    fn stem(&self) -> &'static str {
        "wrong"
    }

    fn forward(&self, plan: &mut Builder, input: TensorId) -> Result<TensorId> {
        let shape = plan.get(input).shape.clone();
        let len = shape.elements();
        let op = WrongRelu(ReluForward { len }, "!= 0;");
        let output = plan.activation("output", shape)?;
        plan.op(Phase::Forward, op, &[input], &[output])?;
        Ok(output)
    }

    fn backward(&self, plan: &mut Builder, around: Around) -> Result<Option<TensorId>> {
        ReLU.backward(plan, around)
    }
}

/// One wrong kernel in the middle of a model: it is named, and nothing that follows it is.
#[test]
fn in_a_model_only_the_wrong_op_is_named() {
    let Some(device) = common::gpu() else { return };
    let model = Sequential::new()
        .with(Conv2d::new(1, 4, 3))
        .with(WrongReluLayer)
        .with(MaxPool2d::new(2))
        .with(Flatten)
        .with(Linear::new(10));
    let training = built_in().remove(0).training;
    let subject = Subject {
        name: "wrong".to_owned(),
        model,
        training,
        fused: None,
    };
    let report = wgrad::block_on(verify::model(&device, &subject, &options())).unwrap();
    let wrong: Vec<_> = report
        .outputs
        .iter()
        .filter(|output| !output.is_right())
        .collect();
    assert!(!wrong.is_empty());
    for output in wrong {
        assert_eq!(
            (output.op, output.tensor.as_str()),
            ("relu_forward", "wrong1.output")
        );
        assert!(output.at.1 < 0.0 && output.at.2 == 0.0, "{output:?}");
    }
}

/// A kernel that the compiler refuses is an error on one line, by the kernel's name.
#[test]
fn a_kernel_that_does_not_compile_is_named() {
    let Some(device) = common::gpu() else { return };
    let mut plan = Builder::new(false);
    let input = plan.activation("input", [4]).unwrap();
    let output = plan.activation("output", [4]).unwrap();
    let op = WrongRelu(ReluForward { len: 4 }, "> nothing;");
    plan.op(Phase::Forward, op, &[input], &[output]).unwrap();
    let error = wgrad::block_on(device.load(plan.finish()))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("compiling kernel `relu_forward`: "),
        "{error}"
    );
    assert!(
        error.contains("nothing") && !error.contains('\n'),
        "{error}"
    );
}
