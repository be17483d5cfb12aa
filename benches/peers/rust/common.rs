//! Shared by the Rust peers: options, data, output lines.

use std::fs;
use std::time::Instant;

/// The networks that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    Tutorial,
    Larger,
    LeNet5,
    /// With that many blocks in each stage.
    ResNet(usize),
}

/// `--model tutorial|larger|lenet5|resnet8|resnet20`, `--device NAME`, `--n` images, `--epochs`, `--steps-log N` (logs when
/// each of the first N steps of an epoch ends), `--no-eval` (no test accuracy).
pub struct Options {
    pub model: Model,
    pub device: String,
    pub images: usize,
    pub epochs: usize,
    pub steps_log: usize,
    pub evaluate: bool,
}

impl Options {
    pub fn parse() -> Self {
        let mut options = Self {
            model: Model::Tutorial,
            device: String::new(),
            images: 60000,
            epochs: 1,
            steps_log: 0,
            evaluate: true,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            if name == "--no-eval" {
                options.evaluate = false;
                continue;
            }
            let Some(value) = arguments.next() else {
                panic!("{name} needs a value");
            };
            let number = || value.parse().expect("a whole number");
            match name.as_str() {
                "--model" => {
                    options.model = match value.as_str() {
                        "tutorial" => Model::Tutorial,
                        "larger" => Model::Larger,
                        "lenet5" => Model::LeNet5,
                        "resnet8" => Model::ResNet(1),
                        "resnet20" => Model::ResNet(3),
                        _ => panic!("unknown model {value}"),
                    }
                }
                "--device" => options.device = value,
                "--n" => options.images = number(),
                "--epochs" => options.epochs = number(),
                "--steps-log" => options.steps_log = number(),
                _ => panic!("unknown option {name}"),
            }
        }
        options
    }

    /// The tutorial's network minimises MSE, the others cross-entropy.
    pub fn is_tutorial(&self) -> bool {
        self.model == Model::Tutorial
    }

    pub fn batch(&self) -> usize {
        if self.is_tutorial() { 32 } else { 64 }
    }

    pub fn learning_rate(&self) -> f64 {
        if self.is_tutorial() { 0.01 } else { 0.05 }
    }
}

/// The first `n` samples of a split: images as bytes / 255, concatenated, and labels.
pub struct Split {
    pub n: usize,
    pub images: Vec<f32>,
    pub labels: Vec<u8>,
}

impl Split {
    /// `name` is `train` or `t10k`; the unpacked IDX files are in the folder named by `MNIST_DIR`.
    pub fn load(name: &str, n: usize) -> Self {
        let folder = std::env::var("MNIST_DIR").unwrap_or("mnist".into());
        let read = |file: &str| {
            let path = format!("{folder}/{name}-{file}");
            fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
        };
        let (images, labels) = (read("images-idx3-ubyte"), read("labels-idx1-ubyte"));
        let n = n.min(labels.len() - 8);
        let pixels = &images[16..16 + n * 784];
        Self {
            n,
            images: pixels.iter().map(|&p| p as f32 / 255.0).collect(),
            labels: labels[8..8 + n].to_vec(),
        }
    }

    /// Images and labels of each full batch.
    pub fn batches(&self, size: usize) -> impl Iterator<Item = (&[f32], &[u8])> {
        let images = self.images.chunks_exact(size * 784);
        images.zip(self.labels.chunks_exact(size))
    }
}

/// (N, 10), with a one at the label.
pub fn one_hot(labels: &[u8]) -> Vec<f32> {
    let mut rows = vec![0.0; labels.len() * 10];
    for (row, &label) in rows.chunks_exact_mut(10).zip(labels) {
        row[label as usize] = 1.0;
    }
    rows
}

/// The clock of one epoch. `compare` reads the lines that it prints.
pub struct Epoch {
    number: usize,
    start: Instant,
}

impl Epoch {
    pub fn start(number: usize) -> Self {
        Self {
            number,
            start: Instant::now(),
        }
    }

    pub fn step_done(&self, step: usize) {
        let seconds = self.start.elapsed().as_secs_f64();
        eprintln!("epoch {} step {step} {seconds:.4} s", self.number);
    }

    /// Call this when the device has completed all steps.
    pub fn done(&self, images: usize, loss: f32) {
        let seconds = self.start.elapsed().as_secs_f64();
        println!(
            "epoch={} secs={seconds:.3} img_per_s={:.1} loss={loss:.5}",
            self.number,
            images as f64 / seconds
        );
    }
}
