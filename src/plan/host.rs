//! Checks of the host's writes to tensors.

use super::{Element, Plan, Port, Role, Tensor, TensorId};
use crate::error::{Error, Result};

impl Plan {
    /// Checks that the host may write `words` to a tensor.
    ///
    /// # Errors
    /// The number of words differs from the tensor's; the tensor holds integers that only kernels
    /// write; or an index that kernels would use is out of range: a label or a sample number.
    pub(crate) fn check_words(&self, tensor: TensorId, words: &[u32]) -> Result<()> {
        let target = self.known(tensor)?;
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

    /// The tensor with an id that a caller of the library gives.
    ///
    /// # Errors
    /// The id is that of another plan, with more tensors.
    pub(crate) fn known(&self, id: TensorId) -> Result<&Tensor> {
        self.tensors.get(id.0).ok_or_else(|| {
            let expected = format!("one of the plan's {}", self.tensors.len());
            Error::value(
                "tensor",
                expected,
                format!("number {} of another plan", id.0),
            )
        })
    }

    /// Checks that a tensor holds floats.
    ///
    /// # Errors
    /// It holds integers.
    pub(crate) fn check_floats(&self, doing: &str, tensor: TensorId) -> Result<()> {
        let target = self.known(tensor)?;
        let got = match target.element {
            Element::F32 => return Ok(()),
            Element::U32 => "one of 32-bit integers",
            Element::U8 => "one of bytes, four to a word",
        };
        let what = format!("{doing} {} as floats", target.name);
        Err(Error::value(what, "a tensor of floats", got))
    }

    /// The exclusive upper bound of a tensor's integers, if kernels use them as indices.
    fn bound_of(&self, id: TensorId) -> Option<u64> {
        if self.tensor(id).element == Element::F32 {
            return None;
        }
        let (port, _) = self.ports.iter().find(|(_, tensor)| **tensor == id)?;
        match port {
            Port::Targets | Port::DatasetTargets => self.classes.map(|classes| classes as u64),
            Port::Order => Some(self.tensor(id).shape.elements() as u64),
            _ => None,
        }
    }
}

fn find(values: &mut dyn Iterator<Item = u64>, below: u64) -> Option<(usize, u64)> {
    values.enumerate().find(|&(_, value)| value >= below)
}
