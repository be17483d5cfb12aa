//! Sizes that several ops share, with what follows from them.

pub(in crate::ops) mod batch_norm;
pub(in crate::ops) mod conv;
pub(in crate::ops) mod conv_pool;
pub(in crate::ops) mod decay;
pub(in crate::ops) mod depthwise;
pub(in crate::ops) mod group_norm;
pub(in crate::ops) mod pool;
pub(in crate::ops) mod ratio;
