//! Inference with a trained model: logits, probabilities and classes of images, by a plan without
//! gradients.

use std::collections::BTreeMap;

use crate::device::Device;
use crate::error::{Error, Result};
use crate::executor::Executor;
use crate::graph::{Graph, Module, Source, Weights};
use crate::nn::Normalized;
use crate::notices::Notices;
use crate::ops::Step;
use crate::plan::{Element, Phase, Port, TensorId};
use crate::shape::Shape;
use crate::train::{Checkpoint, predictions};
use crate::tune::{self, Effort};

/// The batch sizes of the plans, which are loaded on first use: a call uses the smallest that holds
/// its images, or the largest several times.
const ROWS: [usize; 3] = [1, 16, 256];

/// A trained model on a device, for inference.
///
/// ```
/// use wgrad::data::{Dataset, Samples};
/// use wgrad::nn::{Flatten, Linear, Sequential};
/// use wgrad::{Config, Device, Loss, Predictor, Sgd, Trainer};
///
/// # fn main() -> wgrad::Result<()> { wgrad::block_on(async {
/// # let samples = |n: usize| Samples {
/// #     images: (0..n * 64).map(|i| if i / 64 % 2 == 0 { 20 } else { 220 }).collect(),
/// #     labels: (0..n).map(|i| (i % 2) as u8).collect(),
/// # };
/// # let data = Dataset::new([1, 8, 8], 2, samples(64), samples(8))?;
/// let model = Sequential::new().with(Flatten).with(Linear::new(2));
/// let config = Config::new(Loss::CrossEntropy, Sgd::new(0.05));
/// let device = Device::cpu();
/// let mut trainer = Trainer::new(&device, &model, &data, config).await?;
/// for _ in 0..20 {
///     trainer.train_epoch(|_| {}).await?;
/// }
/// // A checkpoint says what its model is: no model is needed to use it.
/// let mut predictor = Predictor::from_checkpoint(&device, &trainer.checkpoint().await?)?;
/// let (dark, bright) = ([20.0 / 255.0; 64], [220.0 / 255.0; 64]);
/// assert_eq!(predictor.classes(&[dark, bright].concat()).await?, [0, 1]);
/// # Ok(()) }) }
/// ```
#[derive(Debug)]
pub struct Predictor {
    device: Device,
    graph: Graph,
    weights: Weights,
    loaded: BTreeMap<usize, Loaded>,
    notices: Notices,
}

/// A plan in the device's memory.
#[derive(Debug)]
struct Loaded {
    executor: Executor,
    images: TensorId,
    logits: TensorId,
}

impl Predictor {
    /// The model of a trainer's checkpoint, which describes it.
    ///
    /// # Errors
    /// The checkpoint has no model, or one with functions that are not this crate's (use
    /// [`Predictor::new`]); or its tensors do not match the model.
    pub fn from_checkpoint(device: &Device, checkpoint: &Checkpoint) -> Result<Self> {
        Predictor::from_graph(device, &checkpoint.graph()?, checkpoint)
    }

    /// `model` on images of shape `sample`, with the weights of a checkpoint, matched by the names
    /// of the parameters, as in PyTorch's `state_dict`; images are normalised if a checkpoint says so.
    ///
    /// # Errors
    /// The model does not fit the images, or the tensors do not match the model.
    pub fn new(
        device: &Device,
        model: &dyn Module,
        sample: impl Into<Shape>,
        weights: &Checkpoint,
    ) -> Result<Self> {
        let normalized = weights
            .normalization()?
            .map(|normalize| Normalized { model, normalize });
        let model = normalized
            .as_ref()
            .map_or(model, |model| model as &dyn Module);
        Predictor::from_graph(device, &Graph::inference(model, sample, 1)?, weights)
    }

    /// A graph, with the weights of a checkpoint: that of a whole model, or a part of it
    /// ([`Graph::until`]), whose output need not be logits.
    ///
    /// # Errors
    /// The tensors do not match the graph's.
    pub fn from_graph(device: &Device, graph: &Graph, weights: &Checkpoint) -> Result<Self> {
        let mut own = Weights::new();
        for id in graph.values() {
            let value = graph.value(id);
            // Counters of batches are not weights.
            let is_float = !matches!(value.source, Source::State(Element::U32 | Element::U8, _));
            if !value.source.is_of_model() || !is_float {
                continue;
            }
            let found = weights.tensors.get(&value.name);
            let (shape, values) = found.ok_or_else(|| {
                let expected = format!("{} {}", value.name, value.shape);
                Error::value("weights", expected, "no such tensor")
            })?;
            if *shape != value.shape || values.len() != shape.elements() {
                return Err(Error::Shape {
                    at: format!("weights: {}", value.name),
                    expected: value.shape.to_string(),
                    got: format!("{shape} of {} values", values.len()),
                });
            }
            own.insert(value.name.clone(), (shape.clone(), values.clone()));
        }
        let graph = graph.fold(&mut own)?;
        Ok(Predictor {
            device: device.clone(),
            graph,
            weights: own,
            loaded: BTreeMap::new(),
            notices: weights.notices.clone(),
        })
    }

    /// Notices for the user, one line each: weights that were rounded when loaded, for example.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The shape of an image: (C, H, W) or (F).
    pub fn sample(&self) -> Shape {
        Shape::new(&self.graph.value(self.graph.images()).shape.dims()[1..])
    }

    /// The shape of an image's output: (classes), or any.
    pub fn output(&self) -> Shape {
        Shape::new(&self.graph.value(self.graph.logits()).shape.dims()[1..])
    }

    /// Number of classes: the first extent of an image's output.
    pub fn class_count(&self) -> usize {
        self.output().dims()[0]
    }

    /// The output of each image, logits for a classifier: an array of the shape
    /// [`Predictor::output`]. `images` is a concatenation of whole images, scaled as in training: bytes over 255.
    ///
    /// # Errors
    /// `images` does not consist of whole images; or the device was lost, reported a fault, or has
    /// not enough memory for the model.
    pub async fn logits(&mut self, images: &[f32]) -> Result<Vec<f32>> {
        let (len, row_len) = (self.sample().elements(), self.output().elements());
        if !images.len().is_multiple_of(len) {
            let expected = format!("a multiple of {len} values, those of {}", self.sample());
            return Err(Error::value("images", expected, images.len()));
        }
        let count = images.len() / len;
        let fits = ROWS.into_iter().find(|&rows| rows >= count);
        let rows = fits.unwrap_or(ROWS[ROWS.len() - 1]);
        let mut all = Vec::with_capacity(count * row_len);
        for part in images.chunks(rows * len) {
            let loaded = self.load(rows).await?;
            let mut batch = part.to_vec();
            batch.resize(rows * len, 0.0);
            loaded.executor.write(loaded.images, &batch)?;
            let step = Step::new(0, (part.len() / len) as u32, 0, 0.0);
            loaded.executor.begin(&[Phase::Infer], &[step]).await?;
            let logits = loaded.executor.read(loaded.logits).await?;
            all.extend_from_slice(&logits[..part.len() / len * row_len]);
        }
        Ok(all)
    }

    /// The logits, if all are finite: others do not tell a class.
    async fn finite_logits(&mut self, images: &[f32]) -> Result<Vec<f32>> {
        let logits = self.logits(images).await?;
        match logits.iter().position(|logit| !logit.is_finite()) {
            None => Ok(logits),
            Some(at) => {
                let what = format!("logits of image {}", at / self.output().elements());
                Err(Error::value(what, "finite numbers", logits[at]))
            }
        }
    }

    /// The softmax of each image's logits: a row of probabilities that add up to 1.
    ///
    /// # Errors
    /// As [`Predictor::logits`]; a logit is infinite or NaN, since the weights or the image are; or
    /// the output is not (N, classes).
    pub async fn probabilities(&mut self, images: &[f32]) -> Result<Vec<f32>> {
        let output = self.output();
        if output.dims().len() != 1 {
            let expected = "logits (N, classes)";
            return Err(Error::value(
                "probabilities",
                expected,
                format!("an output of {output}"),
            ));
        }
        let mut rows = self.finite_logits(images).await?;
        for row in rows.chunks_mut(self.class_count()) {
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let powers = row.iter().map(|&logit| f64::from(logit - largest).exp());
            let powers: Vec<f64> = powers.collect();
            let sum: f64 = powers.iter().sum();
            for (probability, power) in row.iter_mut().zip(powers) {
                *probability = (power / sum) as f32;
            }
        }
        Ok(rows)
    }

    /// The class of each image, or of each of its pixels if the output is (N, classes, …): the
    /// largest logit, the first if several tie.
    ///
    /// # Errors
    /// As [`Predictor::logits`]; or a logit is infinite or NaN.
    pub async fn classes(&mut self, images: &[f32]) -> Result<Vec<usize>> {
        let logits = self.finite_logits(images).await?;
        let output = &self.graph.value(self.graph.logits()).shape;
        Ok(predictions(&logits, output, self.class_count()).collect())
    }

    /// Loads the plan of `rows` rows, with the model's weights, on first use.
    async fn load(&mut self, rows: usize) -> Result<&mut Loaded> {
        if !self.loaded.contains_key(&rows) {
            let (graph, notices) = (self.graph.with_rows(rows)?, &mut self.notices);
            let choices = tune::choose(&self.device, &graph, Effort::Off, notices);
            let plan = choices.await?.apply(&self.device, &graph, notices)?;
            let mut executor = self.device.load_noting(plan, notices).await?;
            let plan = executor.plan().clone();
            for (name, (_, values)) in &self.weights {
                executor.write(plan.find(name)?, values)?;
            }
            let (images, logits) = (plan.port(Port::Images)?, plan.port(Port::Logits)?);
            let loaded = Loaded {
                executor,
                images,
                logits,
            };
            self.loaded.insert(rows, loaded);
        }
        let loaded = self.loaded.get_mut(&rows);
        loaded.ok_or_else(|| Error::value("predictor", "a plan", "none"))
    }
}
