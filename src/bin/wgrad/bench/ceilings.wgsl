// The rates an adapter reaches with kernels that do only one thing.

override LEN: u32; // elements to copy
override ROUNDS: u32; // of multiply-adds
override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> words: array<u32>; // (LEN)
@group(0) @binding(1) var<storage, read_write> words_copy: array<u32>; // (LEN)

@group(0) @binding(0) var<storage, read> vectors: array<vec4<u32>>; // (LEN)
@group(0) @binding(1) var<storage, read_write> vectors_copy: array<vec4<u32>>; // (LEN)

@group(0) @binding(0) var<storage, read> factors: array<f32>; // (2)
@group(0) @binding(1) var<storage, read_write> sums: array<f32>; // one an invocation

fn flat(id: vec3<u32>, workgroups: vec3<u32>) -> u32 {
    return id.x + id.y * workgroups.x * WORKGROUP_SIZE;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn copy_words(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let i = flat(id, workgroups);
    if i < LEN {
        words_copy[i] = words[i];
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn copy_vectors(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let i = flat(id, workgroups);
    if i < LEN {
        vectors_copy[i] = vectors[i];
    }
}

// Twelve independent chains of multiply-adds: few enough for the sixteen registers of old CPUs,
// enough to hide the latency of one.
@compute @workgroup_size(WORKGROUP_SIZE)
fn multiply_add(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let i = flat(id, workgroups);
    // Read from memory, so that the compiler cannot evaluate the sums.
    let a = vec4<f32>(factors[0]);
    let b = vec4<f32>(factors[1]);
    var x = vec4<f32>(f32(i));
    var y = x + 1.0;
    var z = x + 2.0;
    // Eight multiply-adds per chain, so that the loop overhead is small.
    for (var round = 0u; round < ROUNDS; round++) {
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
    }
    if i < arrayLength(&sums) {
        sums[i] = dot(x + y + z, vec4<f32>(1.0));
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn empty() {}
