//! The runs of elements that group and layer normalisation normalise.

use super::batch_norm::Sizes;
use crate::ops::WORKGROUP_SIZE;
use crate::ops::case::Random;

/// An array cut into runs of consecutive elements, each normalised by its own mean and deviation:
/// the channels of a group, or the last extents of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runs {
    /// R: runs, N·G.
    pub runs: usize,
    /// L: elements of each.
    pub len: usize,
    /// Consecutive elements that share a weight and a bias: H·W for groups of channels, 1 for the
    /// last extents. It divides L, and is L if there are no weights.
    pub area: usize,
    /// W: weights, one for each area in turn; `None` if there are none.
    pub weights: Option<usize>,
}

impl Runs {
    /// Elements of the array.
    pub(in crate::ops) fn elements(&self) -> usize {
        self.runs * self.len
    }

    /// P: the areas of the array.
    pub(in crate::ops) fn areas(&self) -> usize {
        self.elements() / self.area
    }

    /// The areas of a run.
    pub(in crate::ops) fn areas_of_run(&self) -> usize {
        self.len / self.area
    }

    /// The runs as the parts of which their moments are computed.
    pub(in crate::ops) fn as_parts(&self) -> Sizes {
        Sizes::new(1, self.runs, self.len)
    }

    /// The areas as the parts of which sums are computed.
    pub(in crate::ops) fn areas_as_parts(&self) -> Sizes {
        Sizes::new(1, self.areas(), self.area)
    }

    /// Parts of each area.
    pub fn parts_of_area(&self) -> usize {
        self.areas_as_parts().parts_of_plane()
    }

    /// The run of an element.
    pub(in crate::ops) fn run_of(&self, element: usize) -> usize {
        element / self.len
    }

    /// The weight of an area, in `values`; `otherwise` if there are none.
    pub(in crate::ops) fn weight_of(
        &self,
        area: usize,
        values: impl Fn(usize) -> f64,
        otherwise: f64,
    ) -> f64 {
        self.weights
            .map_or(otherwise, |weights| values(area % weights))
    }

    /// Words of a binding of weights: without weights, the array of means takes its place.
    pub(in crate::ops) fn weight_words(&self) -> usize {
        self.weights.unwrap_or(self.runs)
    }

    /// Values that each lane of a workgroup adds, if a workgroup adds the parts of a run.
    pub(in crate::ops) fn parts_of_lane(&self) -> usize {
        let parts = self.areas_of_run() * self.parts_of_area();
        parts.div_ceil(WORKGROUP_SIZE as usize)
    }

    /// The constants of the kernels that read weights.
    pub(in crate::ops) fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("RUNS", self.runs as f64),
            ("RUN_LEN", self.len as f64),
            ("AFFINE", crate::ops::flag(self.weights.is_some())),
            ("WEIGHTS", self.weights.unwrap_or(1) as f64),
        ]
    }

    /// Groups of channels, the last extents of a shape, or runs without weights.
    pub(in crate::ops) fn random(random: &mut Random) -> Self {
        match random.below(3) {
            0 => {
                let (groups, channels) = (random.size(4), random.size(4));
                let area = [random.size(20), random.size(300)][random.below(2)];
                Runs {
                    runs: random.size(3) * groups,
                    len: channels * area,
                    area,
                    weights: Some(groups * channels),
                }
            }
            1 => {
                let len = random.size(200);
                Runs {
                    runs: random.size(9),
                    len,
                    area: 1,
                    weights: Some(len),
                }
            }
            _ => {
                let len = random.size(300);
                Runs {
                    runs: random.size(9),
                    len,
                    area: len,
                    weights: None,
                }
            }
        }
    }
}
