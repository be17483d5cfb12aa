//! The two ops that a spot check adds to a plan: one fills tensors, one picks elements.

use crate::ops::{Args, Bindings, Content, Cost, Element, Elements, ErrorBound, Op};

const SHADER: &str = include_str!("../../shaders/spot.wgsl");

/// The random word at `index` of a tensor filled with `seed`; as in the shader.
pub(super) fn random(seed: u32, index: usize) -> u32 {
    let counter = (index as u32).wrapping_add(seed);
    let state = counter.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let word = (state >> ((state >> 28) + 4) ^ state).wrapping_mul(277_803_737);
    word >> 22 ^ word
}

/// The bits of the float at `index` of a tensor filled with `seed`: −2, −1, 1 or 2.
pub(super) fn float(seed: u32, index: usize) -> u32 {
    let word = random(seed, index);
    let magnitude = 1.0 + (word >> 1 & 1) as f32;
    (if word & 1 == 1 { -magnitude } else { magnitude }).to_bits()
}

/// The word of black and white pixels at `index`: as floats they are 0 and 1, whose sums are exact.
pub(super) fn pixels(seed: u32, index: usize) -> u32 {
    (random(seed, index) & 0x0101_0101) * 0xff
}

/// Fills a tensor with floats that look random, or with pixels.
#[derive(Debug, Clone)]
pub(super) struct Fill {
    pub len: usize,
    pub pixels: bool,
}

impl Fill {
    fn word(&self, seed: u32, index: usize) -> u32 {
        if self.pixels { pixels(seed, index) } else { float(seed, index) }
    }
}

/// Picks elements of a tensor by their indices.
#[derive(Debug, Clone)]
pub(super) struct Pick {
    pub len: usize,
    pub count: usize,
}

impl Op for Fill {
    fn name(&self) -> &'static str {
        if self.pixels { "spot_fill_pixels" } else { "spot_fill" }
    }

    fn shader(&self) -> &'static str {
        SHADER
    }

    fn bindings(&self) -> Bindings {
        Bindings {
            inputs: vec![("seed", 1)],
            outputs: vec![("filled", self.len)],
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    fn invocations(&self) -> u64 {
        self.len as u64
    }

    fn longest_loop(&self) -> u64 {
        0
    }

    fn content(&self, _: usize) -> Content {
        Content::words(|_, random| random)
    }

    fn cost(&self) -> Cost {
        Cost::default()
    }

    fn reference(&self, args: &mut Args<'_>) {
        let seed = args.inputs[0][0];
        for (index, word) in args.outputs[0].iter_mut().enumerate() {
            *word = self.word(seed, index);
        }
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        Element::Word(self.word(args.word(0, 0), index))
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Exact]
    }
}

impl Op for Pick {
    fn name(&self) -> &'static str {
        "spot_pick"
    }

    fn shader(&self) -> &'static str {
        SHADER
    }

    fn bindings(&self) -> Bindings {
        Bindings {
            inputs: vec![("written", self.len), ("places", self.count)],
            outputs: vec![("picked", self.count)],
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    fn invocations(&self) -> u64 {
        self.count as u64
    }

    fn longest_loop(&self) -> u64 {
        0
    }

    fn content(&self, input: usize) -> Content {
        match input {
            1 => Content::below(self.len),
            _ => Content::words(|_, random| random),
        }
    }

    fn cost(&self) -> Cost {
        Cost::default()
    }

    fn reference(&self, args: &mut Args<'_>) {
        for (picked, &place) in args.outputs[0].iter_mut().zip(args.inputs[1]) {
            *picked = args.inputs[0][place as usize];
        }
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        Element::Word(args.word(0, args.word(1, index) as usize))
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Exact]
    }
}
