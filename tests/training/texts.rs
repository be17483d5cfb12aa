//! The text form of graphs.

use super::graphs::{data, resnet};
use crate::common;
use wgrad::graph::Graph;
use wgrad::plan::Element;
use wgrad::{Config, ConfusionMatrix, Device, Loss, Predictor, Sgd, Split, Trainer, block_on};

/// Dilations of 1 are left out of the text, so texts written before dilation existed remain valid;
/// pools have no dilation.
#[test]
fn dilations_have_a_text_form() {
    let shape_of = |_: &str| Some(([4, 1, 3, 3].into(), Element::F32));
    let read = |options: &str| {
        let function = options.replacen(' ', "(images, weight) ", 1);
        let text = format!("images (1, 9, 8)\n0 = {function}\n1 = flatten(0)");
        Graph::read(&text, 2, shape_of)
    };
    for (dilation, output) in [
        ("", [2, 4, 9, 6]),
        (", dilation 3×1", [2, 4, 5, 6]),
        (", dilation 1×2", [2, 4, 9, 4]),
    ] {
        let text = format!("convolution kernel 3×3, stride 1×1, padding 1×0{dilation}");
        let graph = read(&text).unwrap();
        assert!(
            graph.to_string().contains(&format!("{}\n1", &text[12..])),
            "{graph}"
        );
        let node = graph.nodes().next().unwrap();
        assert_eq!(graph.value(graph.node(node).output).shape, output.into());
    }
    let of = |options: &str| read(options).unwrap_err().to_string();
    assert_eq!(
        of("convolution kernel 3×3, stride 1×1, padding 0×0, dilation 0×1"),
        "0: convolution: dilation: expected at least 1×1, got 0×1"
    );
    assert!(of("convolution kernel 3×3, stride 1×1, padding 0×0, dilation").contains("line 2"));
    assert_eq!(
        of("max_pool kernel 2×2, stride 1×1, padding 0×0, dilation 2×1, ties first"),
        "0: max_pool: dilation: expected 1×1, got 2×1"
    );
}

/// A printed graph can be read again, and a checkpoint predicts without the program of its model.
#[test]
fn graphs_have_a_text_form_and_checkpoints_predict_without_the_program() {
    let data = data([3, 8, 8], 10);
    for device in [Some(Device::cpu()), common::gpu()].into_iter().flatten() {
        block_on(async {
            let config = Config::new(Loss::CrossEntropy, Sgd::new(0.02)).batch_size(16);
            let mut trainer = Trainer::new(&device, &resnet(), &data, config)
                .await
                .unwrap();
            trainer.train_epoch(|_| {}).await.unwrap();
            let checkpoint = trainer.checkpoint().await.unwrap();
            let text = &checkpoint.metadata["model"];
            let shape_of = |name: &str| {
                let float = checkpoint
                    .tensors
                    .get(name)
                    .map(|(shape, _)| (shape.clone(), Element::F32));
                let integer = checkpoint.integers.get(name);
                float.or_else(|| Some((integer?.0.clone(), Element::U32)))
            };
            let read = Graph::read(text, 16, shape_of).unwrap();
            assert_eq!(read.to_string(), *text);

            let images: Vec<f32> = data
                .test
                .images
                .iter()
                .map(|&byte| f32::from(byte) / 255.0)
                .collect();
            let mut by_itself = Predictor::from_checkpoint(&device, &checkpoint).unwrap();
            let mut by_model = Predictor::new(&device, &resnet(), [3, 8, 8], &checkpoint).unwrap();
            let logits = by_itself.logits(&images).await.unwrap();
            assert_eq!(by_model.logits(&images).await.unwrap(), logits);
            // A single image, against the whole batch.
            let one = by_itself.logits(&images[..192]).await.unwrap();
            for (one, all) in one.iter().zip(&logits) {
                assert!((one - all).abs() < 1e-5);
            }
            let classes = by_itself.classes(&images).await.unwrap();
            let right = classes
                .iter()
                .zip(&data.test.labels)
                .filter(|(a, b)| **a == **b as usize);
            let accuracy = right.count() as f64 / classes.len() as f64;
            let report = trainer.evaluate(Split::Test).await.unwrap();
            assert!(
                (report.accuracy - accuracy).abs() < 0.04,
                "{} {accuracy}",
                report.accuracy
            );
            // The trainer's classes per sample agree with the accuracy of its evaluation.
            let own = trainer.classes(Split::Test).await.unwrap();
            let matrix = ConfusionMatrix::of(&data.test.labels, &own, 10).unwrap();
            println!("{matrix}");
            assert_eq!(matrix.accuracy(), report.accuracy);
            let probabilities = by_itself.probabilities(&images).await.unwrap();
            for row in probabilities.chunks(10) {
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            }
            let error = by_itself
                .logits(&images[1..])
                .await
                .unwrap_err()
                .to_string();
            assert_eq!(
                error,
                "images: expected a multiple of 192 values, those of (3, 8, 8), got 5759"
            );
        });
    }
}

/// An unknown option changes the meaning of a text, so the text is refused rather than read in
/// part.
#[test]
fn unknown_options_are_refused() {
    let read = |options: &str| {
        let text = format!("images (2)\n0 = relu(images){options}");
        Graph::read(&text, 1, |_| None)
    };
    assert!(read("").is_ok());
    assert_eq!(
        read(" slope 0.1").unwrap_err().to_string(),
        "model, line 2: expected a function of this program, got `0 = relu(images) slope 0.1`"
    );
}

#[test]
fn activations_have_a_text_form() {
    let read = |function: &str| {
        let text = format!("images (2)\n0 = {function}");
        Graph::read(&text, 1, |_| None).map(|graph| assert_eq!(graph.to_string(), text))
    };
    let none: [&str; 3] = ["sigmoid(images)", "tanh(images)", "silu(images)"];
    let options = [
        "gelu(images)",
        "gelu(images) approximation tanh",
        "leaky_relu(images) slope 0.2",
        "dropout(images) probability 0.5",
    ];
    for function in none.into_iter().chain(options) {
        read(function).unwrap();
    }
    for wrong in [
        "leaky_relu(images)",
        "gelu(images) approximation exact",
        "tanh(images) slope 1",
    ] {
        assert!(
            read(wrong).unwrap_err().to_string().contains("line 2"),
            "{wrong}"
        );
    }
    assert_eq!(
        read("leaky_relu(images) slope inf")
            .unwrap_err()
            .to_string(),
        "0: leaky_relu: slope: expected a finite number, got inf"
    );
}
