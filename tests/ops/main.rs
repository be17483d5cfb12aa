//! What must hold of every op without an adapter.

mod bindings;
mod elements;
mod shaders;
