//! 64-bit loads, for software adapters.
//!
//! Their drivers load and store each component of each invocation separately, and 64 bits cost
//! little more than 32: on lavapipe a load takes 10.3 against 8.8 ns, a store 7.3 against 4.9. So
//! for them `Four`, the four floats that kernels read and write at once, has two components, and
//! `Pair`, two words, has one: `shaders/prelude/loads_wide.wgsl`.

use super::Adapter;
use crate::ops::Loads;

/// The feature that wide loads need, on adapters that benefit from them.
pub(super) fn feature(adapter: &Adapter) -> wgpu::Features {
    match adapter.is_software() {
        true => adapter.inner.features() & wgpu::Features::SHADER_INT64,
        false => wgpu::Features::empty(),
    }
}

/// The loads of kernels on a device with `features`.
pub(super) fn loads(features: wgpu::Features) -> Loads {
    match features.contains(wgpu::Features::SHADER_INT64) {
        true => Loads::Wide,
        false => Loads::Narrow,
    }
}
