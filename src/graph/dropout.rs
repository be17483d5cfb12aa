//! Dropout.

use super::text::Options;
use super::{Function, Site};
use crate::error::{Error, Result};
use crate::ops;
use crate::shape::Shape;

/// In training each element is zero with probability `probability`, and divided by
/// `1 − probability` otherwise (Srivastava et al., 2014); in inference it is the identity. The
/// dropped elements depend only on the run's seed, the step's number and the node's index in the
/// graph, so they are the same on every device and after a resume.
#[derive(Debug, Clone, PartialEq)]
pub struct Dropout {
    /// In [0, 1).
    pub probability: f32,
    /// Whether whole planes of (N, C, …) are dropped (Tompson et al., 2015), instead of elements.
    pub planes: bool,
}

impl Dropout {
    pub(super) fn read(options: &Options<'_>) -> Option<Box<dyn Function>> {
        let probability = options.get("probability")?;
        Some(Box::new(Dropout {
            probability,
            planes: false,
        }))
    }

    pub(super) fn read_planes(options: &Options<'_>) -> Option<Box<dyn Function>> {
        let probability = options.get("probability")?;
        Some(Box::new(Dropout {
            probability,
            planes: true,
        }))
    }

    /// The same op forward and backward: dropped elements have no gradient.
    fn op(&self, site: &Site<'_, '_>) -> ops::Dropout {
        let shape = site.output_shape();
        ops::Dropout {
            rows: shape.dims()[0],
            len: Shape::new(&shape.dims()[1..]).elements(),
            probability: self.probability,
            area: match self.planes {
                true => Shape::new(&shape.dims()[2..]).elements(),
                false => 1,
            },
            stream: site.node().0 as u32,
        }
    }
}

impl Function for Dropout {
    fn name(&self) -> &'static str {
        if self.planes { "dropout2d" } else { "dropout" }
    }

    fn options(&self) -> String {
        format!("probability {}", self.probability)
    }

    fn is_one_op(&self) -> bool {
        true
    }

    fn output_shape(&self, at: &str, inputs: &[&Shape]) -> Result<Shape> {
        if !(0.0..1.0).contains(&self.probability) {
            let what = format!("{at}: probability");
            return Err(Error::value(what, "0 to below 1", self.probability));
        }
        if self.planes && inputs[0].dims().len() < 3 {
            return Err(Error::Shape {
                at: at.to_owned(),
                expected: "(N, C, H, W)".to_owned(),
                got: inputs[0].to_string(),
            });
        }
        Ok(inputs[0].clone())
    }

    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let input = site.input(0)?;
        if !site.trains() {
            let shape = site.output_shape().clone();
            let output = site.plan().view(input, "output", shape)?;
            site.set_output(output);
            return Ok(());
        }
        let op = self.op(site);
        let output = site.make_output()?;
        site.train(op.clone(), &[input], &[output])?;
        let nothing = ops::Dropout {
            probability: 0.0,
            ..op
        };
        site.infer(nothing, &[input], &[output])
    }

    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let (op, d_output) = (self.op(site), site.d_output()?);
        match site.d_input(0)? {
            Some(d_input) => site.backward(op, &[d_output], &[d_input]),
            None => Ok(()),
        }
    }
}
