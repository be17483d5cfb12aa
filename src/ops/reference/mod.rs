//! Mathematics that the references of several ops share.

pub(in crate::ops) mod activations;
pub(in crate::ops) mod arithmetic;
pub(in crate::ops) mod draws;
pub(in crate::ops) mod philox;
pub(in crate::ops) mod planes;
pub(in crate::ops) mod sums;
pub(in crate::ops) mod windows;
