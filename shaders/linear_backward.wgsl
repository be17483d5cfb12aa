// All gradients of a fully connected layer in one dispatch: d_weight = d_outputᵀ·input and d_bias,
// and d_input = d_output·weight. One workgroup computes a 4×4 tile of either product: each lane sums
// a part of the terms. For small layers, whose dispatches take longer than their arithmetic.
//
// Preludes: invocation, relu, outer, tile_lanes.

override BATCH: u32; // N
override OUTPUTS: u32; // O
override INPUTS: u32; // I
override MASKED: bool; // the input is a ReLU's output: its gradient is zero where ReLU was
override ACCUMULATE: bool; // add to d_weight and d_bias

@group(0) @binding(0) var<storage, read> d_output: array<f32>; // (N, O)
@group(0) @binding(1) var<storage, read> input: array<f32>; // (N, I)
@group(0) @binding(2) var<storage, read> weight: array<f32>; // (O, I)
@group(0) @binding(3) var<storage, read_write> d_weight: array<f32>; // (O, I)
@group(0) @binding(4) var<storage, read_write> d_bias: array<f32>; // (O)
@group(0) @binding(5) var<storage, read_write> d_input: array<f32>; // (N, I)

const TILE: u32 = 4u;
const FOUR = vec4<u32>(0u, 1u, 2u, 3u);

// Columns i to i + 3 of the tile from (o, i) on of d_weight, and the same rows of d_bias. Indices
// past the edge are clamped; their results are not stored.
fn weight_tile(o: u32, i: u32, lane: u32) {
    let outputs = min(o + FOUR, vec4<u32>(OUTPUTS - 1u));
    let inputs = min(i + FOUR, vec4<u32>(INPUTS - 1u));
    var rows = mat4x4<f32>();
    var sums = vec4<f32>();
    for (var n = lane; n < BATCH; n += WORKGROUP_SIZE) {
        let at = n * OUTPUTS + outputs;
        let column = vec4<f32>(d_output[at.x], d_output[at.y], d_output[at.z], d_output[at.w]);
        let row = n * INPUTS + inputs;
        rows += outer(column, vec4<f32>(input[row.x], input[row.y], input[row.z], input[row.w]));
        sums += column;
    }
    rows = all_lanes(rows, lane);
    let r = lane / TILE;
    let c = lane % TILE;
    if r < TILE && o + r < OUTPUTS && i + c < INPUTS {
        let at = (o + r) * INPUTS + i + c;
        d_weight[at] = rows[r][c] + select(0.0, d_weight[at], ACCUMULATE);
    }
    if i > 0u {
        return;
    }
    sums = all_lanes(mat4x4<f32>(sums, sums, sums, sums), lane)[0];
    if lane < TILE && o + lane < OUTPUTS {
        d_bias[o + lane] = sums[lane] + select(0.0, d_bias[o + lane], ACCUMULATE);
    }
}

// The tile from (n, i) on of d_input.
fn input_tile(n: u32, i: u32, lane: u32) {
    let samples = min(n + FOUR, vec4<u32>(BATCH - 1u)) * OUTPUTS;
    let inputs = min(i + FOUR, vec4<u32>(INPUTS - 1u));
    var rows = mat4x4<f32>();
    for (var o = lane; o < OUTPUTS; o += WORKGROUP_SIZE) {
        let at = samples + o;
        let column = vec4<f32>(d_output[at.x], d_output[at.y], d_output[at.z], d_output[at.w]);
        let row = o * INPUTS + inputs;
        rows += outer(column, vec4<f32>(weight[row.x], weight[row.y], weight[row.z], weight[row.w]));
    }
    rows = all_lanes(rows, lane);
    let r = lane / TILE;
    let c = lane % TILE;
    if r < TILE && n + r < BATCH && i + c < INPUTS {
        let at = (n + r) * INPUTS + i + c;
        d_input[at] = select(rows[r][c], 0.0, MASKED && !passes(input[at]));
    }
}

// Workgroups take the tiles of d_weight, then those of d_input.
@compute @workgroup_size(WORKGROUP_SIZE)
fn linear_backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = workgroup_index(workgroup, workgroups);
    let columns = (INPUTS + TILE - 1u) / TILE;
    let weight_rows = (OUTPUTS + TILE - 1u) / TILE;
    let row = tile / columns;
    let i = tile % columns * TILE;
    if row < weight_rows {
        weight_tile(row * TILE, i, lane);
    } else {
        input_tile((row - weight_rows) * TILE, i, lane);
    }
}
