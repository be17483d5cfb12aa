// Smooth activations and leaky ReLU, and their gradients, one element per invocation.
//
// All but leaky ReLU are written with exp of an argument that is not positive, so that nothing
// overflows; larger magnitudes than the limits below change no result. NaN stays NaN.
//
// Preludes: invocation, relu.

override LEN: u32;
override FUNCTION: u32; // the discriminant of ops::Activation
override SLOPE: f32; // of leaky ReLU below zero

const LEAKY_RELU = 0u;
const SIGMOID = 1u;
const TANH = 2u;
const SILU = 3u;
const GELU = 4u;
const GELU_TANH = 5u;

@group(0) @binding(0) var<storage, read> input: array<f32>; // any shape
@group(0) @binding(1) var<storage, read_write> output: array<f32>; // as input

@group(0) @binding(1) var<storage, read> d_output: array<f32>; // as input
@group(0) @binding(2) var<storage, read_write> d_input: array<f32>; // as input

// exp(-|x|). exp(-128) is below the smallest subnormal.
fn decay(x: f32) -> f32 {
    return exp(-min(abs(x), 128.0));
}

fn sigmoid(x: f32) -> f32 {
    let z = decay(x);
    return select(z, 1.0, x >= 0.0) / (1.0 + z);
}

// sigmoid(x) * sigmoid(-x), the derivative of sigmoid.
fn sigmoid_slope(x: f32) -> f32 {
    let z = decay(x);
    return z / ((1.0 + z) * (1.0 + z));
}

// Near zero by the polynomial of tanhf in Moshier's Cephes library, since 1 - z cancels there.
fn hyperbolic_tangent(x: f32) -> f32 {
    let square = x * x;
    if abs(x) < 0.625 {
        var sum = -5.70498872745e-3;
        sum = fma(sum, square, 2.06390887954e-2);
        sum = fma(sum, square, -5.37397155531e-2);
        sum = fma(sum, square, 1.33314422036e-1);
        sum = fma(sum, square, -3.33332819422e-1);
        return x + x * (square * sum);
    }
    let z = decay(2.0 * x);
    return sign(x) * (1.0 - z) / (1.0 + z);
}

// The normal distribution's integral up to -|x|: half of erfc(|x|/√2), by the fit of Press et al.,
// Numerical Recipes, §6.2, whose relative error is below 1.2e-7.
fn tail(x: f32) -> f32 {
    let distance = min(abs(x), 16.0);
    let t = 1.0 / (1.0 + 0.35355339 * distance);
    var sum = 0.17087277;
    sum = fma(sum, t, -0.82215223);
    sum = fma(sum, t, 1.48851587);
    sum = fma(sum, t, -1.13520398);
    sum = fma(sum, t, 0.27886807);
    sum = fma(sum, t, -0.18628806);
    sum = fma(sum, t, 0.09678418);
    sum = fma(sum, t, 0.37409196);
    sum = fma(sum, t, 1.00002368);
    sum = fma(sum, t, -1.26551223);
    return 0.5 * t * exp(sum - 0.5 * distance * distance);
}

fn normal_integral(x: f32) -> f32 {
    let beyond = tail(x);
    return select(beyond, 1.0 - beyond, x >= 0.0);
}

// The argument of sigmoid in GELU's approximation by tanh, and its derivative.
fn gelu_argument(x: f32) -> vec2<f32> {
    let square = x * x;
    return 1.5957691 * vec2<f32>(x * (1.0 + 0.044715 * square), 1.0 + 0.134145 * square);
}

fn activation(x: f32) -> f32 {
    switch FUNCTION {
        case LEAKY_RELU: {
            return select(SLOPE * x, x, passes(x));
        }
        case SIGMOID: {
            return sigmoid(x);
        }
        case TANH: {
            return hyperbolic_tangent(x);
        }
        case SILU: {
            return x * sigmoid(x);
        }
        case GELU: {
            return x * normal_integral(x);
        }
        default: {
            return x * sigmoid(gelu_argument(clamp(x, -16.0, 16.0)).x);
        }
    }
}

fn slope(x: f32) -> f32 {
    // The second summands below vanish beyond: their squares must not overflow.
    let near = clamp(x, -16.0, 16.0);
    switch FUNCTION {
        case LEAKY_RELU: {
            return select(SLOPE, 1.0, passes(x));
        }
        case SIGMOID: {
            return sigmoid_slope(x);
        }
        case TANH: {
            return 4.0 * sigmoid_slope(2.0 * x);
        }
        case SILU: {
            return sigmoid(x) + x * sigmoid_slope(x);
        }
        case GELU: {
            return normal_integral(x) + near * 0.3989423 * exp(-0.5 * near * near);
        }
        default: {
            let argument = gelu_argument(near);
            return sigmoid(argument.x) + near * (sigmoid_slope(argument.x) * argument.y);
        }
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn activation_forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN {
        return;
    }
    let x = input[index];
    if is_nan(x) {
        output[index] = x;
        return;
    }
    output[index] = activation(x);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn activation_backward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= LEN {
        return;
    }
    let x = input[index];
    if is_nan(x) {
        d_input[index] = x;
        return;
    }
    d_input[index] = d_output[index] * slope(x);
}
