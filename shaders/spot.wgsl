// What a spot check needs on the device: inputs that fill an op's tensors, and single elements of what it
// wrote.

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> seed: array<u32>; // (1)
@group(0) @binding(1) var<storage, read_write> filled: array<f32>;
@group(0) @binding(1) var<storage, read_write> pixels: array<u32>;

@group(0) @binding(0) var<storage, read> written: array<u32>;
@group(0) @binding(1) var<storage, read> places: array<u32>;
@group(0) @binding(2) var<storage, read_write> picked: array<u32>; // as many as places

// PCG's output function (O'Neill, 2014) of a counter.
fn random(index: u32) -> u32 {
    let state = (index + seed[0]) * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}

// −2, −1, 1 and 2: none is lost in a product, and sums of many products are exact.
@compute @workgroup_size(WORKGROUP_SIZE)
fn spot_fill_integers(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = id.x + id.y * workgroups.x * WORKGROUP_SIZE;
    if index >= arrayLength(&filled) {
        return;
    }
    let word = random(index);
    let magnitude = f32(1u + (word >> 1u & 1u));
    filled[index] = select(magnitude, -magnitude, (word & 1u) == 1u);
}

// From −1 to 1; of 24 bits, so that nothing is rounded.
@compute @workgroup_size(WORKGROUP_SIZE)
fn spot_fill_spread(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = id.x + id.y * workgroups.x * WORKGROUP_SIZE;
    if index < arrayLength(&filled) {
        filled[index] = f32(random(index) >> 8u) * 0x1p-23f - 1.0;
    }
}

// Black and white, four pixels to a word: as floats they are 0 and 1.
@compute @workgroup_size(WORKGROUP_SIZE)
fn spot_fill_pixels(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = id.x + id.y * workgroups.x * WORKGROUP_SIZE;
    if index < arrayLength(&pixels) {
        pixels[index] = (random(index) & 0x01010101u) * 0xffu;
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn spot_pick(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = id.x + id.y * workgroups.x * WORKGROUP_SIZE;
    if index < arrayLength(&places) {
        picked[index] = written[places[index]];
    }
}
