//! Training by hand, phase by phase, as in the tutorial's loop.

use crate::device::Device;
use crate::error::{Error, Result};
use crate::executor::Executor;
use crate::graph::{Graph, Module, Training};
use crate::loss::Loss;
use crate::memory;
use crate::ops::{Step, StepMetrics};
use crate::optim::{Optimizer, check_rate};
use crate::plan::{Phase, Plan, Port, TensorId};
use crate::shape::Shape;
use crate::target::{Array, Target};

/// What has been computed of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    NoBatch,
    Batch,
    Inferred,
    Forward,
    Loss,
}

/// A model in a device's memory, driven by its owner: `set_batch`, `forward`, `loss`, `backward`,
/// `step`, `zero_grad`, in this order; a [`Trainer`](crate::Trainer) runs whole epochs by itself.
/// The learning rate is the optimizer's, unless [`Session::set_learning_rate`] changes it.
///
/// ```
/// use wgrad::nn::{Linear, ReLU, Sequential, Training};
/// use wgrad::{Device, Loss, Reduction, Session, Sgd};
///
/// # fn main() -> wgrad::Result<()> { wgrad::block_on(async {
/// let model = Sequential::new().with(Linear::new(8)).with(ReLU).with(Linear::new(2));
/// let training = Training::new([2], Loss::Mse(Reduction::Mean), Sgd::new(0.1)).batch_size(4);
/// let mut session = Session::new(&Device::cpu(), &model, &training, 0).await?;
/// let xor = [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
/// session.set_batch(&xor, &[0, 1, 1, 0])?;
/// let mut losses = Vec::new();
/// for _ in 0..300 {
///     session.forward()?;
///     losses.push(session.loss().await?);
///     session.backward()?;
///     session.step()?;
///     session.zero_grad()?;
/// }
/// assert!(losses[299] < 0.2 * losses[0], "{losses:?}");
/// # Ok(()) }) }
/// ```
#[derive(Debug)]
pub struct Session {
    executor: Executor,
    loss: Loss,
    output: Shape,
    target: Target,
    images: TensorId,
    step: Step,
    optimizer: Optimizer,
    updates: u64,
    progress: Progress,
    has_gradients: bool,
}

impl Session {
    /// Records `model`, loads it into the device and draws its parameters.
    ///
    /// # Errors
    /// As [`Graph::training`], [`Graph::readable`] and [`Device::load`].
    pub async fn new(
        device: &Device,
        model: &dyn Module,
        training: &Training,
        seed: u64,
    ) -> Result<Self> {
        let graph = Graph::training(model, training)?;
        let (plan, target) = (graph.readable()?, graph.target());
        let images = plan.port(Port::Images)?;
        let output = plan.tensor(plan.port(Port::Logits)?).shape.clone();
        let mut executor = device.load(plan).await?;
        executor.initialise(seed)?;
        Ok(Session {
            executor,
            loss: training.loss.clone(),
            output,
            target,
            images,
            step: Step::new(
                0,
                training.batch_size as u32,
                0,
                training.optimizer.learning_rate(),
            )
            .seed(seed)
            .scalars(training.optimizer.scalars(0)),
            optimizer: training.optimizer,
            updates: 0,
            progress: Progress::NoBatch,
            has_gradients: false,
        })
    }

    /// The plan that it runs.
    pub fn plan(&self) -> &Plan {
        self.executor.plan()
    }

    /// The executor that holds the model; reads and writes its tensors.
    pub fn executor(&mut self) -> &mut Executor {
        &mut self.executor
    }

    /// Writes a batch: `images` (rows × sample) and the class of each row, or of each pixel of each
    /// row. Fewer rows than the batch size are a smaller batch, computed exactly.
    ///
    /// # Errors
    /// There are no rows or more than the batch size, images and labels differ in number, a label is
    /// not a class, or the targets are not classes.
    pub fn set_batch(&mut self, images: &[f32], labels: &[u32]) -> Result<()> {
        let Target::Classes(array, classes) = self.target.clone() else {
            return Err(Error::value("targets", self.target.to_string(), "classes"));
        };
        if let Some(label) = labels.iter().find(|&&label| label as usize >= classes) {
            return Err(Error::value("label", format!("below {classes}"), label));
        }
        self.write_batch(images, Some((&array, labels)))
    }

    /// Like [`Session::set_batch`], with numbers as targets (rows × the shape of a target); none if
    /// the target is the input.
    ///
    /// # Errors
    /// There are no rows or more than the batch size, images and targets differ in number, or the
    /// targets are classes.
    pub fn set_numbers(&mut self, images: &[f32], targets: &[f32]) -> Result<()> {
        match self.target.clone() {
            Target::Classes(..) => Err(Error::value("targets", self.target.to_string(), "numbers")),
            Target::Numbers(array) => {
                self.write_batch(images, Some((&array, bytemuck::cast_slice(targets))))
            }
            Target::Input if targets.is_empty() => self.write_batch(images, None),
            Target::Input => {
                let expected = "none beside the input";
                Err(Error::value("targets", expected, targets.len()))
            }
        }
    }

    /// Writes images and the words of their targets.
    fn write_batch(&mut self, images: &[f32], targets: Option<(&Array, &[u32])>) -> Result<()> {
        let shape = &self.plan().tensor(self.images).shape;
        let (batch, len) = (shape.dims()[0], shape.elements() / shape.dims()[0]);
        let rows = match targets {
            Some((array, targets)) => targets.len().div_ceil(array.shape.elements()),
            None => images.len().div_ceil(len),
        };
        if rows == 0 || rows > batch {
            return Err(Error::value("batch", format!("1 to {batch} rows"), rows));
        }
        if images.len() != rows * len {
            let expected = format!("{} values, {rows} rows of {len}", rows * len);
            return Err(Error::value("batch images", expected, images.len()));
        }
        if let Some((array, targets)) = targets {
            let each = array.shape.elements();
            if targets.len() != rows * each {
                let expected = format!("{} values, {rows} rows of {each}", rows * each);
                return Err(Error::value("batch targets", expected, targets.len()));
            }
            let mut whole = targets.to_vec();
            whole.resize(batch * each, 0);
            let port = self.plan().port(Port::Targets)?;
            self.executor.write_words(port, &whole)?;
        }
        let mut whole = memory::zeros("batch", batch * len)?;
        whole[..images.len()].copy_from_slice(images);
        self.executor.write(self.images, &whole)?;
        self.step = self.step.with_rows(rows as u32);
        self.progress = Progress::Batch;
        Ok(())
    }

    /// Sets the learning rate of later steps.
    ///
    /// # Errors
    /// The rate is negative or not finite, or the device was lost or reported a fault.
    pub fn set_learning_rate(&mut self, learning_rate: f32) -> Result<()> {
        self.executor.check()?;
        check_rate("learning rate", learning_rate)?;
        self.step.learning_rate = learning_rate;
        Ok(())
    }

    /// The forward pass in inference: with running statistics, without dropout.
    ///
    /// # Errors
    /// As [`Session::forward`].
    pub fn infer(&mut self) -> Result<()> {
        self.check_order(self.progress != Progress::NoBatch, "infer", "set_batch")?;
        self.run(Phase::Infer)?;
        self.progress = Progress::Inferred;
        Ok(())
    }

    /// The forward pass in training.
    ///
    /// # Errors
    /// A call that must come first is missing; or the device was lost or reported a fault.
    pub fn forward(&mut self) -> Result<()> {
        self.check_order(self.progress != Progress::NoBatch, "forward", "set_batch")?;
        self.run(Phase::Forward)?;
        self.progress = Progress::Forward;
        Ok(())
    }

    /// The loss of the batch, and its gradient with respect to the logits.
    ///
    /// # Errors
    /// As [`Session::forward`].
    pub async fn loss(&mut self) -> Result<f64> {
        let metrics = self.metrics().await?;
        Ok(self
            .loss
            .of_sum(metrics.loss_sum, metrics.rows, &self.output))
    }

    /// Like [`Session::loss`], with the number of correct predictions.
    ///
    /// # Errors
    /// As [`Session::forward`].
    pub async fn metrics(&mut self) -> Result<StepMetrics> {
        let has_logits = !matches!(self.progress, Progress::NoBatch | Progress::Batch);
        self.check_order(has_logits, "loss", "forward` or `infer")?;
        let pending = self.executor.begin(&[Phase::Loss], &[self.step]).await?;
        if self.progress == Progress::Forward {
            self.progress = Progress::Loss;
        }
        Ok(pending.wait().await?[0])
    }

    /// The backward pass: the gradients of all parameters, from that of the loss, which
    /// [`Session::loss`] or [`Session::metrics`] computes.
    ///
    /// # Errors
    /// As [`Session::forward`].
    pub fn backward(&mut self) -> Result<()> {
        self.check_order(
            self.progress == Progress::Loss,
            "backward",
            "forward` and `loss",
        )?;
        self.run(Phase::Backward)?;
        self.has_gradients = true;
        Ok(())
    }

    /// The optimizer's step.
    ///
    /// # Errors
    /// As [`Session::forward`].
    pub fn step(&mut self) -> Result<()> {
        self.check_order(self.has_gradients, "step", "backward")?;
        self.run(Phase::Update)?;
        self.updates += 1;
        self.step = self
            .step
            .at(0, self.updates as u32)
            .scalars(self.optimizer.scalars(self.updates));
        Ok(())
    }

    /// Clears the gradients.
    ///
    /// # Errors
    /// As [`Session::forward`].
    pub fn zero_grad(&mut self) -> Result<()> {
        self.run(Phase::ZeroGrad)
    }

    /// The values of a tensor of the plan: `logits`, `0.weight`, `0.d_weight`, ….
    ///
    /// # Errors
    /// There is no such tensor, or it holds integers, which [`Executor::read_words`] reads; or an
    /// error of [`Session::forward`].
    pub async fn read(&self, name: &str) -> Result<Vec<f32>> {
        self.executor.read(self.plan().find(name)?).await
    }

    /// Overwrites the values of a tensor of the plan.
    ///
    /// # Errors
    /// There is no such tensor, it holds integers, or its length differs from that of `values`.
    pub fn write(&mut self, name: &str, values: &[f32]) -> Result<()> {
        let tensor = self.plan().find(name)?;
        self.executor.write(tensor, values)
    }

    /// # Errors
    /// The device was lost or reported a fault; or `call` comes before `first`.
    fn check_order(&self, is_met: bool, call: &str, first: &str) -> Result<()> {
        self.executor.check()?;
        match is_met {
            true => Ok(()),
            false => Err(Error::value(
                format!("session's `{call}`"),
                format!("`{first}` of this batch before"),
                "none",
            )),
        }
    }

    fn run(&mut self, phase: Phase) -> Result<()> {
        self.executor.run(&[phase], &[self.step]).map(drop)
    }
}
