//! Models with branches and modes: recording, differentiating, folding, and the text form.

use crate::common;
use wgrad::data::{Dataset, Samples};
use wgrad::expand::ConvStrategies;
use wgrad::graph::{Graph, Module, Training, Var, Weights};
use wgrad::nn::models::ResNet8;
use wgrad::nn::{BatchNorm2d, Conv2d, Flatten, Linear, ReLU, Residual, Sequential};
use wgrad::plan::{Element, Phase};
use wgrad::shape::Shape;
use wgrad::{
    Config, ConfusionMatrix, Device, Loss, Planning, Predictor, Session, Sgd, Split, Trainer,
    block_on,
};

fn training(sample: impl Into<Shape>, batch_size: usize) -> Training {
    Training::new(sample, Loss::CrossEntropy, Sgd::new(0.1)).batch_size(batch_size)
}

fn resnet() -> ResNet8 {
    ResNet8::new(3, 4, 10)
}

#[test]
fn names_nest_like_pytorchs() {
    let graph = Graph::training(&resnet(), &training([3, 8, 8], 2)).unwrap();
    let plan = graph.readable().unwrap();
    let names: Vec<&str> = plan.parameters().map(|(_, t)| &*t.name).collect();
    let block = |stage: usize| {
        let own = [
            "conv1.weight",
            "bn1.weight",
            "bn1.bias",
            "conv2.weight",
            "bn2.weight",
            "bn2.bias",
        ];
        let projected = [
            "downsample.0.weight",
            "downsample.1.weight",
            "downsample.1.bias",
        ];
        let projected = projected.into_iter().filter(move |_| stage > 1);
        let all = own.into_iter().chain(projected);
        all.map(move |name| format!("layer{stage}.0.{name}"))
    };
    let mut expected: Vec<String> = ["conv1.weight", "bn1.weight", "bn1.bias"]
        .map(str::to_owned)
        .into();
    expected.extend((1..=3).flat_map(block));
    expected.extend(["fc.weight", "fc.bias"].map(str::to_owned));
    assert_eq!(names, expected);
    let error = Graph::training(&resnet(), &training([1, 8, 8], 2)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "conv1: Conv2d(3 → 4, 3×3, padding 1×1, no bias): expected (N, 3, H, W), got (2, 1, 8, 8)"
    );
}

/// A value read three times and a layer applied twice: their gradients are sums, checked against
/// finite differences of the same function in plain code.
#[derive(Debug)]
struct Shared {
    twice: Linear,
}

impl Module for Shared {
    fn forward<'g>(&self, x: Var<'g>) -> wgrad::Result<Var<'g>> {
        let y = x.apply("twice", &self.twice)?.relu()?;
        let z = y.apply_again("twice", &self.twice)?;
        z.add(y)?.add(y)
    }
}

#[test]
fn gradients_of_values_read_twice_are_added() {
    block_on(async {
        let model = Shared {
            twice: Linear::new(2),
        };
        let training = training([2], 1);
        for device in [Some(Device::cpu()), common::gpu()].into_iter().flatten() {
            let mut session = Session::new(&device, &model, &training, 0).await.unwrap();
            let weight = [0.5f32, -0.25, 1.0, 0.75];
            let bias = [0.25f32, -0.5];
            session.write("twice.bias", &bias).unwrap();
            session.set_batch(&[1.0, 2.0], &[1]).unwrap();
            // The loss as a function of the weight, by definition.
            let loss = |weight: [f64; 4]| {
                let linear = |x: [f64; 2]| {
                    [
                        weight[0] * x[0] + weight[1] * x[1] + f64::from(bias[0]),
                        weight[2] * x[0] + weight[3] * x[1] + f64::from(bias[1]),
                    ]
                };
                let y = linear([1.0, 2.0]).map(|value| value.max(0.0));
                let z = linear(y);
                let logits = [z[0] + 2.0 * y[0], z[1] + 2.0 * y[1]];
                (logits[0].exp() + logits[1].exp()).ln() - logits[1]
            };
            session.write("twice.weight", &weight).unwrap();
            session.forward().unwrap();
            let exact = weight.map(f64::from);
            assert!((session.loss().await.unwrap() - loss(exact)).abs() < 1e-6);
            session.backward().unwrap();
            let found = session.read("twice.d_weight").await.unwrap();
            for (place, &found) in found.iter().enumerate() {
                let moved = |by: f64| {
                    let mut weight = exact;
                    weight[place] += by;
                    loss(weight)
                };
                let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!(
                    (f64::from(found) - expected).abs() < 1e-5,
                    "{device}: {found} {expected}"
                );
            }
        }
    });
}

/// Two modules with one name would share one set of weights.
#[derive(Debug)]
struct SameName(Linear, Linear);

impl Module for SameName {
    fn forward<'g>(&self, x: Var<'g>) -> wgrad::Result<Var<'g>> {
        x.apply("fc", &self.0)?.apply("fc", &self.1)
    }
}

/// An unused value is a mistake.
#[derive(Debug)]
struct Forgotten(Linear);

impl Module for Forgotten {
    fn forward<'g>(&self, x: Var<'g>) -> wgrad::Result<Var<'g>> {
        x.apply("forgotten", &self.0)?;
        x.apply("fc", &self.0)
    }
}

/// A model that a function records.
struct Recorded(for<'a> fn(Var<'a>) -> wgrad::Result<Var<'a>>);

impl std::fmt::Debug for Recorded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorded")
    }
}

impl Module for Recorded {
    fn forward<'g>(&self, x: Var<'g>) -> wgrad::Result<Var<'g>> {
        (self.0)(x)
    }
}

/// A layer of that name.
#[derive(Debug)]
struct Named(&'static str);

impl Module for Named {
    fn forward<'g>(&self, x: Var<'g>) -> wgrad::Result<Var<'g>> {
        x.apply(self.0, &Linear::new(2))
    }
}

/// Layers with the names that a graph gives to its own values.
#[test]
fn layers_may_have_the_names_of_the_graphs_values() {
    fn model(x: Var<'_>) -> wgrad::Result<Var<'_>> {
        let x = x.apply("images", &ReLU)?.apply("relu", &ReLU)?.relu()?;
        x.apply("logits", &Linear::new(2))
    }
    let graph = Graph::training(&Recorded(model), &training([2], 1)).unwrap();
    let text = graph.to_string();
    let shape_of = |name: &str| {
        let extents: &[usize] = if name.ends_with("bias") {
            &[2]
        } else {
            &[2, 2]
        };
        Some((Shape::new(extents), Element::F32))
    };
    let read = Graph::read(&text, 1, shape_of).unwrap();
    assert_eq!(read.to_string(), text);
}

#[test]
fn invalid_models_are_refused_by_name() {
    let training = training([2], 1);
    let error = |model: &dyn Module| Graph::training(model, &training).unwrap_err().to_string();
    let same = SameName(Linear::new(2), Linear::new(2));
    assert_eq!(
        error(&same),
        "fc: Linear(2): expected a name of its own, or `apply_again` to share its tensors, \
         got fc.weight of another layer"
    );
    // Each is dropped before the next is made, maybe at its address.
    let temporaries = |x: Var<'_>| {
        x.apply("fc", &Linear::new(2))?;
        Err(x.apply("fc", &Linear::new(2)).unwrap_err())
    };
    assert!(error(&Recorded(temporaries)).contains("fc.weight of another layer"));
    let apart = |x: Var<'_>| {
        x.apply("fc", &Linear::new(2).bias(false))?;
        Err(x.apply_again("fc", &Linear::new(2)).unwrap_err())
    };
    assert_eq!(
        error(&Recorded(apart)),
        "fc: applied again: expected Linear(2), got Linear(2, no bias)"
    );
    let unknown = |x: Var<'_>| Err(x.apply_again("fc", &Linear::new(2)).unwrap_err());
    assert_eq!(
        error(&Recorded(unknown)),
        "fc: applied again: expected Linear(2), got nothing"
    );
    for name in ["", "a b", "a\n", "a=b", "f(x)"] {
        let named = Named(name);
        assert_eq!(
            error(&named),
            format!(
                "Linear(2): expected a name of letters, digits, `_`, `-` and `.`, got {name:?}"
            )
        );
    }
    let nested = |x: Var<'_>| {
        let x = x.apply("a.weight", &ReLU)?;
        Err(x.apply("a", &Linear::new(2)).unwrap_err())
    };
    assert!(error(&Recorded(nested)).contains("got a.weight of another layer"));
    assert_eq!(
        error(&Forgotten(Linear::new(2))),
        "model: output of forgotten: expected a layer that reads it, got none"
    );
    let uneven = Residual::new(Sequential::new().with(Linear::new(3)));
    assert_eq!(
        error(&uneven),
        "Residual.add: expected two tensors of (1, 3), got (1, 2)"
    );
}

fn data(sample: [usize; 3], classes: usize) -> Dataset {
    let random = common::random_data(70, 30);
    let len: usize = sample.iter().product();
    let resized = |samples: wgrad::data::Samples, count: usize| wgrad::data::Samples {
        images: samples
            .images
            .into_iter()
            .cycle()
            .take(count * len)
            .collect(),
        labels: samples
            .labels
            .iter()
            .map(|label| label % classes as u8)
            .take(count)
            .collect(),
    };
    Dataset::new(
        sample,
        classes,
        resized(random.train, 70),
        resized(random.test, 30),
    )
    .unwrap()
}

/// The fast plan has fewer ops, contains no readable ops, and trains to the same weights.
#[test]
fn both_plans_train_a_residual_network_alike() {
    let data = data([3, 8, 8], 10);
    let graph = Graph::training(&resnet(), &training([3, 8, 8], 2)).unwrap();
    let (readable, fast) = (
        graph.readable().unwrap(),
        graph.fast(&ConvStrategies::new()).unwrap(),
    );
    let count = |plan: &wgrad::plan::Plan| plan.nodes_of(&Phase::TRAIN).count();
    println!("{} ops, {} fast", count(&readable), count(&fast));
    assert!(count(&fast) < count(&readable));
    assert_eq!(fast.written_readably(), [""; 0]);
    for device in [Some(Device::cpu()), common::gpu()].into_iter().flatten() {
        let mut weights = Vec::new();
        for planning in [Planning::Unfused, Planning::default()] {
            let config = Config::new(Loss::CrossEntropy, Sgd::new(0.02).momentum(0.9))
                .batch_size(16)
                .planning(planning);
            let checkpoint = block_on(async {
                let mut trainer = Trainer::new(&device, &resnet(), &data, config)
                    .await
                    .unwrap();
                trainer.train_epoch(|_| {}).await.unwrap();
                let report = trainer.evaluate(Split::Test).await.unwrap();
                println!("{device}: {:.6}", report.loss);
                trainer.checkpoint().await.unwrap()
            });
            assert_eq!(checkpoint.integers["bn1.num_batches_tracked"].1, [5]);
            weights.push(checkpoint.tensors);
        }
        for (name, (_, readable)) in &weights[0] {
            let largest = readable
                .iter()
                .fold(0f32, |largest, value| largest.max(value.abs()));
            for (a, b) in readable.iter().zip(&weights[1][name].1) {
                assert!((a - b).abs() <= 1e-3 * largest, "{device}, {name}: {a} {b}");
            }
        }
    }
}

/// Evaluation normalises by the running statistics, so the rows of a batch are independent.
#[test]
fn inference_differs_from_training() {
    block_on(async {
        for device in [Some(Device::cpu()), common::gpu()].into_iter().flatten() {
            let model = Sequential::new()
                .with(Conv2d::new(1, 2, 3).bias(false))
                .with(BatchNorm2d::new(2))
                .with(ReLU)
                .with(Flatten)
                .with(Linear::new(3));
            let training = training([1, 4, 4], 4);
            let mut session = Session::new(&device, &model, &training, 0).await.unwrap();
            let images: Vec<f32> = (0..64).map(|i| (i * i % 17) as f32 / 17.0).collect();
            session.set_batch(&images, &[0, 1, 2, 0]).unwrap();
            session.infer().unwrap();
            let four = session.read("logits").await.unwrap();
            session.forward().unwrap();
            assert_ne!(session.read("logits").await.unwrap(), four);
            session.write("1.running_mean", &[0.0; 2]).unwrap();
            session.write("1.running_var", &[1.0; 2]).unwrap();
            session.set_batch(&images[16..32], &[1]).unwrap();
            session.infer().unwrap();
            assert_eq!(
                session.read("logits").await.unwrap()[..3],
                four[3..6],
                "{device}"
            );
        }
    });
}

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

/// One batch norm after each of two convolutions.
#[derive(Debug)]
struct SharedNorm(Conv2d, Conv2d, BatchNorm2d, Linear);

impl Module for SharedNorm {
    fn forward<'g>(&self, x: Var<'g>) -> wgrad::Result<Var<'g>> {
        let y = x.apply("conv1", &self.0)?.apply("bn", &self.2)?;
        let y = y.apply("conv2", &self.1)?.apply_again("bn", &self.2)?;
        y.apply("flatten", &Flatten)?.apply("fc", &self.3)
    }
}

#[test]
fn a_norm_that_is_applied_twice_is_not_folded() {
    let conv = || Conv2d::new(2, 2, 1).bias(false);
    let model = SharedNorm(conv(), conv(), BatchNorm2d::new(2), Linear::new(3));
    let graph = Graph::inference(&model, [2, 3, 3], 1).unwrap();
    let of_model = |&id: &_| graph.value(id).source.is_of_model();
    let weights = graph.values().filter(of_model).map(|id| {
        let value = graph.value(id);
        let ones = vec![1.0; value.shape.elements()];
        (value.name.clone(), (value.shape.clone(), ones))
    });
    let mut weights: Weights = weights.collect();
    let folded = graph.fold(&mut weights).unwrap();
    assert_eq!(folded.to_string(), graph.to_string());
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

/// NaN is no class, and no probability.
#[test]
fn predictions_that_are_not_finite_are_refused() {
    block_on(async {
        let model = Sequential::new().with(Linear::new(3));
        let config = Config::new(Loss::CrossEntropy, Sgd::new(0.1));
        let samples = Samples {
            images: vec![1, 2, 3, 4],
            labels: vec![0, 1],
        };
        let data = Dataset::new([2], 3, samples.clone(), samples).unwrap();
        let device = Device::cpu();
        let trainer = Trainer::new(&device, &model, &data, config).await.unwrap();
        let checkpoint = trainer.checkpoint().await.unwrap();
        let mut predictor = Predictor::from_checkpoint(&device, &checkpoint).unwrap();
        let images = [0.5, 0.5, f32::NAN, 0.5];
        assert!(predictor.logits(&images).await.unwrap()[3].is_nan());
        let refused = "logits of image 1: expected finite numbers, got NaN";
        let classes = predictor.classes(&images).await.unwrap_err();
        assert_eq!(classes.to_string(), refused);
        let probabilities = predictor.probabilities(&images).await.unwrap_err();
        assert_eq!(probabilities.to_string(), refused);
    });
}

#[test]
fn confusion_matrices_of_no_classes_are_refused() {
    for classes in [0, 1 << 31, usize::MAX] {
        let error = ConfusionMatrix::of(&[], &[], classes).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("classes: expected 1 to 4096, got {classes}")
        );
    }
    let matrix = ConfusionMatrix::of(&[1], &[0], 2).unwrap();
    assert_eq!(
        [(1, 0), (0, 2), (2, 2)].map(|(l, p)| matrix.count(l, p)),
        [1, 0, 0]
    );
}
