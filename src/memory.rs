//! Memory that may run out: then that is an error, as on an adapter, and not the end of the
//! process.

use bytemuck::Zeroable;

use crate::error::{Error, Result};

/// What an adapter's driver says then.
fn out_of_memory(making: &str, bytes: usize) -> Error {
    Error::gpu(format!("making {making} of {bytes} bytes"), "Out of Memory")
}

/// So many zeros, for what `making` names. They take no memory before they are written.
pub(crate) fn zeros<T: Zeroable>(making: &str, len: usize) -> Result<Vec<T>> {
    let bytes = len.saturating_mul(size_of::<T>());
    bytemuck::allocation::try_zeroed_vec(len).map_err(|()| out_of_memory(making, bytes))
}

/// Whether there would be memory for all of `parts`, each by its name and number of words. Systems
/// promise more than they have where it is asked for piece by piece; asked for all at once, they
/// say.
pub(crate) fn check_total<'a>(parts: impl Iterator<Item = (&'a str, usize)>) -> Result<()> {
    let mut total = 0usize;
    for (name, words) in parts {
        total = total.saturating_add(words);
        let reserved = Vec::<u32>::new().try_reserve_exact(total);
        reserved.map_err(|_| out_of_memory(name, words.saturating_mul(size_of::<u32>())))?;
    }
    Ok(())
}
