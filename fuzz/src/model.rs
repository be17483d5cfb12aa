//! Any text as a model file: if it parses, it lowers without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wgrad::graph::Graph;
use wgrad::nn::{ModelFile, Training};
use wgrad::{Loss, Sgd};

fuzz_target!(|text: &str| {
    // The plan is only a description: nothing of its size is allocated.
    let plan = text.parse::<ModelFile>().and_then(|model| {
        let training = Training::new(model.input().clone(), Loss::CrossEntropy, Sgd::new(0.1))
            .batch_size(2)
            .accumulate(false);
        Graph::training(&model, &training)?.readable()
    });
    if let Err(error) = plan {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
});
