//! The ratio of two extents, by which an axis is divided into bins or resized, in exact integers.

use crate::error::{Error, Result};
use crate::shape::Size2d;

/// Maximum products of an extent and a term of a ratio: kernels compute a little over twice as
/// much, in u32.
const MOST: usize = 1 << 30;

/// `output/input`, two extents of an axis, in lowest terms: the same source indices, in smaller
/// numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) struct Ratio {
    pub input: usize,
    pub output: usize,
}

impl Ratio {
    /// In lowest terms.
    pub fn new(input: usize, output: usize) -> Self {
        let (mut divisor, mut rest) = (input.max(1), output);
        while rest != 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
        Ratio {
            input: input / divisor,
            output: output / divisor,
        }
    }

    /// The largest number of inputs that one of the outputs' bins covers, or one more: bin `o` is
    /// from `⌊o·input/output⌋` to before `⌈(o + 1)·input/output⌉`.
    pub fn longest_bin(self) -> usize {
        match self.output {
            1 => self.input,
            _ => self.input / self.output + 2,
        }
    }

    /// The ratio in the opposite direction.
    pub fn reversed(self) -> Self {
        Ratio {
            input: self.output,
            output: self.input,
        }
    }
}

/// Checks that kernels can compute with the ratios of two planes; `at` names the layer.
///
/// # Errors
/// An extent of zero, or one for which source indices exceed 32 bits.
pub(crate) fn check_ratios(at: &str, input: Size2d, output: Size2d) -> Result<()> {
    if output.height == 0 || output.width == 0 {
        let what = format!("{at}: output size");
        return Err(Error::value(what, "at least 1×1", output));
    }
    for (from, to) in [(input.height, output.height), (input.width, output.width)] {
        let ratio = Ratio::new(from, to);
        let product = to.saturating_mul(ratio.input);
        if product.max(to).max(from) > MOST {
            return Err(Error::value(
                format!("{at}: output size"),
                format!("extents whose common multiple is at most {MOST}"),
                format!("{from} to {to}"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_not_longer_than_said() {
        for (input, output) in (1..40).flat_map(|i| (1..40).map(move |o| (i, o))) {
            let ratio = Ratio::new(input, output);
            let bins = (0..output).map(|o| {
                ((o + 1) * ratio.input).div_ceil(ratio.output) - o * ratio.input / ratio.output
            });
            let longest = bins.max().unwrap_or(0);
            assert!(
                (longest..=longest + 1).contains(&ratio.longest_bin()),
                "{input} to {output}: {longest}"
            );
        }
    }

    #[test]
    fn extents_beyond_32_bits_are_refused() {
        let check = |from: usize, to: usize| check_ratios("up", (1, from).into(), (1, to).into());
        assert!(check(1 << 20, 1 << 21).is_ok());
        assert_eq!(
            check((1 << 20) + 1, 1 << 21).unwrap_err().to_string(),
            "up: output size: expected extents whose common multiple is at most 1073741824, \
             got 1048577 to 2097152"
        );
        assert!(check(3, 0).is_err());
        assert!(check(3, usize::MAX).is_err());
    }
}
