// Runs a loop for a given number of iterations, on a recurrence without a closed form: the state
// shows how many were really executed.
//
// Preludes: invocation.

@group(0) @binding(0) var<storage, read> iterations: array<u32>; // (1)
@group(0) @binding(1) var<storage, read_write> state: array<u32>; // (1)

@compute @workgroup_size(WORKGROUP_SIZE)
fn loop_probe(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x > 0u {
        return;
    }
    // Xorshift (Marsaglia, 2003): a period of 2³² − 1.
    var x = 1u;
    for (var i = 0u; i < iterations[0]; i++) {
        x ^= x << 13u;
        x ^= x >> 17u;
        x ^= x << 5u;
    }
    state[0] = x;
}
