//! Fused plans, and the kernels that are chosen for them.

#[path = "../common/mod.rs"]
mod common;

mod fusion;
mod tensors;
mod tuning;
