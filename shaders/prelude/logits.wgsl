// The argmax, softmax and loss of a row of logits. The kernel binds `logits`, the bits of (N, C)
// floats.

override CLASSES: u32; // C
override CLASS_STRIDE: u32 = 1u; // between the logits of a row, in `softmax`

// The class of the first largest logit.
fn first_largest(row: u32) -> u32 {
    var best = 0u;
    var best_key = ordered_key(logits[row * CLASSES]);
    for (var c = 1u; c < CLASSES; c++) {
        let key = ordered_key(logits[row * CLASSES + c]);
        if key > best_key {
            best = c;
            best_key = key;
        }
    }
    return best;
}

const NAN: u32 = 0x7fc00000u;
const INFINITY: u32 = 0x7f800000u;
const NEGATIVE_INFINITY: u32 = 0xff800000u;

// The terms of a row's softmax. WGSL may assume that there is neither NaN nor infinity, so both are
// tested, and written, as bits.
struct Softmax {
    largest: f32,
    sum: f32, // Σ exp(logit − largest)
    is_number: bool, // no logit is NaN or +∞, and not all are −∞
}

// exp(logit − largest), if the largest is finite.
fn exponential(bits: u32, largest: f32) -> f32 {
    let shifted = bitcast<f32>(bits) - largest;
    let is_zero = bits == NEGATIVE_INFINITY || bitcast<u32>(shifted) == NEGATIVE_INFINITY;
    return select(exp(shifted), 0.0, is_zero);
}

fn softmax(first: u32) -> Softmax {
    // The largest logit is subtracted, so that no exponential overflows.
    var largest = logits[first];
    for (var c = 1u; c < CLASSES; c++) {
        let bits = logits[first + c * CLASS_STRIDE];
        if ordered_key(bits) > ordered_key(largest) {
            largest = bits;
        }
    }
    let magnitude = largest & 0x7fffffffu;
    var sum = 0.0;
    for (var c = 0u; c < CLASSES; c++) {
        sum += exponential(logits[first + c * CLASS_STRIDE], bitcast<f32>(largest));
    }
    return Softmax(bitcast<f32>(largest), sum, magnitude < INFINITY);
}

// The bits of −log softmax of the label's logit.
fn loss_of(row: Softmax, logit: u32) -> u32 {
    let loss = log(row.sum) - (bitcast<f32>(logit) - row.largest);
    let bits = select(bitcast<u32>(loss), INFINITY, logit == NEGATIVE_INFINITY);
    return select(NAN, bits, row.is_number);
}
