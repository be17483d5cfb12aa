//! One model op by op, in its readable plan and with each kernel of its convolutions.

use serde_json::Value;
use wgrad::expand::Strategy;
use wgrad::nn::{ModelFile, Training};
use wgrad::verify::{self, ModelReport, Options, OutputReport, Subject};
use wgrad::{Device, Loss, Result, Sgd};

use super::json;
use crate::common::say;

/// Images of a step.
const BATCH: usize = 8;

/// A model on an adapter.
pub struct Verified {
    adapter: String,
    models: Vec<ModelReport>,
}

impl Verified {
    /// Whether every output is within its bound.
    pub fn passes(&self) -> bool {
        self.models.iter().all(ModelReport::passes)
    }
}

/// Verifies the model of that name, or of that file, on each device.
///
/// # Errors
/// There is no such model, or a device was lost or reported a fault.
pub async fn verify(name: &str, devices: &[Device], options: &Options) -> Result<Vec<Verified>> {
    let file = ModelFile::find(name)?;
    let mut verified = Vec::new();
    for device in devices {
        let mut models = Vec::new();
        let strategies = Strategy::OF_CONVOLUTION.into_iter().map(Some);
        for fused in [None].into_iter().chain(strategies) {
            let plan = fused.map_or("readable".to_owned(), |kernel| format!("fused, {kernel}"));
            let training = Training::new(
                file.input().clone(),
                Loss::CrossEntropy,
                Sgd::new(0.01).momentum(0.9),
            );
            let subject = Subject {
                name: format!("{name}, {plan}"),
                model: Box::new(file.clone()),
                training: training.batch_size(BATCH).accumulate(false),
                fused,
            };
            let report = verify::model(device, &subject, options).await?;
            say!("{}", line(&report, device))?;
            models.push(report);
        }
        verified.push(Verified {
            adapter: device.to_string(),
            models,
        });
    }
    Ok(verified)
}

fn line(report: &ModelReport, device: &Device) -> String {
    let (name, all) = (&report.name, report.outputs.len());
    let wrong: Vec<&OutputReport> = report
        .outputs
        .iter()
        .filter(|output| !output.passes())
        .collect();
    match wrong.first() {
        None => format!(
            "{name}: {all} outputs of ops are right; after {} steps the loss differs by {:.1e} \
             from the reference's, on {device}",
            report.drift.steps, report.drift.loss
        ),
        Some(first) => format!(
            "{name}: {} of {all} outputs are WRONG, the first {} of {}, on {device}",
            wrong.len(),
            first.tensor,
            first.op
        ),
    }
}

/// Every figure.
pub fn json(verified: &[Verified]) -> Value {
    let devices = verified.iter().map(|verified| {
        serde_json::json!({
            "adapter": verified.adapter,
            "right": verified.passes(),
            "models": Value::from_iter(verified.models.iter().map(json::model)),
        })
    });
    Value::from_iter(devices)
}
