// Losses between a model's output and targets of the same shape, and their gradients. An invocation
// takes a run of RUN elements of a row.
//
// Preludes: invocation, step, order.

override ROWS: u32; // N
override LEN: u32; // elements of a row
override SCALE: f32; // 1/LEN for the mean over the elements
override FUNCTION: u32 = 0; // the discriminant of ops::Difference
override DELTA: f32 = 1.0; // where Huber's loss becomes linear

const RUN = 16u;

const SQUARE = 0u;
const ABSOLUTE = 1u;

@group(0) @binding(0) var<storage, read> output: array<f32>; // (N, LEN)
@group(0) @binding(1) var<storage, read> targets: array<f32>; // (N, LEN)
@group(0) @binding(2) var<storage, read_write> losses: array<f32>; // (N, runs)
@group(0) @binding(3) var<storage, read_write> d_output: array<f32>; // (N, LEN)

@group(0) @binding(3) var<storage, read_write> correct: array<u32>; // (N, runs)
@group(0) @binding(4) var<storage, read_write> d_logits: array<f32>; // (N, LEN)

// The sign of a − b, by integer keys: the difference may be a subnormal, which may be flushed.
fn sign_of_difference(a: f32, b: f32) -> f32 {
    let keys = vec2<u32>(ordered_key(bitcast<u32>(a)), ordered_key(bitcast<u32>(b)));
    return select(select(0.0, -1.0, keys.x < keys.y), 1.0, keys.x > keys.y);
}

// The loss of an element, and its derivative.
fn loss_of(value: f32, wanted: f32) -> vec2<f32> {
    let error = value - wanted;
    if FUNCTION == SQUARE {
        return vec2<f32>(error * error, 2.0 * error);
    }
    let size = abs(error);
    if FUNCTION == ABSOLUTE {
        return vec2<f32>(size, sign_of_difference(value, wanted));
    }
    if size <= DELTA {
        return vec2<f32>(0.5 * error * error, error);
    }
    return vec2<f32>(DELTA * (size - 0.5 * DELTA), sign(error) * DELTA);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn difference_loss(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let runs = (LEN + RUN - 1u) / RUN;
    let index = invocation(id, workgroups);
    let row = index / runs;
    if row >= ROWS {
        return;
    }
    let first = row * LEN + index % runs * RUN;
    let end = min(first + RUN, (row + 1u) * LEN);
    let is_real = row < this_step.rows;
    var loss = 0.0;
    for (var i = first; i < end; i++) {
        let found = loss_of(output[i], targets[i]);
        loss += found.x;
        d_output[i] = select(0.0, found.y * (SCALE * this_step.inverse_rows), is_real);
    }
    losses[index] = select(0.0, loss, is_real);
}

// log(1 + exp(-|x|)) and exp(-|x|). exp(-128) is below the smallest subnormal.
fn soft_part(x: f32) -> vec2<f32> {
    let z = exp(-min(abs(x), 128.0));
    return vec2<f32>(log(1.0 + z), z);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn binary_cross_entropy(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let runs = (LEN + RUN - 1u) / RUN;
    let index = invocation(id, workgroups);
    let row = index / runs;
    if row >= ROWS {
        return;
    }
    let first = row * LEN + index % runs * RUN;
    let end = min(first + RUN, (row + 1u) * LEN);
    let is_real = row < this_step.rows;
    let zero = ordered_key(0u);
    let half = ordered_key(bitcast<u32>(0.5));
    var loss = 0.0;
    var count = 0u;
    for (var i = first; i < end; i++) {
        let x = output[i];
        let wanted = targets[i];
        let soft = soft_part(x);
        loss += max(x, 0.0) - x * wanted + soft.x;
        let is_positive = ordered_key(bitcast<u32>(x)) > zero;
        let is_wanted = ordered_key(bitcast<u32>(wanted)) > half;
        count += select(0u, 1u, is_positive == is_wanted);
        let probability = select(soft.y, 1.0, x >= 0.0) / (1.0 + soft.y);
        let error = probability - wanted;
        d_logits[i] = select(0.0, error * (SCALE * this_step.inverse_rows), is_real);
    }
    losses[index] = select(0.0, loss, is_real);
    correct[index] = select(0u, count, is_real);
}
