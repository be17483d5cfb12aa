//! A report as JSON.

use serde_json::{Value, json};
use wgrad::verify::{GradientReport, ModelReport, NetworkReport, OutputReport, Report};

pub fn of_report(report: &Report) -> Value {
    json!({
        "adapter": report.adapter,
        "right": report.passes(),
        "models": Value::from_iter(report.models.iter().map(model)),
        "ops": Value::from_iter(report.ops.iter().map(output)),
        "gradients": Value::from_iter(report.gradients.iter().map(gradient)),
        "large": Value::from_iter(report.large.iter().map(output)),
        "networks": Value::from_iter(report.networks.iter().map(network)),
        "long": Value::from_iter(report.long.iter().map(network)),
    })
}

fn network(report: &NetworkReport) -> Value {
    let outputs = report.outputs.iter().flatten();
    json!({
        "network": report.network,
        "kinds": report.kinds,
        "outputs": Value::from_iter(outputs.map(output)),
        "refused": report.outputs.as_ref().err(),
        "right": report.passes(),
    })
}

pub fn model(model: &ModelReport) -> Value {
    json!({
        "model": model.name,
        "outputs": Value::from_iter(model.outputs.iter().map(output)),
        "drift": {
            "steps": model.drift.steps,
            "loss": model.drift.loss,
            "parameters": model.drift.parameters,
            "largest_parameter": model.drift.largest_parameter,
        },
    })
}

/// JSON has no infinity: an output that must be equal and differs has errors of `null`.
fn output(report: &OutputReport) -> Value {
    let (index, got, expected) = report.at;
    json!({
        "op": report.op,
        "tensor": report.tensor,
        "shape": report.shape,
        "ulp": report.ulp,
        "error_ratio": report.error_ratio,
        "at": { "index": index, "got": got, "expected": expected },
        "right": report.passes(),
    })
}

fn gradient(report: &GradientReport) -> Value {
    json!({
        "op": report.op,
        "of": report.of,
        "by": report.by,
        "gradient": report.gradient,
        "difference": report.difference,
        "error_ratio": report.error_ratio(),
        "right": report.passes(),
    })
}
