//! Runs plans on an adapter: one pipeline per kernel and set of constants, one bind group per op,
//! created once; a step only replays them.

mod adapter;
mod answer;
mod aside;
mod checks;
mod device;
mod executor;
mod find;
mod loaded;
mod loop_probe;
mod pipelines;
mod readback;
mod timestamps;
mod wide;
mod workbench;

pub use adapter::Adapter;
pub(crate) use device::{check_kernels, check_loops, required_limits};
pub use executor::Executor;
pub(crate) use executor::PendingMetrics;
pub use find::enumerate;
pub(crate) use find::{choose, enumerate_all, is_named_by_variable};
pub(crate) use loop_probe::longest_loop;
pub(crate) use workbench::Workbench;

/// Bytes per word.
const WORD: u64 = 4;
