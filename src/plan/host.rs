//! What the host may write into a tensor.

use super::{Element, Plan, Port, Role, TensorId};
use crate::error::{Error, Result};

impl Plan {
    /// Whether the host may write those words into a tensor.
    ///
    /// # Errors
    /// Another number of words than the tensor's; integers that only kernels write; a label that is
    /// no class, or a number in the order of samples that is no sample: kernels index by them.
    pub(crate) fn check_words(&self, tensor: TensorId, words: &[u32]) -> Result<()> {
        let target = self.tensor(tensor);
        let what = || format!("writing {}", target.name);
        if words.len() != target.words() {
            return Err(Error::Shape {
                at: what(),
                expected: format!("{} words", target.words()),
                got: format!("{} words", words.len()),
            });
        }
        let is_of_kernels = matches!(target.role, Role::Activation | Role::Scratch | Role::Metric);
        if is_of_kernels && target.element != Element::F32 {
            let expected = "a tensor that the host fills";
            return Err(Error::value(what(), expected, "integers that kernels fill"));
        }
        let Some(below) = self.bound_of(tensor) else {
            return Ok(());
        };
        let len = target.shape.elements();
        let wrong = match target.element {
            Element::U8 => {
                let bytes: &[u8] = bytemuck::cast_slice(words);
                let mut bytes = bytes[..len].iter().map(|&byte| u64::from(byte));
                find(&mut bytes, below)
            }
            Element::U32 | Element::F32 => {
                find(&mut words.iter().map(|&word| u64::from(word)), below)
            }
        };
        match wrong {
            None => Ok(()),
            Some((at, value)) => Err(Error::value(
                what(),
                format!("values below {below}"),
                format!("{value} in element {at}"),
            )),
        }
    }

    /// Whether a tensor holds floats.
    ///
    /// # Errors
    /// It holds integers.
    pub(crate) fn check_floats(&self, doing: &str, tensor: TensorId) -> Result<()> {
        let target = self.tensor(tensor);
        let expected = match target.element {
            Element::F32 => return Ok(()),
            Element::U32 => "integers of 32 bits",
            Element::U8 => "bytes, four to a word",
        };
        Err(Error::value(
            format!("{doing} {}", target.name),
            expected,
            "floats",
        ))
    }

    /// What the integers of a tensor lie below, where kernels index by them.
    fn bound_of(&self, id: TensorId) -> Option<u64> {
        let (port, _) = self.ports.iter().find(|(_, tensor)| **tensor == id)?;
        match port {
            Port::Labels | Port::DatasetLabels => {
                let logits = self.tensor(self.port(Port::Logits).ok()?);
                let &[_, classes] = logits.shape.dims() else {
                    return None;
                };
                Some(classes as u64)
            }
            Port::Order => Some(self.tensor(id).shape.elements() as u64),
            _ => None,
        }
    }
}

fn find(values: &mut dyn Iterator<Item = u64>, below: u64) -> Option<(usize, u64)> {
    values.enumerate().find(|&(_, value)| value >= below)
}
