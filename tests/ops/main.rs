//! Properties of every op that can be checked without an adapter.

mod bindings;
mod elements;
mod shaders;
