//! The data set of a trainer on its device: whole, or a window of it that the host refills.

use std::fmt;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::position::Position;
use super::trainer::Split;
use crate::data::{Array, Data};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::executor::{Executor, others_first};
use crate::memory;
use crate::ops::Step;
use crate::plan::{Plan, Port, STEPS_PER_RUN, TensorId};

/// Bytes of samples read at a time.
const PIECE: usize = 1 << 21;

/// Bytes of a window: enough samples for one submit of small steps.
const WINDOW: usize = 1 << 24;

/// Where a trainer keeps its data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Residency {
    /// On the device if it fits there, otherwise streamed.
    #[default]
    Auto,
    /// On the device.
    Device,
    /// With its owner: before each submit, its samples are read and sent to the device, while the
    /// device still computes the submit before it.
    Streamed,
}

impl fmt::Display for Residency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Residency::Auto => "auto",
            Residency::Device => "device",
            Residency::Streamed => "streamed",
        })
    }
}

/// The number of steps whose samples the device holds at a time; `None` if it holds all samples.
pub(super) fn window(
    device: &Device,
    data: &Data,
    residency: Residency,
    batch_size: usize,
) -> Option<usize> {
    let arrays = [
        Some(data.train().input()),
        data.train().target().array().cloned(),
    ];
    let lens = arrays.iter().flatten().map(Array::bytes);
    let [len, largest] = [lens.clone().sum(), lens.max().unwrap_or(0)];
    let samples = data.lens().iter().sum::<usize>();
    let fits = samples.saturating_mul(largest) <= device.largest_tensor();
    if residency == Residency::Device || (residency == Residency::Auto && fits) {
        return None;
    }
    let steps = WINDOW / batch_size.saturating_mul(len).max(1);
    Some(steps.clamp(1, STEPS_PER_RUN))
}

/// What feeds a trainer's steps with samples.
#[derive(Debug)]
pub(super) struct Feed {
    /// Where the samples are written.
    tensors: Vec<TensorId>,
    order: TensorId,
    lens: [usize; 2],
    /// Tells the training set from others.
    pub checksum: u32,
    stream: Option<Stream>,
}

/// A data set that is not on the device.
#[derive(Debug)]
struct Stream {
    data: Data,
    /// Steps whose samples the device holds.
    steps: usize,
    /// The order in which samples are visited.
    order: Vec<u32>,
}

impl Feed {
    /// The feed of `executor`'s plan from `data`, all of which is written to the device unless a
    /// [`window`] is given.
    ///
    /// # Errors
    /// A sample cannot be read, a class is out of range, or the device was lost or reported a
    /// fault.
    pub async fn new(executor: &mut Executor, data: &Data, window: Option<usize>) -> Result<Self> {
        let plan = executor.plan().clone();
        let mut feed = Feed {
            tensors: tensors(&plan)?,
            order: plan.port(Port::Order)?,
            lens: data.lens(),
            checksum: data.train().checksum()?,
            stream: None,
        };
        match window {
            None => feed.load(executor, data).await?,
            Some(steps) => {
                let samples = plan.tensor(feed.order).shape.elements();
                let identity: Vec<u32> = (0..samples as u32).collect();
                executor.write_words(feed.order, &identity)?;
                feed.stream = Some(Stream {
                    data: data.clone(),
                    steps,
                    order: Vec::new(),
                });
            }
        }
        Ok(feed)
    }

    /// Writes all samples to the device.
    async fn load(&self, executor: &mut Executor, data: &Data) -> Result<()> {
        let mut writers: Vec<Writer> = self
            .tensors
            .iter()
            .map(|&tensor| Writer::new(tensor))
            .collect();
        let target = data.train().target();
        let len = data.train().input().bytes() + target.array().map_or(0, Array::bytes);
        let piece = (PIECE / len.max(1)).max(1);
        let [train, test] = self.lens;
        for part in [0..train, train..train + test] {
            for at in part.clone().step_by(piece) {
                let end = part.end.min(at + piece);
                let numbers: Vec<u32> = (at as u32..end as u32).collect();
                let read = data.read(&numbers)?;
                for (writer, bytes) in writers.iter_mut().zip(&read) {
                    writer.push(executor, bytes)?;
                }
                others_first().await;
            }
        }
        writers
            .into_iter()
            .try_for_each(|writer| writer.finish(executor))
    }

    /// Number of samples to train on.
    pub fn train_len(&self) -> usize {
        self.lens[0]
    }

    /// Where a split begins in the data set, and how many samples it has.
    ///
    /// # Errors
    /// It has none.
    pub fn range(&self, split: Split) -> Result<(usize, usize)> {
        let [train, test] = self.lens;
        match split {
            Split::Train => Ok((0, train)),
            Split::Test if test == 0 => Err(Error::value("test set", "at least 1 sample", 0)),
            Split::Test => Ok((train, test)),
        }
    }

    /// Whether the device holds only a part of the data set.
    pub fn is_streamed(&self) -> bool {
        self.stream.is_some()
    }

    /// The most steps that can be submitted together.
    pub fn most_steps(&self) -> usize {
        let stream = self.stream.as_ref();
        stream.map_or(STEPS_PER_RUN, |stream| stream.steps)
    }

    /// Sets the order in which samples are visited: the training samples, shuffled by seed and
    /// epoch if there is a seed, then the test samples as they are.
    ///
    /// # Errors
    /// The device was lost or reported a fault.
    pub fn set_order(
        &mut self,
        executor: &mut Executor,
        position: Position,
        seed: Option<u64>,
    ) -> Result<()> {
        let [train, test] = self.lens;
        let mut order = memory::zeros("order of samples", train + test)?;
        for (place, sample) in order.iter_mut().enumerate() {
            *sample = place as u32;
        }
        if let Some(seed) = seed {
            let mut generator = ChaCha8Rng::seed_from_u64(seed);
            // Parameters use streams from 0 up; the orders use streams from the other end.
            generator.set_stream(u64::MAX - position.epoch);
            order[..train].shuffle(&mut generator);
        }
        match &mut self.stream {
            None => executor.write_words(self.order, &order),
            Some(stream) => {
                stream.order = order;
                Ok(())
            }
        }
    }

    /// Prepares `steps`, at most [`Feed::most_steps`] of one split: if samples are streamed, sends
    /// theirs, and lets the steps find them in the window.
    ///
    /// # Errors
    /// A sample cannot be read, a class is out of range, or the device was lost or reported a
    /// fault.
    pub fn prepare(&self, executor: &mut Executor, steps: &mut [Step]) -> Result<()> {
        let Some(stream) = &self.stream else {
            return Ok(());
        };
        let mut numbers = Vec::new();
        for step in steps {
            let first = step.offset as usize;
            step.offset = numbers.len() as u32;
            numbers.extend_from_slice(&stream.order[first..first + step.rows as usize]);
        }
        let read = stream.data.read(&numbers)?;
        for (&tensor, bytes) in self.tensors.iter().zip(&read) {
            let mut writer = Writer::new(tensor);
            writer.push(executor, bytes)?;
            writer.end(executor)?;
        }
        Ok(())
    }
}

/// The tensors that samples are written to: inputs, and targets if they are others.
fn tensors(plan: &Plan) -> Result<Vec<TensorId>> {
    let inputs = plan.port(Port::DatasetImages)?;
    let targets = plan.port(Port::DatasetTargets).ok();
    Ok(std::iter::once(inputs).chain(targets).collect())
}

/// Writes a tensor from its beginning on, in pieces of whole words.
struct Writer {
    tensor: TensorId,
    at: usize,
    /// Bytes of a word that is not whole yet.
    rest: Vec<u8>,
}

impl Writer {
    fn new(tensor: TensorId) -> Self {
        Writer {
            tensor,
            at: 0,
            rest: Vec::new(),
        }
    }

    fn push(&mut self, executor: &mut Executor, bytes: &[u8]) -> Result<()> {
        self.rest.extend_from_slice(bytes);
        let whole = self.rest.len() / 4 * 4;
        let rest = self.rest.split_off(whole);
        let words = std::mem::replace(&mut self.rest, rest);
        self.at += whole;
        executor.write_bytes(self.tensor, self.at - whole, words)
    }

    /// Writes the last word.
    fn end(&mut self, executor: &mut Executor) -> Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let padding = 4 - self.rest.len();
        self.push(executor, &[0; 4][..padding])
    }

    /// Checks that the whole tensor was written.
    fn finish(mut self, executor: &mut Executor) -> Result<()> {
        self.end(executor)?;
        let words = executor.plan().tensor(self.tensor).words();
        match self.at == 4 * words {
            true => Ok(()),
            false => Err(Error::Shape {
                at: format!("writing {}", executor.plan().tensor(self.tensor).name),
                expected: format!("{} bytes", 4 * words),
                got: format!("{} bytes", self.at),
            }),
        }
    }
}
