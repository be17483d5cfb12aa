//! The models of verification: together they use every layer, loss and option.

use crate::error::Result;
use crate::expand::Strategy;
use crate::graph::{Graph, Module};
use crate::loss::{Loss, Reduction};
use crate::nn::models::{ResNet, larger, tutorial};
use crate::nn::{
    BatchNorm2d, Conv2d, ConvTranspose2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Sequential,
    Ties, Training,
};
use crate::optim::{Adam, Optimizer, Sgd};
use crate::plan::Plan;
use crate::shape::Padding;

/// A model to verify: one of [`built_in`], or your own.
#[derive(Debug)]
pub struct Subject {
    /// Its name in reports.
    pub name: String,
    /// The model.
    pub model: Box<dyn Module>,
    /// The training options.
    pub training: Training,
    /// If set, run its fused plan with this strategy for every layer that has it; else the readable
    /// plan.
    pub fused: Option<Strategy>,
}

impl Subject {
    /// The plan to verify.
    ///
    /// # Errors
    /// As [`Graph::training`] and [`Graph::readable`].
    pub fn plan(&self, training: &Training) -> Result<Plan> {
        let graph = Graph::training(self.model.as_ref(), training)?;
        match self.fused {
            None => graph.readable(),
            Some(strategy) => graph.fast(&graph.all_by(strategy)),
        }
    }
}

/// The tutorial's network, a larger one, a residual one with batch norm, and three that use the
/// remaining options; then the same in fused plans, with every strategy of convolutions, and the
/// first with joined gradients.
pub fn built_in() -> Vec<Subject> {
    let mut subjects = models(None);
    for kernel in Strategy::OF_CONVOLUTION {
        subjects.extend(models(Some(kernel)));
    }
    subjects.extend(models(Some(Strategy::Joined)).into_iter().take(1));
    subjects
}

fn models(fused: Option<Strategy>) -> Vec<Subject> {
    let suffix = fused.map_or_else(String::new, |kernel| format!(", fused, {kernel}"));
    let subject = |name: &str, model: Sequential, training| Subject {
        name: format!("{name}{suffix}"),
        model: Box::new(model),
        training,
        fused,
    };
    let batch_mean = Loss::Mse(Reduction::BatchMean);
    let mean = Loss::Mse(Reduction::Mean);
    let momentum = Sgd::new(0.05).momentum(0.9).weight_decay(0.01);
    vec![
        subject(
            "tutorial",
            tutorial(1),
            training([1, 28, 28], 32, batch_mean, Sgd::new(0.01)),
        ),
        subject(
            "larger",
            larger(1),
            training([1, 28, 28], 8, Loss::CrossEntropy, Sgd::new(0.002)),
        ),
        subject(
            "uneven",
            uneven(Ties::First),
            training([2, 12, 11], 7, Loss::CrossEntropy, momentum),
        ),
        Subject {
            name: format!("residual{suffix}"),
            model: Box::new(ResNet::new(2, 3, [3, 1], 5)),
            training: training([2, 9, 8], 6, Loss::CrossEntropy, Adam::decoupled(0.01)),
            fused,
        },
        subject(
            "uneven, all ties",
            uneven(Ties::All),
            training([2, 12, 11], 5, mean, Sgd::new(0.05).weight_decay(0.01)).accumulate(true),
        ),
        subject(
            "grouped",
            grouped(),
            training([4, 9, 8], 5, Loss::CrossEntropy, momentum),
        ),
    ]
}

fn training(
    sample: [usize; 3],
    batch_size: usize,
    loss: Loss,
    optimizer: impl Into<Optimizer>,
) -> Training {
    Training::new(sample, loss, optimizer)
        .batch_size(batch_size)
        .accumulate(false)
}

/// Grouped, depthwise and transposed convolutions, and paddings that differ between sides.
fn grouped() -> Sequential {
    Sequential::new()
        .with(
            Conv2d::new(4, 6, (2, 3))
                .groups(2)
                .padding(Padding::sides(0, 1, 2, 0)),
        )
        .with(ReLU)
        .with(Conv2d::new(6, 12, 3).groups(6).padding_same().bias(false))
        .with(BatchNorm2d::new(12))
        .with(ReLU)
        .with(Conv2d::new(12, 12, (1, 2)).groups(12).dilation((1, 2)))
        .with(ReLU)
        .with(MaxPool2d::new(2))
        .with(
            ConvTranspose2d::new(12, 4, 3)
                .stride(2)
                .padding(1)
                .output_padding((1, 0))
                .groups(2),
        )
        .with(ReLU)
        .with(Conv2d::new(4, 4, (2, 3)).groups(4).stride((1, 2)))
        .with(ReLU)
        .with(ConvTranspose2d::new(4, 3, 2).bias(false))
        .with(Flatten)
        .with(Linear::new(4))
}

/// Non-square filters, strides, paddings and dilations, overlapping pools, layers without bias,
/// dropout.
fn uneven(ties: Ties) -> Sequential {
    Sequential::new()
        .with(Conv2d::new(2, 5, (3, 2)).padding((1, 1)))
        .with(ReLU)
        .with(MaxPool2d::new(3).stride((2, 1)).padding(1).ties(ties))
        .with(
            Conv2d::new(5, 3, 3)
                .stride((1, 2))
                .padding((0, 2))
                .dilation((1, 2))
                .bias(false),
        )
        .with(ReLU)
        .with(Flatten)
        .with(Linear::new(7))
        .with(ReLU)
        .with(Dropout::new(0.25))
        .with(Linear::new(4).bias(false))
}
