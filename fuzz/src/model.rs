//! Any text as a model: if it parses, it prints, parses again and lowers without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wgrad::graph::Graph;
use wgrad::nn::{Sequential, Training};
use wgrad::{Loss, Sgd};

fuzz_target!(|text: &str| {
    match text.parse::<Sequential>() {
        Ok(model) => {
            let printed = model.to_string();
            let again: Sequential = printed.parse().expect("what is printed parses");
            assert_eq!(again.to_string(), printed);
            // The plan is only a description: nothing of its size is allocated.
            let training = Training::new([1, 28, 28], Loss::CrossEntropy, Sgd::new(0.1))
                .batch_size(2)
                .accumulate(false);
            let plan = Graph::training(&model, &training).and_then(|graph| graph.readable());
            if let Err(error) = plan {
                assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    }
});
