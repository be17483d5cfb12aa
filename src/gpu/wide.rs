//! Loads of 64 bits, for software adapters.
//!
//! Their drivers load and store one component after the other for each invocation, and one of 64 bits costs
//! them little more than one of 32: lavapipe 10.3 against 8.8 ns, a store 7.3 against 4.9. So for them
//! `Four`, the four floats that kernels read and write at once, are two components, and `Pair`, two
//! words, is one: `shaders/prelude/loads_wide.wgsl`.

use super::Adapter;
use crate::ops::Loads;

/// The feature that wide loads need, on adapters that gain from it.
pub(super) fn feature(adapter: &Adapter) -> wgpu::Features {
    match adapter.is_software() {
        true => adapter.inner.features() & wgpu::Features::SHADER_INT64,
        false => wgpu::Features::empty(),
    }
}

/// How kernels load on a device with those features.
pub(super) fn loads(features: wgpu::Features) -> Loads {
    match features.contains(wgpu::Features::SHADER_INT64) {
        true => Loads::Wide,
        false => Loads::Narrow,
    }
}
