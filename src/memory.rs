//! Fallible allocation: running out of memory is an error, as on an adapter, instead of ending the
//! process.

use bytemuck::Zeroable;

use crate::error::{Error, Result};

/// The error that an adapter's driver would give.
fn out_of_memory(making: &str, bytes: usize) -> Error {
    Error::gpu(format!("making {making} of {bytes} bytes"), "Out of Memory")
}

/// `len` zeros, for the operation `making`. They use no memory until written.
pub(crate) fn zeros<T: Zeroable>(making: &str, len: usize) -> Result<Vec<T>> {
    let bytes = len.saturating_mul(size_of::<T>());
    bytemuck::allocation::try_zeroed_vec(len).map_err(|()| out_of_memory(making, bytes))
}

/// Checks that there is memory for all of `parts`, each given by name and number of words. Systems
/// overcommit small allocations, but refuse a single one of the total.
pub(crate) fn check_total<'a>(parts: impl Iterator<Item = (&'a str, usize)>) -> Result<()> {
    let mut total = 0usize;
    for (name, words) in parts {
        total = total.saturating_add(words);
        let reserved = Vec::<u32>::new().try_reserve_exact(total);
        reserved.map_err(|_| out_of_memory(name, words.saturating_mul(size_of::<u32>())))?;
    }
    Ok(())
}
