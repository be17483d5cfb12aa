//! Normalisation by a mean and a standard deviation for each channel.

use super::text::Options;
use super::{Function, Site};
use crate::error::{Error, Result};
use crate::ops;
use crate::shape::Shape;

/// `output = (input − mean) / deviation`, with a mean and a standard deviation for each channel of
/// (N, C, …).
#[derive(Debug, Clone, PartialEq)]
pub struct Normalize {
    /// The mean of each channel.
    pub means: Vec<f32>,
    /// The standard deviation of each channel.
    pub deviations: Vec<f32>,
}

impl Normalize {
    /// Parses `mean 0.5 0.4, deviation 0.25 0.2`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let options = Options::read(text)?;
        Some(Normalize {
            means: options.list("mean")?,
            deviations: options.list("deviation")?,
        })
    }

    pub(super) fn read(options: &Options<'_>) -> Option<Box<dyn Function>> {
        let (means, deviations) = (options.list("mean")?, options.list("deviation")?);
        Some(Box::new(Normalize { means, deviations }))
    }

    /// The op for (N, C, …).
    fn op(shape: &Shape) -> ops::Normalize {
        let dims = shape.dims();
        ops::Normalize {
            rows: dims[0],
            channels: dims[1],
            area: dims[2..].iter().product(),
        }
    }

    /// The kernel's factors.
    fn factors(&self) -> Vec<f32> {
        let factors = self.deviations.iter();
        factors.map(|&deviation| 1.0 / deviation).collect()
    }
}

impl Function for Normalize {
    fn name(&self) -> &'static str {
        "normalize"
    }

    fn options(&self) -> String {
        let list = |values: &[f32]| {
            let values: Vec<String> = values.iter().map(f32::to_string).collect();
            values.join(" ")
        };
        format!(
            "mean {}, deviation {}",
            list(&self.means),
            list(&self.deviations)
        )
    }

    fn is_one_op(&self) -> bool {
        true
    }

    fn output_shape(&self, at: &str, inputs: &[&Shape]) -> Result<Shape> {
        let channels = inputs[0].dims().get(1).copied().unwrap_or(0);
        for (what, values) in [("means", &self.means), ("deviations", &self.deviations)] {
            if values.len() != channels {
                let expected = format!("{channels}, one for each channel of {}", inputs[0]);
                return Err(Error::value(
                    format!("{at}: {what}"),
                    expected,
                    values.len(),
                ));
            }
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return Err(Error::value(
                    format!("{at}: {what}"),
                    "finite numbers",
                    value,
                ));
            }
        }
        if let Some(value) = self
            .deviations
            .iter()
            .find(|value| **value < f32::MIN_POSITIVE)
        {
            return Err(Error::value(
                format!("{at}: deviations"),
                "numbers above 0",
                value,
            ));
        }
        Ok(inputs[0].clone())
    }

    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let op = Normalize::op(site.output_shape());
        let means = site.plan().constant("means", self.means.clone())?;
        let factors = site.plan().constant("factors", self.factors())?;
        let (input, output) = (site.input(0)?, site.make_output()?);
        site.forward(op, &[input, means, factors], &[output])
    }

    /// `d_input = d_output / deviation`.
    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let op = Normalize::op(site.output_shape());
        let d_output = site.d_output()?;
        let Some(d_input) = site.d_input(0)? else {
            return Ok(());
        };
        let zeros = site.plan().constant("zeros", vec![0.0; op.channels])?;
        let factors = site.plan().own("factors")?;
        site.backward(op, &[d_output, zeros, factors], &[d_input])
    }
}
