//! Verifies every kernel on the adapter at hand.
//!
//! - [`lockstep`]: the ops of a plan one by one, each on the adapter's own inputs, against the CPU
//!   reference and the op's error bound;
//! - [`fuzz`]: every op in isolation, over random sizes and hostile inputs;
//! - [`differentiate`]: every op that has a gradient, against central differences on the adapter;
//! - [`ops`]: the same two of ops of your own;
//! - [`large`]: every op at sizes where drivers cut loops short, by single elements;
//! - [`networks`]: random networks of large sizes, every op by single elements;
//! - [`long_networks`]: random networks of many layers, of all kinds, in lockstep;
//! - [`cases`]: the cases of `fuzz` and `differentiate`, for other programs to compute;
//! - [`drift`]: the drift between the adapter and the reference when both train freely.
//!
//! [`adapter`] runs all of these, with the built-in models, and returns a typed [`Report`].

mod compare;
mod drift;
mod fuzz;
mod gradients;
mod lanes;
mod large;
mod layers;
mod long;
mod losses;
mod models;
mod networks;
mod norms;
mod own;
mod planes;
mod report;
mod table;

pub use compare::{OutputReport, lockstep};
pub use drift::{Drift, drift};
pub use fuzz::{cases, fuzz};
pub use gradients::{GradientReport, differentiate};
pub use large::large;
pub use long::long_networks;
pub use models::{Subject, built_in};
pub use networks::{NetworkReport, networks};
pub use own::{OpsReport, ops};
pub use report::{ModelReport, Options, Report, adapter, model};
