//! What must hold of every op without an adapter.

mod elements;
mod shaders;
