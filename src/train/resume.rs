//! Saves a trainer to a checkpoint, and restores it.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Debug;
use std::str::FromStr;

use super::names::{Named, matching};
use super::options::{DEVICE, KERNELS, NORMALIZATION, OPTIMIZER, UNFUSED};
use super::position::Position;
use super::{Checkpoint, Trainer};
use crate::error::{Error, Result};
use crate::notices::Notices;
use crate::optim::check_rate;
use crate::plan::{Element, Plan, Port, Role, Tensor, TensorId};
use crate::shape::Shape;
use crate::tune::Choices;

impl Trainer {
    /// The state needed to continue training: parameters, optimizer state, epoch and step, and the
    /// options that they belong to. Waits for the device.
    ///
    /// # Errors
    /// The device was lost or reported a fault, or training was cut off within a step.
    pub async fn checkpoint(&self) -> Result<Checkpoint> {
        self.check_whole()?;
        let plan = self.executor.plan();
        let mut tensors = BTreeMap::new();
        for (prefix, arena) in arenas(plan) {
            let values = self.executor.read(plan.find(&arena)?).await?;
            for (name, tensor) in parameters(plan) {
                let own = values[tensor.offset..][..tensor.words()].to_vec();
                tensors.insert(format!("{prefix}{name}"), (tensor.shape.clone(), own));
            }
        }
        let mut integers = BTreeMap::new();
        for (id, state) in plan.tensors_of(Role::State) {
            let words = self.executor.read_words(id).await?;
            match state.element {
                Element::F32 => {
                    let tensor = (state.shape.clone(), bytemuck::cast_vec(words));
                    tensors.insert(state.name.clone(), tensor);
                }
                // PyTorch's counters are scalars.
                Element::U32 | Element::U8 => {
                    let counts = words.into_iter().map(i64::from).collect();
                    integers.insert(state.name.clone(), (Shape::new([]), counts));
                }
            }
        }
        let options = self.options().into_iter();
        let mut metadata: BTreeMap<String, String> =
            options.map(|(key, text)| (key.to_owned(), text)).collect();
        metadata.insert("epoch".to_owned(), self.position.epoch.to_string());
        metadata.insert("step".to_owned(), self.position.step.to_string());
        metadata.insert("learning_rate".to_owned(), self.learning_rate.to_string());
        let kernels = self
            .choices()
            .map_or_else(|| UNFUSED.to_owned(), Choices::to_string);
        metadata.insert(KERNELS.to_owned(), kernels);
        metadata.insert(DEVICE.to_owned(), self.device.clone());
        if let Some(normalize) = &self.config.normalization {
            metadata.insert(NORMALIZATION.to_owned(), normalize.options());
        }
        Ok(Checkpoint {
            tensors,
            integers,
            metadata,
            ..Checkpoint::default()
        })
    }

    /// Restores the state of `checkpoint`, earlier or later: on the same adapter, the next steps
    /// give the same bits as they did then, at the learning rate of the checkpoint.
    ///
    /// # Errors
    /// The checkpoint belongs to another model, other training options or another data set, which
    /// the error names; or the device was lost or reported a fault.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.executor.check()?;
        if !checkpoint.metadata.contains_key("model") {
            let expected = "a trainer's, with the model and the options of training";
            return Err(Error::value("checkpoint", expected, "one of weights alone"));
        }
        self.check_options(checkpoint)?;
        let position = Position {
            epoch: number(checkpoint, "epoch")?,
            step: number(checkpoint, "step")?,
        };
        let steps = self.feed.train_len().div_ceil(self.config.batch_size) as u64;
        if position.step >= steps {
            return Err(Error::value(
                "checkpoint's step",
                format!("below {steps}"),
                position.step,
            ));
        }
        let micro_batches = self.config.micro_batches as u64;
        if !position.step.is_multiple_of(micro_batches) {
            return Err(Error::value(
                "checkpoint's step",
                format!("a multiple of {micro_batches}"),
                position.step,
            ));
        }
        self.check_names(checkpoint)?;
        let learning_rate = number(checkpoint, "learning_rate")?;
        check_rate("checkpoint's learning rate", learning_rate)?;
        let arenas = arenas(self.executor.plan()).into_iter();
        let arenas = arenas.map(|(prefix, arena)| self.read_arena(checkpoint, &prefix, &arena));
        // Read all before writing any: a refused checkpoint changes nothing.
        let arenas = arenas.collect::<Result<Vec<_>>>()?;
        let states = self.read_states(checkpoint)?;
        for (arena, values) in arenas {
            self.executor.write(arena, &values)?;
        }
        for (state, words) in states {
            self.executor.write_words(state, &words)?;
        }
        if micro_batches > 1 {
            // A step that panicked may have left some.
            let gradients = self.executor.plan().port(Port::Gradients)?;
            let words = self.executor.plan().tensor(gradients).words();
            self.executor.write(gradients, &vec![0.0; words])?;
        }
        self.position = position;
        self.learning_rate = learning_rate;
        self.bursts.is_torn = false;
        Ok(())
    }

    /// Loads only the parameters of a checkpoint. They may come from PyTorch: the `state_dict` of
    /// the same network, saved by its safetensors package. Returns notices for the user: arrays
    /// that were rounded when loaded, and names that differ from this model's.
    ///
    /// Names are those of the same `nn.Sequential` (`0.weight`, `4.bias`); or these with a module
    /// prefix that all share (`module.0.weight`, as `DataParallel` writes); or any others, if each
    /// layer is unique by the shapes and last parts of its names (`conv1.weight`, `fc1.bias`). Two
    /// layers of equal shapes need equal names, since a file does not tell which runs first.
    ///
    /// # Errors
    /// The parameters do not match this model's: the error lists the names and shapes of both. Or
    /// the device was lost or reported a fault.
    pub fn load_parameters(&mut self, checkpoint: &Checkpoint) -> Result<Notices> {
        self.check_whole()?;
        self.executor.check()?;
        let mut notices = checkpoint.notices.clone();
        let plan = self.executor.plan();
        let ours = weights(plan);
        let named = ours
            .iter()
            .map(|tensor| (tensor.name.as_str(), &tensor.shape));
        let theirs = checkpoint.tensors.iter();
        let theirs = theirs.filter(|(name, _)| !name.starts_with(OPTIMIZER));
        let theirs: Vec<Named<'_>> = theirs
            .map(|(name, (shape, _))| (name.as_str(), shape))
            .collect();
        let found = matching(&named.collect::<Vec<_>>(), &theirs)?;
        let mut renamed = Checkpoint::default();
        let mut others = Vec::new();
        for (Tensor { name, .. }, theirs) in ours.into_iter().zip(found) {
            if name != theirs {
                others.push(format!("{theirs} for {name}"));
            }
            let tensor = checkpoint.tensors[theirs].clone();
            renamed.tensors.insert(name.clone(), tensor);
            // The counters of a layer are matched with its other tensors.
            let layers = (name.rsplit_once('.'), theirs.rsplit_once('.'));
            let (Some((our_layer, _)), Some((their_layer, _))) = layers else {
                continue;
            };
            for (_, counter) in plan.tensors_of(Role::State) {
                if let Some((layer, own)) = counter.name.rsplit_once('.')
                    && layer == our_layer
                    && let Some(count) = checkpoint.integers.get(&format!("{their_layer}.{own}"))
                {
                    renamed.integers.insert(counter.name.clone(), count.clone());
                }
            }
        }
        if !others.is_empty() {
            notices.push(format!("weights taken: {}", others.join(", ")));
        }
        let (arena, values) = self.read_arena(&renamed, "", "parameters")?;
        let states = self.read_states(&renamed)?;
        self.executor.write(arena, &values)?;
        for (state, words) in states {
            self.executor.write_words(state, &words)?;
        }
        Ok(notices)
    }

    /// The states, with their values in the checkpoint. A missing counter starts at zero.
    fn read_states(&self, checkpoint: &Checkpoint) -> Result<Vec<(TensorId, Vec<u32>)>> {
        let states = self.executor.plan().tensors_of(Role::State);
        let read = states.map(|(id, state)| {
            let name = &state.name;
            let wrong = |expected: String, got: String| {
                Error::value(format!("checkpoint's {name}"), expected, got)
            };
            let words = match state.element {
                Element::F32 => match checkpoint.tensors.get(name) {
                    Some((shape, own)) if *shape == state.shape && own.len() == state.words() => {
                        bytemuck::cast_slice(own).to_vec()
                    }
                    Some((shape, _)) => {
                        return Err(wrong(state.shape.to_string(), shape.to_string()));
                    }
                    None => {
                        return Err(wrong(state.shape.to_string(), "no such tensor".to_owned()));
                    }
                },
                Element::U32 | Element::U8 => match checkpoint.integers.get(name) {
                    None => vec![0; state.words()],
                    Some((_, counts)) if counts.len() == state.words() => {
                        let words = counts.iter().map(|&count| u32::try_from(count));
                        let expected = || format!("counts from 0 to {}", u32::MAX);
                        words
                            .collect::<Result<_, _>>()
                            .map_err(|_| wrong(expected(), format!("{counts:?}")))?
                    }
                    Some((shape, _)) => {
                        return Err(wrong("one number".to_owned(), shape.to_string()));
                    }
                },
            };
            Ok((id, words))
        });
        read.collect()
    }

    /// An arena, with its values from the arrays of the checkpoint whose names begin with `prefix`.
    fn read_arena(
        &self,
        checkpoint: &Checkpoint,
        prefix: &str,
        arena: &str,
    ) -> Result<(TensorId, Vec<f32>)> {
        let plan = self.executor.plan();
        let arena = plan.find(arena)?;
        let mut values = vec![0f32; plan.tensor(arena).words()];
        for (name, tensor) in parameters(plan) {
            let name = format!("{prefix}{name}");
            let wrong = |got: String| Error::Shape {
                at: format!("checkpoint's {name}"),
                expected: tensor.shape.to_string(),
                got,
            };
            let Some((shape, own)) = checkpoint.tensors.get(&name) else {
                return Err(wrong("no such tensor".to_owned()));
            };
            if *shape != tensor.shape {
                return Err(wrong(shape.to_string()));
            }
            if own.len() != tensor.words() {
                return Err(wrong(format!("{} values", own.len())));
            }
            values[tensor.offset..][..own.len()].copy_from_slice(own);
        }
        Ok((arena, values))
    }

    /// # Errors
    /// The checkpoint has a tensor that this trainer lacks: the first one by name.
    fn check_names(&self, checkpoint: &Checkpoint) -> Result<()> {
        let plan = self.executor.plan();
        let mut known: HashSet<String> = HashSet::new();
        for (prefix, _) in arenas(plan) {
            let names = parameters(plan).into_iter();
            known.extend(names.map(|(name, _)| format!("{prefix}{name}")));
        }
        known.extend(plan.tensors_of(Role::State).map(|(_, t)| t.name.clone()));
        match checkpoint
            .tensors
            .keys()
            .find(|name| !known.contains(*name))
        {
            Some(other) => {
                let expected = format!("the {} tensors of this trainer", known.len());
                Err(Error::value(
                    "checkpoint's tensors",
                    expected,
                    format!("also {other}"),
                ))
            }
            None => Ok(()),
        }
    }
}

/// The arrays of the layout of all parameters, with the prefix of their names: the parameters, and
/// each state of the optimizer.
fn arenas(plan: &Plan) -> Vec<(String, String)> {
    let states = plan
        .tensors()
        .iter()
        .filter(|tensor| tensor.role == Role::OptimizerState);
    let states = states.map(|tensor| (format!("{OPTIMIZER}{}.", tensor.name), tensor.name.clone()));
    std::iter::once((String::new(), "parameters".to_owned()))
        .chain(states)
        .collect()
}

/// A model's weights: its parameters, and the states that are floats.
fn weights(plan: &Plan) -> Vec<&Tensor> {
    let states = plan.tensors_of(Role::State);
    let floats = states.filter(|(_, state)| state.element == Element::F32);
    plan.parameters()
        .chain(floats)
        .map(|(_, tensor)| tensor)
        .collect()
}

/// Each parameter, by name.
fn parameters(plan: &Plan) -> Vec<(String, &Tensor)> {
    let named = plan.parameters();
    named
        .map(|(_, tensor)| (tensor.name.clone(), tensor))
        .collect()
}

fn number<T: FromStr<Err: Debug>>(checkpoint: &Checkpoint, key: &str) -> Result<T> {
    let text = checkpoint
        .metadata
        .get(key)
        .map_or("nothing", String::as_str);
    let wrong = |_| {
        Error::value(
            format!("checkpoint's {key}"),
            "a number",
            format!("`{text}`"),
        )
    };
    text.parse().map_err(wrong)
}
