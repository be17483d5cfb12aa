//! Normalisation of images.

use std::fmt;
use std::str::FromStr;

use crate::data::{Source, read};
use crate::error::{Error, Result};
use crate::graph::{self, Module, Var};
use crate::plan::Element;

/// `(input − mean) / deviation`, with a mean and a standard deviation for each channel. As the first
/// layer of a model it is part of the model, and so of its checkpoints; or a
/// [`Config`](crate::Config) puts it before one.
///
/// ```
/// use wgrad::nn::Normalize;
/// let layer = Normalize::new([0.5], [0.25]);
/// assert_eq!(layer.to_string(), "Normalize(mean 0.5, deviation 0.25)");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Normalize(graph::Normalize);

impl Normalize {
    /// Means and deviations of images from 0 to 1, a value for each channel.
    pub fn new(means: impl Into<Vec<f32>>, deviations: impl Into<Vec<f32>>) -> Self {
        Normalize(graph::Normalize {
            means: means.into(),
            deviations: deviations.into(),
        })
    }

    /// Means and deviations of a source's samples, (C, …), computed from all of them. A channel
    /// without deviation keeps its scale.
    ///
    /// # Errors
    /// A sample cannot be read.
    pub fn of(source: &dyn Source) -> Result<Self> {
        let input = source.input();
        let channels = input.shape.dims().first().copied().unwrap_or(1).max(1);
        let area = (input.shape.elements() / channels).max(1);
        // A sum and a sum of squares for each channel: exact for bytes.
        let mut sums = vec![[0f64; 2]; channels];
        let piece = ((1 << 21) / input.bytes().max(1)).max(1);
        for first in (0..source.len()).step_by(piece) {
            let end = source.len().min(first + piece);
            let samples: Vec<u32> = (first as u32..end as u32).collect();
            let [inputs, _] = read(source, &samples)?;
            let mut add = |index: usize, value: f64| {
                let [sum, squares] = &mut sums[index / area % channels];
                *sum += value;
                *squares += value * value;
            };
            match input.element {
                Element::U8 => {
                    let bytes = inputs.iter().enumerate();
                    bytes.for_each(|(index, &byte)| add(index, byte.into()));
                }
                Element::F32 | Element::U32 => {
                    let (words, _) = inputs.as_chunks();
                    let words = words.iter().enumerate();
                    words.for_each(|(index, &word)| add(index, f32::from_le_bytes(word).into()));
                }
            }
        }
        let unit = if input.element == Element::U8 {
            255.0
        } else {
            1.0
        };
        let count = (source.len() * area) as f64;
        let both = sums.into_iter().map(|[sum, squares]| {
            let mean = sum / count;
            let variance = (squares / count - mean * mean).max(0.0);
            let deviation = (variance.sqrt() / unit) as f32;
            let deviation = if deviation > 1e-6 { deviation } else { 1.0 };
            ((mean / unit) as f32, deviation)
        });
        let (means, deviations): (Vec<f32>, Vec<f32>) = both.unzip();
        Ok(Normalize::new(means, deviations))
    }

    /// As text: `mean 0.5, deviation 0.25`.
    pub(crate) fn options(&self) -> String {
        graph::Function::options(&self.0)
    }

    /// The mean of each channel.
    pub fn means(&self) -> &[f32] {
        &self.0.means
    }

    /// The standard deviation of each channel.
    pub fn deviations(&self) -> &[f32] {
        &self.0.deviations
    }
}

impl fmt::Display for Normalize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Normalize({})", self.options())
    }
}

impl Module for Normalize {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        input.layer(self.0.clone(), &[], &[])
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}

impl FromStr for Normalize {
    type Err = Error;

    /// Parses what a checkpoint holds: `mean 0.5, deviation 0.25`.
    fn from_str(text: &str) -> Result<Self> {
        let found = graph::Normalize::parse(text).map(Normalize);
        let expected = "`mean …, deviation …`";
        found.ok_or_else(|| Error::value("normalization", expected, format!("`{text}`")))
    }
}

/// A model of normalised images: the images are normalised before it, and its own names stay.
#[derive(Debug)]
pub(crate) struct Normalized<'a> {
    pub model: &'a dyn Module,
    pub normalize: Normalize,
}

impl Module for Normalized<'_> {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        self.model
            .forward(input.function(self.normalize.0.clone(), &[])?)
    }

    fn describe(&self) -> String {
        self.model.describe()
    }
}
