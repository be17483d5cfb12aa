//! Sizes too large for kernels to count, running out of memory, integers out of range as indices:
//! refused with the same line on every device.

use crate::common;
use wgrad::nn::{Conv2d, ConvTranspose2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, Training};
use wgrad::plan::{Builder, Element, Port, Role};
use wgrad::shape::Padding;
use wgrad::{Device, Loss, Session, Sgd, Trainer};

fn training(sample: impl Into<wgrad::shape::Shape>) -> Training {
    Training::new(sample, Loss::CrossEntropy, Sgd::new(0.1))
        .batch_size(8)
        .accumulate(false)
}

fn classify(model: Sequential) -> Sequential {
    model.with(Flatten).with(Linear::new(10))
}

fn devices() -> Vec<Device> {
    common::gpu().into_iter().chain([Device::cpu()]).collect()
}

/// The error of creating a session, the same on every device.
fn refusal(model: &Sequential, training: &Training) -> String {
    let mut lines = devices().into_iter().map(|device| {
        let session = wgrad::block_on(Session::new(&device, model, training, 0));
        let line = session.expect_err("a refusal").to_string();
        assert!(!line.contains('\n'), "{line}");
        line
    });
    let first = lines.next().unwrap();
    assert!(
        lines.all(|line| line == first),
        "another line on another device"
    );
    first
}

#[test]
fn sizes_too_large_for_kernels_are_refused_by_name() {
    let image = training([1, 28, 28]);
    let conv = |layer: Conv2d| classify(Sequential::new().with(layer));
    let most = 1 << 31;
    for (model, training, expected) in [
        (
            conv(Conv2d::new(1, 4, 3).padding(1 << 30).stride(1 << 31)),
            &image,
            "0: Conv2d(1 → 4, 3×3, stride 2147483648×2147483648, padding \
             1073741824×1073741824): padded plane: expected at most 2147483648×2147483648, got \
             2147483676×2147483676",
        ),
        (
            conv(Conv2d::new(1, 4, 3).stride((1, most + 1))),
            &image,
            "0: Conv2d(1 → 4, 3×3, stride 1×2147483649): stride: expected at most \
             2147483648×2147483648, got 1×2147483649",
        ),
        (
            conv(Conv2d::new(1, 4, 3).padding((usize::MAX, 0))),
            &image,
            "0: Conv2d(1 → 4, 3×3, padding 18446744073709551615×0): padded plane: expected at most \
             2147483648×2147483648, got 18446744073709551615×28",
        ),
        (
            conv(Conv2d::new(1, 4, 3).dilation((1, most + 1))),
            &image,
            "0: Conv2d(1 → 4, 3×3, dilation 1×2147483649): dilation: expected at most \
             2147483648×2147483648, got 1×2147483649",
        ),
        (
            conv(Conv2d::new(1, 4, (3, 1 << 31)).padding(1).dilation(most)),
            &image,
            "0: Conv2d(1 → 4, 3×2147483648, padding 1×1, dilation 2147483648×2147483648): expected a plane of \
             at least 4294967297×4611686016279904257 with a padding of 1×1 on each side, got a plane of 28×28",
        ),
        (
            classify(Sequential::new().with(MaxPool2d::new(2).stride((usize::MAX, 1)))),
            &image,
            "0: MaxPool2d(2×2, stride 18446744073709551615×1): stride: expected at most \
             2147483648×2147483648, got 18446744073709551615×1",
        ),
        (
            // The columns of im2col.
            conv(Conv2d::new(1, 4, 300).padding(400)),
            &image,
            "0.columns: expected 1 to 2147483648 elements, got (8, 90000, 279841), 201485520000 \
             elements",
        ),
        (
            Sequential::new().with(Flatten).with(Linear::new(1 << 30)),
            &image,
            "1.weight: expected 1 to 2147483648 elements, got (1073741824, 784), 841813590016 \
             elements",
        ),
        (
            // Batch × features.
            Sequential::new().with(Linear::new(1 << 29)),
            &training([1]),
            "0.product: expected 1 to 2147483648 elements, got (8, 536870912), 4294967296 elements",
        ),
        (
            // All parameters together.
            Sequential::new()
                .with(Linear::new(1 << 16))
                .with(Linear::new(1 << 14))
                .with(ReLU)
                .with(Linear::new(1 << 16)),
            &training([1 << 4]),
            "parameters: expected 1 to 2147483648 elements, got (2148679680), 2148679680 elements",
        ),
        (
            // Samples of the data set × their size.
            Sequential::new().with(Flatten).with(Linear::new(10)),
            &training([1, 28, 28]).dataset(usize::MAX),
            "dataset.images: expected 1 to 2147483648 elements, got (18446744073709551615, 1, 28, 28), \
             18446744073709551615 elements",
        ),
        (
            // The sample order.
            Sequential::new().with(Linear::new(10)),
            &training([1]).dataset(most + 1),
            "dataset.images: expected 1 to 2147483648 elements, got (2147483649, 1), 2147483649 elements",
        ),
    ] {
        assert_eq!(refusal(&model, training), expected);
    }
}

/// Windows far apart, most of them on the padding: the same results on every device, and no memory
/// for the gaps.
#[test]
fn windows_far_apart_give_the_same_results() {
    let far =
        |stride: usize, padding: usize| Conv2d::new(1, 4, (3, 2)).stride(stride).padding(padding);
    let mut models = Vec::new();
    for layer in [
        far(1 << 30, 1 << 29),
        far(1 << 31, 0),
        far(5, 7),
        far(13, 13),
        far(3, 40),
        far(1 << 29, 1 << 29).dilation(1 << 29),
        far(1, 1 << 14).stride(1 << 12).dilation((1 << 14, 1 << 13)),
        far(7, 100).dilation((60, 90)),
        far(6, 9).dilation(4),
        far(9, 0).padding(Padding::sides(0, 90, 70, 3)),
    ] {
        models.push(Sequential::new().with(layer));
    }
    let depthwise = |layer: Conv2d| Sequential::new().with(Conv2d::new(1, 4, 1)).with(layer);
    models.push(depthwise(
        Conv2d::new(4, 8, (3, 2))
            .stride(1 << 30)
            .padding(1 << 29)
            .groups(4),
    ));
    models.push(depthwise(
        Conv2d::new(4, 4, 3)
            .stride(7)
            .padding(100)
            .dilation((60, 90))
            .groups(4),
    ));
    let transposed = ConvTranspose2d::new(1, 2, (3, 2)).stride((20, 15));
    let transposed = transposed.padding((15, 10)).dilation((45, 25));
    models.push(Sequential::new().with(transposed).with(MaxPool2d::new(64)));
    for model in models {
        let name = model.to_string();
        let model = classify(model);
        let mut random = common::generator(3);
        let images = common::floats(8 * 28 * 28, &mut random);
        let run = |device: &Device| {
            wgrad::block_on(async {
                let training = training([1, 28, 28]);
                let mut session = Session::new(device, &model, &training, 0).await?;
                session.set_batch(&images, &[0, 1, 2, 3, 4, 5, 6, 7])?;
                session.forward()?;
                session.loss().await?;
                session.backward()?;
                let mut found = session.read("logits").await?;
                found.extend(session.read("0.d_weight").await?);
                Ok::<_, wgrad::Error>(found)
            })
            .unwrap()
        };
        let all: Vec<Vec<f32>> = devices().iter().map(run).collect();
        for found in &all {
            for (found, expected) in found.iter().zip(&all[0]) {
                let allowed = 1e-4 * expected.abs().max(1.0);
                assert!(
                    (found - expected).abs() <= allowed,
                    "{name}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn integers_out_of_range_as_indices_are_refused() {
    let model = classify(Sequential::new().with(MaxPool2d::new(2)));
    for device in devices() {
        wgrad::block_on(async {
            let mut session = Session::new(&device, &model, &training([1, 4, 4]), 0)
                .await
                .unwrap();
            let error = session
                .write("labels", &[1.0, 2.0])
                .unwrap_err()
                .to_string();
            assert_eq!(
                error,
                "writing labels as floats: expected a tensor of floats, got one of 32-bit integers"
            );

            let data = wgrad::data::Samples {
                images: vec![0; 5 * 16],
                labels: vec![1; 5],
            };
            let none = wgrad::data::Samples::default();
            let data = wgrad::data::Dataset::new([1, 4, 4], 10, data, none).unwrap();
            let config = wgrad::Config::new(Loss::CrossEntropy, Sgd::new(0.1))
                .batch_size(2)
                .shuffle(false)
                .planning(wgrad::Planning::Unfused);
            let mut trainer = Trainer::new(&device, &model, &data, config).await.unwrap();
            for (name, words, expected) in [
                (
                    "labels",
                    vec![0, 10],
                    Err("values below 10, got 10 in element 1"),
                ),
                ("labels", vec![0, 9], Ok(())),
                (
                    "dataset.order",
                    vec![0, 1, 2, 3, 5],
                    Err("values below 5, got 5 in element 4"),
                ),
                ("dataset.order", vec![4, 3, 2, 1, 0], Ok(())),
                (
                    "dataset.labels",
                    vec![0x0a09_0909, 0],
                    Err("values below 10, got 10 in element 3"),
                ),
                // The bytes after the fifth label are padding.
                ("dataset.labels", vec![0x0909_0909, 0xffff_ff09], Ok(())),
                ("dataset.order", vec![0; 4], Err("5 words, got 4 words")),
                (
                    "0.indices",
                    vec![0; 8],
                    Err("a tensor that the host fills, got integers that kernels fill"),
                ),
            ] {
                let tensor = trainer.plan().find(name).unwrap();
                let written = trainer.executor().write_words(tensor, &words);
                let written = written.map_err(|error| error.to_string());
                let expected =
                    expected.map_err(|error| format!("writing {name}: expected {error}"));
                assert_eq!(written, expected, "{device}");
            }
            let bytes = trainer.plan().port(Port::DatasetImages).unwrap();
            let error = trainer
                .executor()
                .write(bytes, &[0.0])
                .unwrap_err()
                .to_string();
            assert_eq!(
                error,
                "writing dataset.images as floats: expected a tensor of floats, got one of bytes, four to a word"
            );
            trainer.train_epoch(|_| {}).await.unwrap();
        });
    }
}

/// Running out of memory is an error on the CPU reference too, with the same line as on adapters
/// (`tests/faults.rs`). Runs in a child process with limited address space.
#[test]
#[cfg(target_os = "linux")]
fn memory_that_runs_out_on_the_reference_is_an_error() {
    const LIMITED: &str = "WGRAD_TEST_ADDRESSES_ARE_LIMITED";
    if std::env::var_os(LIMITED).is_some() {
        let mut plan = Builder::new(false);
        for at in 0..90 {
            let name = format!("large{at}");
            let tensor = plan.tensor(&name, [25_000_000], Element::F32, Role::Input);
            tensor.unwrap();
        }
        match wgrad::block_on(Device::cpu().load(plan.finish())) {
            Ok(_) => panic!("9 GB fit into 3 GB"),
            Err(error) => println!("found: {error}"),
        }
        let mut plan = Builder::new(false);
        let tensor = plan.tensor("one", [1 << 30], Element::F32, Role::Input);
        tensor.unwrap();
        match wgrad::block_on(Device::cpu().load(plan.finish())) {
            Ok(_) => panic!("4 GB fit into 3 GB"),
            Err(error) => println!("found: {error}"),
        }
        return;
    }
    let test = "sizes::memory_that_runs_out_on_the_reference_is_an_error";
    let run = format!("ulimit -v 3000000; exec \"$0\" --exact {test} --nocapture");
    let output = std::process::Command::new("sh")
        .args(["-c", &run])
        .arg(std::env::current_exe().unwrap())
        .env(LIMITED, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once("found: "))
        .map(|found| found.1)
        .collect();
    println!("{found:?}");
    let [many, one] = found[..] else {
        panic!("{text}")
    };
    assert!(many.starts_with("making buffer large"), "{many}");
    assert!(
        many.ends_with(" of 100000000 bytes: Out of Memory"),
        "{many}"
    );
    assert_eq!(one, "making buffer one of 4294967296 bytes: Out of Memory");
}
