//! Ops that are not this crate's, verified as its own are.

use super::{GradientReport, Options, OutputReport, fuzz, gradients};
use crate::device::Device;
use crate::error::Result;
use crate::ops::case::{Case, Floats, Random};

/// What verification found of some ops.
#[derive(Debug, Clone)]
pub struct OpsReport {
    /// Each output of each case, on hostile inputs.
    pub outputs: Vec<OutputReport>,
    /// Each gradient of each case, against central differences.
    pub gradients: Vec<GradientReport>,
}

impl OpsReport {
    /// Whether every output and every gradient is within its bound.
    pub fn passes(&self) -> bool {
        self.outputs.iter().all(OutputReport::passes)
            && self.gradients.iter().all(GradientReport::passes)
    }
}

/// As [`fuzz`](super::fuzz()) and [`differentiate`](super::differentiate), of ops of your own:
/// `draw` makes cases of each, of random sizes, and says which ops compute their gradients; it is
/// asked for so many rounds.
///
/// # Errors
/// A device that is no adapter, is lost or reports a fault; a wrong result is no error but a
/// report.
pub async fn ops(
    device: &Device,
    draw: impl Fn(&mut Random) -> Vec<Case>,
    options: &Options,
) -> Result<OpsReport> {
    let cases = |floats| {
        let mut random = Random::new(options.seed, floats);
        let cases = (0..options.rounds).flat_map(|_| draw(&mut random));
        let numbered = cases.enumerate();
        let named = numbered.map(|(number, case)| (format!("own.{number}"), case));
        named.collect::<Vec<_>>()
    };
    let outputs = fuzz::compare(device, cases(Floats::Hostile)).await?;
    let gradients = gradients::compare(device, options.seed, cases(Floats::Spaced)).await?;
    Ok(OpsReport { outputs, gradients })
}
