//! Proof, on the adapter at hand, that every kernel is right.
//!
//! - [`lockstep`]: the ops of a plan one by one, each on the adapter's own inputs, against the CPU
//!   reference and the op's error bound;
//! - [`fuzz`]: every op there is, alone, over random sizes and hostile inputs;
//! - [`differentiate`]: every op that has a gradient, against central differences on the adapter;
//! - [`ops`]: the same two of ops of your own;
//! - [`large`]: every op at sizes where drivers cut loops short, by single elements;
//! - [`networks`]: random networks of large sizes, every op by single elements;
//! - [`cases`]: the cases of both, for other programs to compute;
//! - [`drift`]: how far the adapter and the reference come apart when both train freely.
//!
//! [`adapter`] does all of it for the built-in models and returns a typed [`Report`].

mod compare;
mod drift;
mod fuzz;
mod gradients;
mod lanes;
mod large;
mod models;
mod networks;
mod own;
mod report;
mod table;

pub use compare::{OutputReport, lockstep};
pub use drift::{Drift, drift};
pub use fuzz::{cases, fuzz};
pub use gradients::{GradientReport, differentiate};
pub use large::large;
pub use models::{Subject, built_in};
pub use networks::{NetworkReport, networks};
pub use own::{OpsReport, ops};
pub use report::{ModelReport, Options, Report, adapter, model};
