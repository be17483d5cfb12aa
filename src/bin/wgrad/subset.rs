//! Some of the samples of a data set.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use wgrad::Result;
use wgrad::data::{Array, Data, Source, Target};

/// `count` samples of a data set's training set, drawn by a seed.
#[derive(Debug)]
pub struct Subset {
    data: Data,
    samples: Vec<u32>,
}

impl Subset {
    pub fn draw(data: &Data, count: usize, seed: u64) -> Self {
        let mut samples: Vec<u32> = (0..data.train().len() as u32).collect();
        samples.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        samples.truncate(count);
        Subset {
            data: data.clone(),
            samples,
        }
    }
}

impl Source for Subset {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn input(&self) -> Array {
        self.data.train().input()
    }

    fn target(&self) -> Target {
        self.data.train().target()
    }

    fn read(&self, samples: &[u32], inputs: &mut [u8], targets: &mut [u8]) -> Result<()> {
        let samples = samples.iter().map(|&sample| self.samples[sample as usize]);
        let samples: Vec<u32> = samples.collect();
        self.data.train().read(&samples, inputs, targets)
    }
}
