//! Each kernel of a matrix product alone.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use wgrad::ops::{Epilogue, Op, Product, Step, Variant};
use wgrad::{Device, Result};

use super::ceilings::fastest;
use super::workload::{self, Alone};

/// The extents of a product: of (M, K) by (K, N).
#[derive(Debug, Clone, Copy)]
pub struct Extents {
    m: usize,
    n: usize,
    k: usize,
}

impl FromStr for Extents {
    type Err = String;

    /// `4096` or `64x128x3136`.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let extents: Option<Vec<usize>> = text.split('x').map(|part| part.parse().ok()).collect();
        let is_small = |extent: &usize| (1..=1 << 16).contains(extent);
        let extents = extents.filter(|extents| extents.iter().all(is_small));
        match extents.as_deref() {
            Some(&[size]) => Ok(Extents {
                m: size,
                n: size,
                k: size,
            }),
            Some(&[m, n, k]) => Ok(Extents { m, n, k }),
            _ => Err("expected a size or MxNxK, each from 1 to 65536".to_owned()),
        }
    }
}

impl fmt::Display for Extents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{}×{}", self.m, self.n, self.k)
    }
}

/// The time of each kernel of a product, or why it did not run.
#[derive(Debug)]
pub struct Timed {
    pub extents: Extents,
    pub kernels: Vec<(String, Result<Duration>)>,
}

impl Timed {
    pub fn flop(&self) -> f64 {
        let Extents { m, n, k } = self.extents;
        2.0 * m as f64 * n as f64 * k as f64
    }
}

/// Measures each kernel for about `seconds`, the fastest first.
pub async fn measure(device: &Device, extents: Extents, seconds: f64) -> Timed {
    let Extents { m, n, k } = extents;
    let product = Product::new([m, n, k], [false; 2], Epilogue::Plain);
    let mut kernels = Vec::new();
    for Variant { name, op } in product.variants() {
        kernels.push((name, time(device, op, seconds).await));
    }
    kernels.sort_by_key(|(_, time)| time.as_ref().map_or(Duration::MAX, |time| *time));
    Timed { extents, kernels }
}

async fn time(device: &Device, op: Box<dyn Op>, seconds: f64) -> Result<Duration> {
    // From -1 to 1.
    let float = |word: u32| (word as f32 / 2f32.powi(31) - 1.0).to_bits();
    let inputs = op.bindings().inputs.into_iter();
    let inputs: Vec<Vec<u32>> = inputs
        .map(|input| {
            workload::noise(input.words)
                .into_iter()
                .map(float)
                .collect()
        })
        .collect();
    let step = Step::new(0, 1, 0, 0.0);
    let mut alone = Alone::new(device, op, &inputs, step, 1).await?;
    fastest(&mut alone, seconds).await
}
