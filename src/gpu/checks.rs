//! wgpu's run-time checks of kernels, and how the crate's own kernels do without them.
//!
//! By default wgpu compiles into each kernel a clamp of every index, a counter of the iterations of
//! every loop, and a guard of every division. It must, because a kernel may come from anywhere.

use super::device::Device;
use crate::ops::{Op, is_own};

/// Whether the crate's kernels may go without the checks on a backend.
///
/// Only on Vulkan: there the driver itself keeps accesses within a buffer
/// (`robustBufferAccess`, which wgpu enables), so that what a kernel reads in vain past its end, and
/// never stores, does no harm. GL's compiler has none of these checks; on others they stay.
pub(super) fn may_be_unchecked(backend: wgpu::Backend) -> bool {
    backend == wgpu::Backend::Vulkan
}

/// Whether the kernel of `op` is compiled with the checks.
pub(super) fn has_checks(device: &Device, op: &dyn Op) -> bool {
    device.checks || !is_own(op)
}

/// Compiles WGSL, with the checks or without.
///
/// Only a kernel of the crate's own ops may go without: [`has_checks`].
#[allow(unsafe_code, reason = "kernels without run-time checks")]
pub(super) fn module(
    device: &wgpu::Device,
    descriptor: wgpu::ShaderModuleDescriptor<'_>,
    checks: bool,
) -> wgpu::ShaderModule {
    if checks {
        return device.create_shader_module(descriptor);
    }
    let unchecked = wgpu::ShaderRuntimeChecks::unchecked();
    // SAFETY: the kernel is one of `shaders/`, started by an op of `ops` with constants that it
    // made itself, so that:
    // - Accesses of storage buffers and uniforms are kept within the buffer by the driver, on the
    //   backends of `may_be_unchecked`.
    // - Arrays in workgroup memory and in registers have constant extents, or one entry for each
    //   invocation of the workgroup. They are indexed by the invocation's number in its workgroup,
    //   or by counters of loops that end at the extent.
    // - Loops end: each counts up or down by a constant to a bound below 2³², the length of a
    //   buffer in words at most, which `plan::Builder` and the device's limits hold.
    // - Divisors are extents, which are not zero: `plan::Builder` refuses empty tensors; and all
    //   numbers divided are unsigned or not negative.
    // - There are no ray queries, tasks or meshes.
    // The tests run every kernel with the checks and without, and compare the bits.
    unsafe { device.create_shader_module_trusted(descriptor, unchecked) }
}
