//! Fused plans, and the kernels chosen for them.

#[path = "../common/mod.rs"]
mod common;

mod fitting;
mod fusion;
mod tensors;
mod tuning;
