//! What an op states of itself: its arrays, how its kernel is started, its error bounds, its parts
//! if it is split, and the cases it is verified with.

pub(in crate::ops) mod bindings;
pub(in crate::ops) mod bound;
pub mod case;
pub(in crate::ops) mod element;
pub(in crate::ops) mod launch;
pub(in crate::ops) mod own;
pub(in crate::ops) mod shader;
pub(in crate::ops) mod split;
pub(in crate::ops) mod step;
