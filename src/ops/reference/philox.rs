//! Philox4x32-10: four random words from a key and a counter, without state (Salmon, Moraes, Dror
//! and Shaw, *Parallel random numbers: as easy as 1, 2, 3*, 2011). `shaders/prelude/philox.wgsl` is
//! the same.

/// Number of rounds.
pub(in crate::ops) const ROUNDS: usize = 10;

/// The random words of `counter` under `key`.
pub(in crate::ops) fn philox(mut key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    let product = |a: u32, b: u32| {
        let product = u64::from(a) * u64::from(b);
        [product as u32, (product >> 32) as u32]
    };
    let mut words = counter;
    for _ in 0..ROUNDS {
        let [low0, high0] = product(0xd251_1f53, words[0]);
        let [low1, high1] = product(0xcd9e_8d57, words[2]);
        words = [
            high1 ^ words[1] ^ key[0],
            low1,
            high0 ^ words[3] ^ key[1],
            low0,
        ];
        key = [
            key[0].wrapping_add(0x9e37_79b9),
            key[1].wrapping_add(0xbb67_ae85),
        ];
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors of Random123, the authors' own implementation.
    #[test]
    fn known_answers() {
        let all = u32::MAX;
        assert_eq!(
            philox([0; 2], [0; 4]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox([all; 2], [all; 4]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(
            philox([0xa409_3822, 0x299f_31d0], pi),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }
}
