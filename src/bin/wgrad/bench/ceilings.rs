//! The rates a device reaches with kernels that do only one thing: copy, multiply-add, nothing.

use std::time::{Duration, Instant};

use rayon::prelude::*;
use wgrad::ops::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Shader, Step,
};
use wgrad::plan::Figures;
use wgrad::{Device, Result};

use super::workload::{self, Alone};

const SHADER: Shader = Shader::new(&[], include_str!("ceilings.wgsl"));

/// Words on each side of a copy: 128 MiB, far larger than most caches, and bindable on every WebGPU
/// adapter.
const COPY_WORDS: usize = 1 << 25;

/// Invocations of multiply-adds: more than the largest GPU runs at once.
const INVOCATIONS: usize = 1 << 19;

/// Rounds of [`ROUND`] multiply-adds per invocation.
const ROUNDS: usize = 32;

/// Number of chains times their length; as in the shader.
const ROUND: usize = 12 * 8;

/// Empty dispatches per step, so that a pass has many dispatches in few steps.
const EMPTY: usize = 16;

/// The kernels of ceilings.wgsl.
#[derive(Debug, Clone, Copy)]
enum Ceiling {
    /// One word per invocation: best on software adapters.
    CopyWords,
    /// Four words per invocation: best on most GPUs.
    CopyVectors,
    MultiplyAdd,
    Empty,
}

impl Op for Ceiling {
    fn name(&self) -> &'static str {
        match self {
            Ceiling::CopyWords => "copy_words",
            Ceiling::CopyVectors => "copy_vectors",
            Ceiling::MultiplyAdd => "multiply_add",
            Ceiling::Empty => "empty",
        }
    }

    fn bindings(&self) -> Bindings {
        let (read, written) = match self {
            Ceiling::CopyWords | Ceiling::CopyVectors => (COPY_WORDS, COPY_WORDS),
            Ceiling::MultiplyAdd => (2, INVOCATIONS),
            Ceiling::Empty => (1, 1),
        };
        Bindings::new([
            Binding::read("read", read),
            Binding::write("written", written),
        ])
    }

    fn launch(&self) -> Launch {
        let (invocations, rounds) = match self {
            Ceiling::CopyWords => (COPY_WORDS, 0),
            Ceiling::CopyVectors => (COPY_WORDS / 4, 0),
            Ceiling::MultiplyAdd => (INVOCATIONS, ROUNDS),
            Ceiling::Empty => (1, 0),
        };
        Launch::new(SHADER, invocations)
            .constants([("LEN", invocations as f64), ("ROUNDS", ROUNDS as f64)])
            .longest_loop(rounds as u64)
    }

    fn cost(&self) -> Cost {
        let words = match self {
            Ceiling::CopyWords | Ceiling::CopyVectors => 2 * COPY_WORDS,
            Ceiling::MultiplyAdd => INVOCATIONS,
            Ceiling::Empty => 0,
        };
        let multiply_adds = match self {
            Ceiling::MultiplyAdd => INVOCATIONS * ROUNDS * ROUND,
            _ => 0,
        };
        Cost {
            flop: 2 * multiply_adds as u64,
            bytes: 4 * words as u64,
        }
    }

    /// In f64, like every reference: this is also the ceiling of the references.
    fn reference(&self, args: &mut Args<'_>) {
        let read = args.input(0);
        match self {
            Ceiling::CopyWords | Ceiling::CopyVectors => {
                let chunk = COPY_WORDS / 64;
                let written = args.output().par_chunks_mut(chunk);
                written
                    .zip(read.par_chunks(chunk))
                    .for_each(|(to, from)| to.copy_from_slice(from));
            }
            Ceiling::MultiplyAdd => {
                let factors = [f64::from(read[0]), f64::from(read[1])];
                let sums = args.output().par_iter_mut().enumerate();
                sums.for_each(|(i, sum)| *sum = chains_of(i, factors) as f32);
            }
            Ceiling::Empty => {}
        }
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        match self {
            Ceiling::CopyWords | Ceiling::CopyVectors => Element::Word(args.word(0, index)),
            Ceiling::MultiplyAdd => {
                Element::moved(chains_of(index, [args.float(0, 0), args.float(0, 1)]))
            }
            Ceiling::Empty => Element::Word(args.outputs[0](index)),
        }
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Exact]
    }
}

/// The sum of the chains of invocation `i`.
fn chains_of(i: usize, [a, b]: [f64; 2]) -> f64 {
    let mut chains: [f64; 12] = std::array::from_fn(|chain| (i + chain) as f64);
    for _ in 0..ROUNDS * ROUND / chains.len() {
        for value in &mut chains {
            *value = *value * a + b;
        }
    }
    chains.iter().sum()
}

/// The measured rates, or the errors.
#[derive(Debug)]
pub struct Ceilings {
    /// GB/s, read and written.
    pub copy: Result<f64>,
    /// GFLOP/s.
    pub multiply_add: Result<f64>,
    /// Microseconds per empty dispatch among many.
    pub dispatch: Result<f64>,
}

impl Ceilings {
    /// The ceilings as a plan's prediction takes them; `None` if one could not be measured.
    pub fn figures(&self) -> Option<Figures> {
        Some(Figures {
            flop_per_second: self.multiply_add.as_ref().ok()? * 1e9,
            bytes_per_second: self.copy.as_ref().ok()? * 1e9,
            dispatch_seconds: self.dispatch.as_ref().ok()? * 1e-6,
        })
    }
}

/// Measures each for about `seconds`.
pub async fn measure(device: &Device, seconds: f64) -> Ceilings {
    Ceilings {
        copy: copy(device, seconds).await,
        multiply_add: multiply_add(device, seconds).await,
        dispatch: dispatch(device, seconds).await,
    }
}

async fn copy(device: &Device, seconds: f64) -> Result<f64> {
    // Never-written memory may be a single page of zeros, mapped repeatedly.
    let words = [workload::noise(COPY_WORDS)];
    let mut best = 0f64;
    for op in [Ceiling::CopyWords, Ceiling::CopyVectors] {
        let mut alone = load(device, op, &words, 1).await?;
        let took = fastest(&mut alone, seconds / 2.0).await?;
        best = best.max(op.cost().bytes as f64 / took.as_secs_f64() * 1e-9);
    }
    Ok(best)
}

async fn multiply_add(device: &Device, seconds: f64) -> Result<f64> {
    let op = Ceiling::MultiplyAdd;
    // The chains converge to 1, without subnormals, which are slow on CPUs.
    let factors = [0.75f32, 0.25].map(f32::to_bits);
    let mut alone = load(device, op, &[factors.to_vec()], 1).await?;
    let took = fastest(&mut alone, seconds).await?;
    Ok(op.cost().flop as f64 / took.as_secs_f64() * 1e-9)
}

async fn dispatch(device: &Device, seconds: f64) -> Result<f64> {
    let mut alone = load(device, Ceiling::Empty, &[], EMPTY).await?;
    let took = fastest(&mut alone, seconds).await?;
    Ok(took.as_secs_f64() * 1e6 / EMPTY as f64)
}

async fn load(device: &Device, op: Ceiling, inputs: &[Vec<u32>], times: usize) -> Result<Alone> {
    let step = Step::new(0, 1, 0, 0.0);
    Alone::new(device, Box::new(op), inputs, step, times).await
}

/// The time per step in the fastest run within `seconds`: a ceiling is the best rate reached.
pub async fn fastest(alone: &mut Alone, seconds: f64) -> Result<Duration> {
    let once = alone.run(1).await?;
    let steps = (seconds / 8.0 / once.as_secs_f64().max(1e-7)).clamp(1.0, 256.0) as usize;
    let (begun, mut fastest) = (Instant::now(), once);
    while begun.elapsed().as_secs_f64() < seconds {
        let took = alone.run(steps).await?;
        fastest = fastest.min(took / steps as u32);
    }
    Ok(fastest)
}
