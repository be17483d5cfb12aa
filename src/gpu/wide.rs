//! Loads of 64 bits, for drivers that run kernels on a processor.
//!
//! Such drivers load and store one component after the other for each invocation, and one of 64 bits costs
//! them little more than one of 32: lavapipe 10.3 against 8.8 ns, a store 7.3 against 4.9. So for them
//! `Four`, the four floats that kernels read and write at once, are two components, and `Pair`, two
//! words, is one.

use std::borrow::Cow;

use super::Adapter;

/// How WGSL files define what they read and write, and how it is defined for drivers that count components.
const DEFINITIONS: [[&str; 2]; 2] = [
    [
        "\
alias Four = vec4<f32>;
fn unpack(four: Four) -> vec4<f32> { return four; }
fn pack(floats: vec4<f32>) -> Four { return floats; }
",
        "\
alias Four = vec2<u64>;
fn unpack(four: Four) -> vec4<f32> {
    let low = vec2<u32>(four);
    let high = vec2<u32>(four >> vec2<u32>(32u));
    return bitcast<vec4<f32>>(vec4<u32>(low.x, high.x, low.y, high.y));
}
fn pack(floats: vec4<f32>) -> Four {
    let bits = bitcast<vec4<u32>>(floats);
    return vec2<u64>(bits.xz) | (vec2<u64>(bits.yw) << vec2<u32>(32u));
}
",
    ],
    [
        "\
alias Pair = vec2<u32>;
fn words(pair: Pair) -> vec2<u32> { return pair; }
",
        "\
alias Pair = u64;
fn words(pair: Pair) -> vec2<u32> { return vec2<u32>(u32(pair), u32(pair >> 32u)); }
",
    ],
];

/// The feature that the wide definition needs, on adapters that gain from it.
pub(super) fn feature(adapter: &Adapter) -> wgpu::Features {
    match adapter.is_software() {
        true => adapter.inner.features() & wgpu::Features::SHADER_INT64,
        false => wgpu::Features::empty(),
    }
}

/// The text of a kernel for a device with those features.
pub(super) fn source(shader: &'static str, features: wgpu::Features) -> Cow<'static, str> {
    let mut source = Cow::from(shader);
    if features.contains(wgpu::Features::SHADER_INT64) {
        for [narrow, wide] in DEFINITIONS {
            source = source.replace(narrow, wide).into();
        }
    }
    source
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::SHADERS;

    /// A definition that a WGSL file spells another way would stay as it is, unnoticed.
    #[test]
    fn every_definition_is_found_and_its_replacement_valid() {
        for shader in SHADERS {
            let wide = source(shader, wgpu::Features::SHADER_INT64);
            for (name, [narrow, _]) in ["alias Four", "alias Pair"].iter().zip(DEFINITIONS) {
                assert_eq!(shader.contains(name), shader.contains(narrow), "{shader}");
                assert!(!wide.contains(narrow), "{wide}");
            }
            let module = naga::front::wgsl::parse_str(&wide).unwrap();
            let capabilities =
                naga::valid::Capabilities::SUBGROUP | naga::valid::Capabilities::SHADER_INT64;
            let flags = naga::valid::ValidationFlags::all();
            let validated = naga::valid::Validator::new(flags, capabilities).validate(&module);
            validated.unwrap_or_else(|error| panic!("{}", error.emit_to_string(&wide)));
            assert_eq!(source(shader, wgpu::Features::empty()), *shader);
        }
    }
}
