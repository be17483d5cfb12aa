//! The sizes that the ops of batch normalisation share, and the parts into which planes are cut.

use std::ops::Range;

use crate::ops::{Step, WORKGROUP_SIZE, nested_loops};

/// Maximum elements per part. A short part has a short loop and a small error, and gives the
/// adapter many parts to sum in parallel.
const PART: usize = 128;

/// An array of (N, C, AREA), whose channels are normalised.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct Sizes {
    /// N.
    pub rows: usize,
    /// C.
    pub channels: usize,
    /// H·W; 1 for features.
    pub area: usize,
}

impl Sizes {
    /// An array of (`rows`, `channels`, `area`).
    pub fn new(rows: usize, channels: usize, area: usize) -> Self {
        Sizes {
            rows,
            channels,
            area,
        }
    }

    /// Elements of the array.
    pub fn len(&self) -> usize {
        self.rows * self.channels * self.area
    }

    /// Elements that a kernel processes at once: four if the area is a multiple of four.
    pub fn at_once(&self) -> usize {
        if self.area.is_multiple_of(4) { 4 } else { 1 }
    }

    /// Parts per plane; none is empty.
    pub fn parts_of_plane(&self) -> usize {
        self.area.div_ceil(PART)
    }

    /// Elements of each part of a plane but the last.
    pub fn part_len(&self) -> usize {
        let at_once = self.at_once();
        (self.area / at_once).div_ceil(self.parts_of_plane()) * at_once
    }

    /// Parts of all planes.
    pub fn parts(&self) -> usize {
        self.rows * self.channels * self.parts_of_plane()
    }

    /// The elements of part `part`.
    pub fn elements_of(&self, part: usize) -> Range<usize> {
        let (plane, part) = (part / self.parts_of_plane(), part % self.parts_of_plane());
        let begin = part * self.part_len();
        let end = (begin + self.part_len()).min(self.area);
        plane * self.area + begin..plane * self.area + end
    }

    /// The channel of part `part`.
    pub fn channel_of_part(&self, part: usize) -> usize {
        part / self.parts_of_plane() % self.channels
    }

    /// The channel of an element.
    pub fn channel_of(&self, element: usize) -> usize {
        element / self.area % self.channels
    }

    /// Whether an element is in one of the step's rows.
    pub fn is_real(&self, element: usize, step: &Step) -> bool {
        element / (self.area * self.channels) < step.rows as usize
    }

    /// The parts of a channel in the step's rows.
    pub fn parts_of_channel(&self, channel: usize, step: &Step) -> impl Iterator<Item = usize> {
        let (channels, parts) = (self.channels, self.parts_of_plane());
        let rows = self.rows.min(step.rows as usize);
        (0..rows).flat_map(move |row| {
            let first = (row * channels + channel) * parts;
            first..first + parts
        })
    }

    /// The elements of a channel in the step's rows.
    pub fn count(&self, step: &Step) -> f64 {
        (self.rows.min(step.rows as usize) * self.area) as f64
    }

    /// The longest chain of additions when a workgroup sums a channel: a lane's values, and one per
    /// round of the tree that adds the lanes.
    pub fn terms_of_channel(&self) -> usize {
        self.parts_of_lane() + WORKGROUP_SIZE.ilog2() as usize
    }

    /// Parts of a channel per lane of a workgroup.
    pub fn parts_of_lane(&self) -> usize {
        (self.rows * self.parts_of_plane()).div_ceil(WORKGROUP_SIZE as usize)
    }

    /// Iterations of a loop over a part.
    pub fn loop_over_part(&self) -> u64 {
        nested_loops(&[self.part_len() / self.at_once()])
    }

    /// The constants of all kernels of the family.
    pub fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("ROWS", self.rows as f64),
            ("CHANNELS", self.channels as f64),
            ("AREA", self.area as f64),
        ]
    }

    /// [`Self::constants`], and those of the parts.
    pub fn constants_of_parts(&self) -> Vec<(&'static str, f64)> {
        let mut constants = self.constants();
        constants.push(("PARTS", self.parts_of_plane() as f64));
        constants.push(("PART_LEN", self.part_len() as f64));
        constants
    }
}

/// Iterations of the loop that adds the lanes of a workgroup.
pub(in crate::ops) fn loop_over_lanes() -> u64 {
    nested_loops(&[WORKGROUP_SIZE.ilog2() as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_every_plane_and_none_is_empty() {
        for area in (1..700).chain([4096, 100_003]) {
            let sizes = Sizes::new(2, 3, area);
            let parts = (0..sizes.parts()).map(|part| sizes.elements_of(part));
            let end = parts.fold(0, |end, part| {
                assert_eq!(part.start, end, "{area}");
                assert!((1..=PART).contains(&part.len()), "{area}: {part:?}");
                assert!(part.len().is_multiple_of(sizes.at_once()), "{area}");
                part.end
            });
            assert_eq!(end, sizes.len());
        }
    }
}
