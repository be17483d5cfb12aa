//! Measurements are cached, and a corrupt cache costs only the time to measure again.

use crate::common;
use std::path::{Path, PathBuf};
use std::process::Command;

use wgrad::gpu::Adapter;

const SHORT: [&str; 4] = ["--epochs", "1", "--train-images", "640"];

/// The output of `mnist_gpu` on the adapter under test, with that cache folder.
fn run(cache: &Path, more: &[&str]) -> String {
    let mut command = Command::new(common::example());
    command.args(SHORT).args(more).env("XDG_CACHE_HOME", cache);
    if let Ok(adapter) = std::env::var("WGRAD_ADAPTER") {
        command.args(["--adapter", &adapter]);
    }
    let output = command.env_remove("XDG_RUNTIME_DIR").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // A previous run may have left it.
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn measured(file: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

#[test]
fn measurements_are_cached_per_adapter() {
    let Some(device) = common::gpu() else { return };
    let cache = folder("kernels");
    let file = cache.join("wgrad/kernels.json");
    run(&cache, &["--tune", "off"]);
    let checks = match device.adapter().is_some_and(Adapter::has_checks) {
        true => "",
        false => ", unchecked kernels",
    };
    let name = format!("wgrad {}, {device}{checks}", env!("CARGO_PKG_VERSION"));
    let times = measured(&file)[&name]["microseconds"].clone();
    assert_eq!(times, serde_json::json!({}), "--tune off measures nothing");

    run(&cache, &["--tune", "quick"]);
    let times = measured(&file)[&name]["microseconds"]
        .as_object()
        .unwrap()
        .clone();
    // How many kernels can be measured in two seconds depends on the machine.
    assert!(!times.is_empty());
    assert!(
        times.values().all(|micros| micros.as_f64().unwrap() > 0.0),
        "{times:?}"
    );

    // Known kernels are neither measured nor chosen again.
    let known = measured(&file);
    run(&cache, &["--tune", "quick"]);
    assert_eq!(measured(&file), known);

    // `full` measures everything anew, except kernels clearly slower than another.
    let mut slow = known.clone();
    let times = slow[&name]["microseconds"].as_object_mut().unwrap();
    times.values_mut().for_each(|micros| *micros = 1e9.into());
    std::fs::write(&file, slow.to_string()).unwrap();
    run(&cache, &["--tune", "full"]);
    let anew = measured(&file)[&name]["microseconds"]
        .as_object()
        .unwrap()
        .clone();
    // The products of Linear layers. That of the convolution is not measured if im2col alone takes
    // longer than other ways to convolve.
    let product =
        |(kernel, _): &(&String, _)| kernel.starts_with("gemm_") && kernel.contains(" BATCH=1 ");
    let products: Vec<_> = anew.iter().filter(product).collect();
    assert!(!products.is_empty(), "{anew:?}");
    let is_anew = |(_, micros): &(_, &serde_json::Value)| micros.as_f64().unwrap() < 1e9;
    assert!(products.iter().all(is_anew), "{anew:?}");

    std::fs::write(&file, "{ \"half a").unwrap();
    run(&cache, &["--tune", "quick"]);
    assert!(
        !measured(&file)[&name]["choices"]
            .as_object()
            .unwrap()
            .is_empty()
    );
}

/// The numbers in the last line, the result.
fn summary(text: &str) -> Vec<f64> {
    let line = text.lines().last().unwrap();
    let numbers = line
        .split(['=', ','])
        .filter_map(|part| part.trim().parse().ok());
    numbers.collect()
}

#[test]
fn both_plans_train_alike() {
    let Some(_) = common::gpu() else { return };
    let cache = folder("plans");
    let fused = summary(&run(&cache, &["--plan", "fused", "--tune", "off"]));
    let unfused = summary(&run(&cache, &["--plan", "unfused"]));
    assert_eq!(fused.len(), 4, "{fused:?}");
    for (fused, unfused) in fused.iter().zip(&unfused) {
        assert!((fused - unfused).abs() <= 0.005, "{fused} {unfused}");
    }
}

/// If none of an op's measured kernels has loops within the limit, the op is split and nothing is
/// chosen: the plan is correct, and there is no notice.
#[test]
fn ops_whose_loops_are_too_long_for_every_kernel_are_split() {
    use wgrad::data::{Dataset, Samples};
    use wgrad::nn::{Flatten, Linear, Sequential};
    let Some(device) = common::gpu() else { return };
    let samples = |n: usize| Samples {
        images: (0..n * 1999).map(|i| (i % 251) as u8).collect(),
        labels: (0..n).map(|i| (i % 2) as u8).collect(),
    };
    let data = Dataset::new([1, 1, 1999], 2, samples(40), samples(8)).unwrap();
    let model = Sequential::new().with(Flatten).with(Linear::new(2));
    let config = wgrad::Config::new(wgrad::Loss::CrossEntropy, wgrad::Sgd::new(0.01)).batch_size(8);
    let short = device.with_longest_loop(70);
    let trainer = wgrad::block_on(wgrad::Trainer::new(&short, &model, &data, config)).unwrap();
    assert!(trainer.notices().is_empty(), "{:?}", trainer.notices());
}
