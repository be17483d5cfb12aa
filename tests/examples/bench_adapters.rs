//! The adapter benchmark as a user runs it: its output and files, not its timings.

use crate::common;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn bench_adapters(adapter: &str, more: &[&str]) -> Output {
    Command::new(common::program("bench_adapters"))
        .args(["--adapter", adapter, "--batch", "32", "--seconds", "0.02"])
        .args(more)
        .output()
        .unwrap()
}

/// Checks that a number is positive.
fn positive(value: &Value) -> f64 {
    let number = value.as_f64().filter(|number| *number > 0.0);
    number.unwrap_or_else(|| panic!("{value} is not above zero"))
}

/// Every figure of both plans is present, and the kernel times cover the dispatches of the step.
#[test]
fn every_step_and_kernel_is_measured() {
    let Some(device) = common::gpu() else { return };
    let adapter = std::env::var("WGRAD_ADAPTER");
    let adapter = adapter.unwrap_or_else(|_| device.adapter().unwrap().backend().to_owned());
    let file = |name: &str| Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (json, svg) = (file("adapters.json"), file("adapters.svg"));
    let wide = ["--tune", "off", "--width", "2"];
    for (flags, width, wider, tutorial_dispatches) in
        [(&wide[..], 2, " ×2", 10), (&["--unfused"], 1, "", 27)]
    {
        let mut flags = flags.to_vec();
        flags.extend([
            "--json",
            json.to_str().unwrap(),
            "--svg",
            svg.to_str().unwrap(),
        ]);
        let output = bench_adapters(&adapter, &flags);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        for line in [
            format!("# {device}"),
            format!("## tutorial{wider}, batch 32: kernels"),
            format!("## larger{wider}, batch 32: kernels"),
        ] {
            assert!(
                text.lines().any(|printed| printed == line),
                "{line}: {text}"
            );
        }

        let written: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
        assert_eq!(written[0]["device"], device.to_string());
        for ceiling in [
            "copy_bytes_per_second",
            "flop_per_second",
            "dispatch_seconds",
        ] {
            positive(&written[0]["ceilings"][ceiling]);
        }
        let runs = written[0]["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 2);
        assert_eq!(runs[0]["dispatches"], tutorial_dispatches);
        for run in runs {
            assert_eq!(run["width"], width);
            let images = positive(&run["step_seconds"]) * positive(&run["images_per_second"]);
            assert!((images - 32.0).abs() < 1e-3, "{images} images a step");
            let kernels = run["kernels"].as_array().unwrap();
            let calls: f64 = kernels
                .iter()
                .map(|kernel| positive(&kernel["calls"]))
                .sum();
            assert_eq!(calls, positive(&run["dispatches"]));
            for kernel in kernels {
                positive(&kernel["seconds"]);
            }
        }
        let drawn = std::fs::read_to_string(&svg).unwrap();
        assert!(drawn.starts_with("<svg") && drawn.trim_end().ends_with("</svg>"));
    }
}

#[test]
fn missing_adapters_and_bad_paths_are_one_line_errors() {
    let Some(device) = common::gpu() else { return };
    let backend = device.adapter().unwrap().backend().to_owned();
    let nowhere = Path::new("no/such/folder/adapters.json");
    for output in [
        bench_adapters("no such adapter", &[]),
        bench_adapters(&backend, &["--json", nowhere.to_str().unwrap()]),
    ] {
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        let errors = text.lines().filter(|line| line.starts_with("error: "));
        assert_eq!(errors.count(), 1, "{text}");
        assert!(
            text.contains("no such adapter") || text.contains("no/such/folder"),
            "{text}"
        );
    }
}
