//! Mathematics that the references of several ops share.

pub(in crate::ops) mod activations;
pub(in crate::ops) mod arithmetic;
pub(in crate::ops) mod philox;
pub(in crate::ops) mod windows;
