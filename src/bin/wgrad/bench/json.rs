//! The measurements as JSON: seconds, bytes, operations, and rates per second.

use serde_json::{Map, Value, json};
use wgrad::Result;

use super::ceilings::Ceilings;
use super::measure::{Clock, KernelTime, Training};
use super::products::Timed;
use super::{Measured, Run};

pub fn of_device(measured: &Measured) -> Value {
    json!({
        "device": measured.device,
        "ceilings": ceilings(&measured.ceilings),
        "runs": Value::from_iter(measured.runs.iter().map(run)),
        "products": Value::from_iter(measured.products.iter().map(product)),
    })
}

fn ceilings(ceilings: &Ceilings) -> Value {
    let scaled = |measured: &Result<f64>, unit: f64| match measured {
        Ok(value) => json!(value * unit),
        Err(error) => json!({ "error": error.to_string() }),
    };
    json!({
        "copy_bytes_per_second": scaled(&ceilings.copy, 1e9),
        "flop_per_second": scaled(&ceilings.multiply_add, 1e9),
        "dispatch_seconds": scaled(&ceilings.dispatch, 1e-6),
    })
}

fn product(product: &Timed) -> Value {
    let kernels = product.kernels.iter().map(|(kernel, time)| match time {
        Ok(time) => json!({ "kernel": kernel, "seconds": time.as_secs_f64() }),
        Err(error) => json!({ "kernel": kernel, "error": error.to_string() }),
    });
    json!({
        "product": product.extents.to_string(),
        "flop": product.flop(),
        "kernels": Value::from_iter(kernels),
    })
}

fn run(run: &Run) -> Value {
    let mut fields = match &run.training {
        Ok(measured) => training(measured),
        Err(error) => Map::from_iter([("error".to_owned(), json!(error.to_string()))]),
    };
    fields.insert("model".to_owned(), json!(run.model.name()));
    fields.insert("width".to_owned(), json!(run.width));
    fields.insert("batch".to_owned(), json!(run.batch));
    fields.into()
}

fn training(training: &Training) -> Map<String, Value> {
    let clock = match training.clock {
        Clock::Timestamps => "timestamps",
        Clock::Repeats => "repeats",
        Clock::Reference => "reference",
    };
    let fields = [
        ("images_per_second", json!(training.images_per_second())),
        ("step_seconds", json!(training.step.as_secs_f64())),
        (
            "predicted_seconds",
            json!(training.predicted.map(|time| time.as_secs_f64())),
        ),
        ("dispatches", json!(training.dispatches)),
        ("plan_bytes", json!(training.bytes)),
        ("flop", json!(training.cost.flop)),
        ("bytes", json!(training.cost.bytes)),
        ("clock", json!(clock)),
        (
            "kernels",
            Value::from_iter(training.kernels.iter().map(kernel)),
        ),
    ];
    let named = fields.into_iter();
    named
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn kernel(kernel: &KernelTime) -> Value {
    json!({
        "kernel": kernel.name,
        "calls": kernel.calls,
        "seconds": kernel.time.as_secs_f64(),
        "flop": kernel.cost.flop,
        "bytes": kernel.cost.bytes,
    })
}
