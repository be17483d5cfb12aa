//! Verification as a user runs it: a correct adapter passes, a wrong kernel is named.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use crate::common::{self, altered::Altered};
use wgrad::graph::{Function, Relu, Site};
use wgrad::nn::{Conv2d, Flatten, Linear, MaxPool2d, Module, Sequential, Var};
use wgrad::ops::ReluForward;
use wgrad::ops::case::Floats;
use wgrad::plan::{Builder, Phase};
use wgrad::shape::Shape;
use wgrad::verify::{self, Options, Report, Subject, built_in};
use wgrad::{Device, Result};

/// Other cases than the example's; `WGRAD_VERIFY_ROUNDS` sets their number per op. Random networks
/// are in `tests/verification/large.rs`.
fn options() -> Options {
    let rounds = std::env::var("WGRAD_VERIFY_ROUNDS").ok();
    let rounds = rounds.map(|text| text.parse().expect("a number of rounds"));
    Options {
        seed: 1,
        rounds: rounds.unwrap_or(Options::default().rounds),
        networks: 0,
        ..Options::default()
    }
}

/// The verification report of the adapter under test, shared by several tests.
fn report(device: &Device) -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| wgrad::block_on(verify::adapter(device, &options())).unwrap())
}

#[test]
fn the_adapter_under_test_passes() {
    let Some(device) = common::gpu() else { return };
    let report = report(&device);
    assert!(report.passes(), "{report}");
    assert_eq!(report.models.len(), built_in().len());
    // Every family of ops has cases, and ops with adjoints are differentiated.
    let subgroups = device
        .adapter()
        .is_some_and(|adapter| adapter.has_subgroups());
    let cases = verify::cases(1, options().rounds, Floats::Hostile);
    let can_run = cases
        .iter()
        .filter(|(_, case)| subgroups || !case.op.launch().needs_subgroups);
    let outputs = can_run.map(|(_, case)| case.outputs.len());
    assert_eq!(report.ops.len(), outputs.sum::<usize>());
    let gradients: BTreeSet<_> = report.gradients.iter().map(|g| g.op).collect();
    for op in [
        "im2col",
        "col2im",
        "gemm",
        "batch_norm_backward_sums",
        "bias_backward",
        "relu_backward",
        "max_pool_backward",
        "max_pool_backward_all",
        "avg_pool_forward",
        "avg_pool_backward",
        "dropout",
        "mse",
        "cross_entropy",
    ] {
        assert!(
            gradients.contains(op),
            "{op} is not differentiated: {gradients:?}"
        );
    }
    // Running independently, the adapter and the reference diverge by rounding only.
    for model in &report.models {
        assert!(model.drift.loss < 1e-5, "{}: {:?}", model.name, model.drift);
    }
    let text = report.to_string();
    assert!(
        text.contains("Every result is within its bound.") && !text.contains("WRONG"),
        "{text}"
    );
    let named = report
        .ops
        .iter()
        .filter_map(|output| output.tensor.rsplit_once('.'));
    let run: BTreeSet<&str> = named.map(|(case, _)| case).collect();
    let counted = format!(
        "checked: {} models, {} random cases",
        report.models.len(),
        run.len()
    );
    assert!(text.contains(&counted), "{text}");
}

#[test]
fn every_op_is_right_at_large_sizes() {
    let Some(device) = common::gpu() else { return };
    let reports = &report(&device).large;
    for report in reports {
        assert!(report.passes(), "{report:?}");
    }
    let ops: BTreeSet<&str> = reports.iter().map(|report| report.op).collect();
    println!(
        "{device}: {} outputs of {} kernels",
        reports.len(),
        ops.len()
    );
    // Without subgroups six kernels are skipped.
    assert!(ops.len() >= 30, "{ops:?}");
}

#[test]
fn verifying_the_cpu_reference_is_refused() {
    let error = wgrad::block_on(verify::adapter(&Device::cpu(), &options())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "verification: expected an adapter, got the CPU reference"
    );
}

/// ReLU with its comparison replaced: `!= 0` for `> 0` lets negative numbers pass.
fn wrong_relu(len: usize, test: &str) -> Altered {
    let relu = Altered::new(Box::new(ReluForward { len }));
    relu.kernel("> 0;", |text| text.replace("> 0;", test))
}

#[derive(Debug, Clone)]
struct WrongRelu;

impl Module for WrongRelu {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        input.layer(WrongRelu, &[], &[])
    }
}

impl Function for WrongRelu {
    fn name(&self) -> &'static str {
        "wrong"
    }

    fn output_shape(&self, _: &str, inputs: &[&Shape]) -> Result<Shape> {
        Ok(inputs[0].clone())
    }

    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let len = site.output_shape().elements();
        let op = wrong_relu(len, "!= 0;");
        let (input, output) = (site.input(0)?, site.make_output()?);
        site.forward(op, &[input], &[output])
    }

    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        Relu.backward(site)
    }
}

/// One wrong kernel in the middle of a model: it is named, and none after it.
#[test]
fn in_a_model_only_the_wrong_op_is_named() {
    let Some(device) = common::gpu() else { return };
    let model = Sequential::new()
        .with(Conv2d::new(1, 4, 3))
        .with(WrongRelu)
        .with(MaxPool2d::new(2))
        .with(Flatten)
        .with(Linear::new(10));
    let training = built_in().remove(0).training;
    let subject = Subject {
        name: "wrong".to_owned(),
        model: Box::new(model),
        training,
        fused: None,
    };
    let report = wgrad::block_on(verify::model(&device, &subject, &options())).unwrap();
    let wrong: Vec<_> = report
        .outputs
        .iter()
        .filter(|output| !output.passes())
        .collect();
    assert!(!wrong.is_empty());
    for output in wrong {
        assert_eq!(
            (output.op, output.tensor.as_str()),
            ("relu_forward", "1.output")
        );
        assert!(output.at.1 < 0.0 && output.at.2 == 0.0, "{output:?}");
    }
}

/// A kernel that fails to compile is a one-line error that names it.
#[test]
fn a_kernel_that_does_not_compile_is_named() {
    let Some(device) = common::gpu() else { return };
    let mut plan = Builder::new(false);
    let input = plan.activation("input", [4]).unwrap();
    let output = plan.activation("output", [4]).unwrap();
    let op = wrong_relu(4, "> nothing;");
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
