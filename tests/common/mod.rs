//! Shared by the test programs: the adapter to test on, and random numbers.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod altered;
pub mod fragile;
pub mod twins;

use std::path::PathBuf;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wgrad::data::{Dataset, Samples};
use wgrad::nn::{Module, Sequential, models};
use wgrad::{Device, Error};

/// The adapter under test: the one named by `WGRAD_ADAPTER`, or the best one.
///
/// Without an adapter the test fails, unless `WGRAD_SKIP_GPU` is set: then this is `None`, and the
/// test prints that it was skipped.
pub fn gpu() -> Option<Device> {
    let name = std::env::var("WGRAD_ADAPTER").ok();
    match wgrad::block_on(Device::gpu(name.as_deref())) {
        Ok(device) => Some(device),
        Err(Error::NoAdapter { .. }) if std::env::var_os("WGRAD_SKIP_GPU").is_some() => {
            eprintln!("SKIPPED: no adapter, and WGRAD_SKIP_GPU is set");
            None
        }
        Err(error) => panic!(
            "{error}. These tests run WGSL kernels: `scripts/test` installs a software adapter, \
             WGRAD_ADAPTER names one, WGRAD_SKIP_GPU=1 goes without"
        ),
    }
}

/// The built-in verification model of that name.
pub fn built_in(name: &str) -> Box<dyn Module> {
    let models = wgrad::verify::built_in().into_iter();
    let mut named = models.filter(|built_in| built_in.name == name);
    named.next().expect("a built-in model").model
}

/// The tutorial's network.
pub fn tutorial_model() -> Sequential {
    models::tutorial(1)
}

/// The folder of the MNIST files in the source tree.
pub const MNIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist");

/// A random generator that is the same on every platform.
pub fn generator(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Floats likely to expose faults: ties, both zeros, subnormals, small and large magnitudes.
pub fn floats(len: usize, generator: &mut impl Rng) -> Vec<f32> {
    (0..len)
        .map(|_| {
            let sign = if generator.random() { 1.0f32 } else { -1.0 };
            let uniform: f32 = generator.random();
            sign * match generator.random_range(0..10) {
                0 => 0.0,
                1 => f32::from_bits(generator.random_range(1..0x0080_0000)),
                2 => [0.25, 0.5, 1.0, 2.0][generator.random_range(0..4)],
                3 => uniform * 1e-6,
                4 => uniform * 1e4,
                _ => uniform,
            }
        })
        .collect()
}

/// The bits of `values`.
pub fn words(values: &[f32]) -> Vec<u32> {
    bytemuck::cast_slice(values).to_vec()
}

/// Random bytes with labels below `classes`; a third of the pixels are black, to create ties in
/// pools.
fn random_samples(len: usize, sample_len: usize, classes: u8, seed: u64) -> Samples {
    let mut generator = generator(seed);
    let mut pixel = || {
        if generator.random_range(0..3) == 0 {
            0
        } else {
            generator.random()
        }
    };
    let images = (0..len * sample_len).map(|_| pixel()).collect();
    let labels = (0..len)
        .map(|_| generator.random_range(0..classes))
        .collect();
    Samples { images, labels }
}

/// Random images of (2, 12, 11) in four classes.
pub fn random_data(train: usize, test: usize) -> Dataset {
    let sample = |len, seed| random_samples(len, 2 * 12 * 11, 4, seed);
    Dataset::new([2, 12, 11], 4, sample(train, 1), sample(test, 2)).unwrap()
}

/// Random images of (1, 28, 28) in ten classes.
pub fn random_digits(train: usize) -> Dataset {
    let train = random_samples(train, 28 * 28, 10, 1);
    Dataset::new([1, 28, 28], 10, train, Samples::default()).unwrap()
}

/// The path of `mnist_gpu`.
pub fn example() -> PathBuf {
    program("mnist_gpu")
}

/// The path of an example, which `cargo test` builds beside the tests.
pub fn program(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let folder = tests.parent().unwrap().parent().unwrap().join("examples");
    let program = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.exists(),
        "build it first: cargo build --release --example {name}"
    );
    program
}
