//! Shared by the ops of a pooled convolution: sizes, constants, and inputs that may be a data set's
//! bytes.

use std::borrow::Cow;

use crate::ops::gather::pixel_of;
use crate::ops::{Args, Binding, Bindings, Content, ConvSizes, Cost, Elements, Gather, flag};
use crate::shape::Size2d;

/// (OH/2, OW/2).
pub(in crate::ops) fn pooled_size(sizes: &ConvSizes) -> (usize, usize) {
    let Size2d { height, width } = sizes.geometry.output;
    (height / 2, width / 2)
}

pub(in crate::ops) fn pooled_len(sizes: &ConvSizes) -> usize {
    let (height, width) = pooled_size(sizes);
    sizes.batch * sizes.out_channels * height * width
}

/// The four pixels of each window of a plane.
pub(in crate::ops) fn windows(sizes: &ConvSizes) -> impl Iterator<Item = [usize; 4]> + use<> {
    let ((height, width), row) = (pooled_size(sizes), sizes.geometry.output.width);
    (0..height).flat_map(move |ph| {
        (0..width).map(move |pw| {
            let first = 2 * ph * row + 2 * pw;
            [first, first + 1, first + row, first + row + 1]
        })
    })
}

pub(in crate::ops) fn constants(
    sizes: &ConvSizes,
    gathered: Option<usize>,
    accumulate: bool,
) -> Vec<(&'static str, f64)> {
    let mut constants = sizes.constants();
    constants.push(("ACCUMULATE", flag(accumulate)));
    constants.push(("GATHERED", flag(gathered.is_some())));
    constants
}

/// The images and their order: bytes of the data set if it has so many samples, or the batch, which
/// is bound in place of the order too.
pub(in crate::ops) fn inputs(sizes: &ConvSizes, gathered: Option<usize>) -> [Binding; 2] {
    let batch = sizes.input_len();
    match gathered {
        Some(samples) => {
            let words = (samples * batch / sizes.batch).div_ceil(4);
            [
                Binding::read("input", words).of(Content::Pixels),
                Binding::read("order", samples).of(Content::below(samples)),
            ]
        }
        None => [
            Binding::read("input", batch),
            Binding::read("order", batch).of(Content::Any),
        ],
    }
}

/// One value of the batch.
pub(in crate::ops) fn value_at(
    sizes: &ConvSizes,
    gathered: Option<usize>,
    args: &Elements<'_>,
    at: usize,
) -> f64 {
    if gathered.is_none() {
        return args.float(0, at);
    }
    let len = sizes.input_len() / sizes.batch;
    pixel_of(args, 3, at / len, len, at % len)
}

/// The batch, as floats.
pub(in crate::ops) fn images<'a>(
    sizes: &ConvSizes,
    gathered: Option<usize>,
    args: &Args<'a>,
) -> Cow<'a, [f32]> {
    let Some(samples) = gathered else {
        return Cow::Borrowed(args.input(0));
    };
    let mut batch = vec![0.0; sizes.input_len()];
    let gather = Gather {
        rows: sizes.batch,
        sample_len: batch.len() / sizes.batch,
        samples,
    };
    gather.images(args.inputs[0], args.inputs[3], args.step, &mut batch);
    Cow::Owned(batch)
}

/// When gathering, only the batch is read, one byte per pixel.
pub(in crate::ops) fn cost(
    flop: usize,
    sizes: &ConvSizes,
    gathered: Option<usize>,
    mut bindings: Bindings,
) -> Cost {
    let batch = sizes.input_len();
    (bindings.inputs[0].words, bindings.inputs[3].words) =
        gathered.map_or((batch, 0), |_| (batch.div_ceil(4), sizes.batch));
    Cost::new(flop, &bindings)
}
