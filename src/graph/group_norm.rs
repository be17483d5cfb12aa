//! Normalisation within samples: of groups of channels, and of the last extents.

use super::text::Options;
use super::{Function, Site};
use crate::error::{Error, Result};
use crate::ops::{
    BatchNormMoments, GroupNormBackwardInput, GroupNormBackwardRuns, GroupNormBackwardSums,
    GroupNormForward, GroupNormStatistics, Op, ReduceSum, Runs,
};
use crate::plan::TensorId;
use crate::shape::Shape;

/// `output = (input − mean) / √(variance + eps) · weight + bias` with the mean and variance of each
/// group of channels of each sample (Wu and He, 2018, arXiv:1803.08494), for an input (N, C, …).
/// Inputs: `input`, and `weight` (C) and `bias` (C), or neither.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupNorm {
    /// Number of groups, which divides C.
    pub groups: usize,
    /// Added to the variance, above zero.
    pub eps: f32,
}

/// The same with the mean and variance over the last extents (Ba, Kiros and Hinton, 2016,
/// arXiv:1607.06450). Inputs: `input`, and `weight` and `bias` of the shape of the last extents, or
/// neither.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNorm {
    /// The last extents: not the batch.
    pub shape: Shape,
    /// Added to the variance, above zero.
    pub eps: f32,
}

/// The names of the tensors that `forward` keeps for `backward`.
const MEAN: &str = "mean";
const INVERSE_DEVIATION: &str = "inverse_deviation";

impl GroupNorm {
    pub(super) fn read(options: &Options<'_>) -> Option<Box<dyn Function>> {
        Some(Box::new(GroupNorm {
            groups: options.get("groups")?,
            eps: options.get("eps")?,
        }))
    }

    fn runs(&self, at: &str, input: &Shape, affine: bool) -> Result<Runs> {
        check_eps(at, self.eps)?;
        let &[rows, channels, ref plane @ ..] = input.dims() else {
            return Err(Error::Shape {
                at: at.to_owned(),
                expected: "(N, C, H, W) or (N, C)".to_owned(),
                got: input.to_string(),
            });
        };
        if self.groups == 0 || channels % self.groups != 0 {
            let expected = format!("a divisor of {channels} channels");
            let what = format!("{at}: groups");
            return Err(Error::value(what, expected, self.groups));
        }
        let area = Shape::new(plane).elements();
        let len = (channels / self.groups).saturating_mul(area);
        Ok(Runs {
            runs: rows.saturating_mul(self.groups),
            len,
            area: if affine { area } else { len },
            weights: affine.then_some(channels),
        })
    }
}

impl LayerNorm {
    pub(super) fn read(options: &Options<'_>) -> Option<Box<dyn Function>> {
        let shape: String = options.get("shape")?;
        let dims = shape.split('×').map(|dim| dim.parse().ok());
        Some(Box::new(LayerNorm {
            shape: Shape::new(dims.collect::<Option<Vec<usize>>>()?),
            eps: options.get("eps")?,
        }))
    }

    fn runs(&self, at: &str, input: &Shape, affine: bool) -> Result<Runs> {
        check_eps(at, self.eps)?;
        let (dims, last) = (input.dims(), self.shape.dims());
        if last.is_empty() || last.len() >= dims.len() || !dims.ends_with(last) {
            let last: Vec<String> = last.iter().map(usize::to_string).collect();
            return Err(Error::Shape {
                at: at.to_owned(),
                expected: format!("(N, …, {})", last.join(", ")),
                got: input.to_string(),
            });
        }
        let len = self.shape.elements();
        Ok(Runs {
            runs: input.elements() / len,
            len,
            area: if affine { 1 } else { len },
            weights: affine.then_some(len),
        })
    }
}

fn check_eps(at: &str, eps: f32) -> Result<()> {
    if eps > 0.0 && eps.is_finite() {
        return Ok(());
    }
    let what = format!("{at}: eps");
    Err(Error::value(what, "a finite number above 0", eps))
}

/// Weight and bias, or the means in their places, which the ops then ignore.
fn weights(site: &Site<'_, '_>, mean: TensorId) -> Result<[TensorId; 2]> {
    match site.inputs() {
        1 => Ok([mean; 2]),
        _ => Ok([site.input(1)?, site.input(2)?]),
    }
}

/// The statistics of each run, from the moments of its parts, and the normalisation with them.
fn forward(site: &mut Site<'_, '_>, runs: Runs, eps: f32) -> Result<()> {
    let input = site.input(0)?;
    let moments = BatchNormMoments {
        rows: 1,
        channels: runs.runs,
        area: runs.len,
    };
    let parts = moments.bindings().outputs[0].words;
    let means = site.plan().scratch("means", [parts])?;
    let squares = site.plan().scratch("squares", [parts])?;
    site.forward(moments, &[input], &[means, squares])?;
    let mean = site.plan().activation(MEAN, [runs.runs])?;
    let inverse = site.plan().activation(INVERSE_DEVIATION, [runs.runs])?;
    let statistics = GroupNormStatistics { runs, eps };
    site.forward(statistics, &[means, squares], &[mean, inverse])?;
    let [weight, bias] = weights(site, mean)?;
    let output = site.make_output()?;
    let read = [input, mean, inverse, weight, bias];
    site.forward(GroupNormForward { runs }, &read, &[output])
}

/// The sums over areas, of which the gradients of weight and bias and those over runs are sums, and
/// `d_input` from these: the statistics depend on every element of a run.
fn backward(site: &mut Site<'_, '_>, runs: Runs) -> Result<()> {
    let (input, d_output) = (site.input(0)?, site.d_output()?);
    let (mean, inverse) = (site.plan().own(MEAN)?, site.plan().own(INVERSE_DEVIATION)?);
    let [weight, _] = weights(site, mean)?;
    let op = GroupNormBackwardSums { runs };
    let parts = op.bindings().outputs[0].words;
    let d_bias_partials = site.plan().scratch("d_bias_partials", [parts])?;
    let d_weight_partials = site.plan().scratch("d_weight_partials", [parts])?;
    let partials = [d_bias_partials, d_weight_partials];
    site.backward(op, &[input, d_output, mean, inverse], &partials)?;
    if runs.weights.is_some() {
        add_areas(site, runs, 2, d_bias_partials)?;
        add_areas(site, runs, 1, d_weight_partials)?;
    }
    let Some(d_input) = site.d_input(0)? else {
        return Ok(());
    };
    let sums = site.plan().scratch("sums", [2 * runs.runs])?;
    let read = [d_bias_partials, d_weight_partials, weight];
    site.backward(GroupNormBackwardRuns { runs }, &read, &[sums])?;
    let read = [input, d_output, mean, inverse, weight, sums];
    site.backward(GroupNormBackwardInput { runs }, &read, &[d_input])
}

/// The gradient of a parameter, input `parameter`: the sums over all areas of each weight.
fn add_areas(
    site: &mut Site<'_, '_>,
    runs: Runs,
    parameter: usize,
    partials: TensorId,
) -> Result<()> {
    let (gradient, accumulate) = site.d_parameter(parameter)?;
    let weights = site.shape(parameter).elements();
    let (parts, of_area) = (site.plan().get(partials).words(), runs.parts_of_area());
    let rows = ReduceSum::new(parts / (weights * of_area), weights * of_area);
    if of_area == 1 {
        let rows = ReduceSum { accumulate, ..rows };
        return site.backward(rows, &[partials], &[gradient]);
    }
    let name = if parameter == 1 {
        "d_weight_parts"
    } else {
        "d_bias_parts"
    };
    let of_rows = site.plan().scratch(name, [weights, of_area])?;
    site.backward(rows, &[partials], &[of_rows])?;
    let all = ReduceSum {
        accumulate,
        ..ReduceSum::of_groups(weights, of_area, 1)
    };
    site.backward(all, &[of_rows], &[gradient])
}

impl Function for GroupNorm {
    fn name(&self) -> &'static str {
        "group_norm"
    }

    fn options(&self) -> String {
        format!("groups {}, eps {}", self.groups, self.eps)
    }

    fn output_shape(&self, at: &str, inputs: &[&Shape]) -> Result<Shape> {
        self.runs(at, inputs[0], inputs.len() > 1)?;
        let channels = Shape::from([inputs[0].dims()[1]]);
        check_weights(at, inputs, &channels)
    }

    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let runs = self.runs("", site.shape(0), site.inputs() > 1)?;
        forward(site, runs, self.eps)
    }

    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let runs = self.runs("", site.shape(0), site.inputs() > 1)?;
        backward(site, runs)
    }
}

impl Function for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn options(&self) -> String {
        let dims: Vec<String> = self.shape.dims().iter().map(usize::to_string).collect();
        format!("shape {}, eps {}", dims.join("×"), self.eps)
    }

    fn output_shape(&self, at: &str, inputs: &[&Shape]) -> Result<Shape> {
        self.runs(at, inputs[0], inputs.len() > 1)?;
        check_weights(at, inputs, &self.shape)
    }

    fn forward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let runs = self.runs("", site.shape(0), site.inputs() > 1)?;
        forward(site, runs, self.eps)
    }

    fn backward(&self, site: &mut Site<'_, '_>) -> Result<()> {
        let runs = self.runs("", site.shape(0), site.inputs() > 1)?;
        backward(site, runs)
    }
}

/// The shape of the output, if there are no weights, or weight and bias of `shape`.
fn check_weights(at: &str, inputs: &[&Shape], shape: &Shape) -> Result<Shape> {
    match inputs[1..] {
        [] => Ok(inputs[0].clone()),
        [weight, bias] if weight == shape && bias == shape => Ok(inputs[0].clone()),
        _ => {
            let got: Vec<String> = inputs[1..].iter().map(|input| input.to_string()).collect();
            Err(Error::Shape {
                at: at.to_owned(),
                expected: format!("weight and bias of {shape}, or neither"),
                got: got.join(" and "),
            })
        }
    }
}
