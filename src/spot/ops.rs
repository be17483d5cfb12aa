//! The two ops that a spot check adds to a plan: one fills tensors, one picks elements.

use crate::ops::{Args, Bindings, Content, Cost, Element, Elements, ErrorBound, Op};

const SHADER: &str = include_str!("../../shaders/spot.wgsl");

/// The random word at `index` of a tensor filled with `seed`; as in the shader.
pub(super) fn random(seed: u32, index: usize) -> u32 {
    let counter = (index as u32).wrapping_add(seed);
    let state = counter
        .wrapping_mul(747_796_405)
        .wrapping_add(2_891_336_453);
    let word = (state >> ((state >> 28) + 4) ^ state).wrapping_mul(277_803_737);
    word >> 22 ^ word
}

/// What a tensor is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filling {
    /// The floats −2, −1, 1 and 2.
    Integers,
    /// Floats from −1 to 1.
    Spread,
    /// Black and white pixels, four bytes to a word: as floats they are 0 and 1, whose sums are exact.
    Pixels,
}

impl Filling {
    /// The word at `index` of a tensor filled with `seed`; as in the shader.
    pub fn word(self, seed: u32, index: usize) -> u32 {
        let word = random(seed, index);
        match self {
            Filling::Integers => {
                let magnitude = 1.0 + (word >> 1 & 1) as f32;
                (if word & 1 == 1 { -magnitude } else { magnitude }).to_bits()
            }
            // 24 bits, so that nothing is rounded.
            Filling::Spread => ((word >> 8) as f32 / (1u32 << 23) as f32 - 1.0).to_bits(),
            Filling::Pixels => (word & 0x0101_0101) * 0xff,
        }
    }
}

/// Fills a tensor with what looks random.
#[derive(Debug, Clone)]
pub(super) struct Fill {
    pub len: usize,
    pub filling: Filling,
}

/// Picks elements of a tensor by their indices.
#[derive(Debug, Clone)]
pub(super) struct Pick {
    pub len: usize,
    pub count: usize,
}

impl Op for Fill {
    fn name(&self) -> &'static str {
        match self.filling {
            Filling::Integers => "spot_fill_integers",
            Filling::Spread => "spot_fill_spread",
            Filling::Pixels => "spot_fill_pixels",
        }
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
            *word = self.filling.word(seed, index);
        }
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        Element::Word(self.filling.word(args.word(0, 0), index))
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
