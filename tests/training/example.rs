//! The example as a user runs it: its output, files, errors and exit status.

use crate::common;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs `mnist_gpu`.
fn example(args: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(common::example())
        .args(args)
        .envs(environment.iter().copied())
        .env_remove("XDG_RUNTIME_DIR")
        .output()
        .unwrap()
}

/// Its error output, a single line; checks that it failed.
fn error(args: &[&str], environment: &[(&str, &str)]) -> String {
    let output = example(args, environment);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text.trim_end().to_owned()
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

const SHORT: [&str; 4] = ["--epochs", "2", "--train-images", "640"];

/// An environment without adapters: WGPU_BACKEND selects none of the real backends.
const NO_ADAPTER: [(&str, &str); 1] = [("WGPU_BACKEND", "noop")];

#[test]
fn a_run_prints_the_device_the_model_and_the_tutorials_line() {
    let Some(device) = common::gpu() else { return };
    let adapter = std::env::var("WGRAD_ADAPTER").ok();
    let metrics = scratch("metrics.jsonl");
    let mut args = SHORT.to_vec();
    args.extend(["--metrics", metrics.to_str().unwrap()]);
    if let Some(adapter) = &adapter {
        args.extend(["--adapter", adapter]);
    }
    let output = example(&args, &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "",
        "drivers' chatter"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with(&format!("Device: {device} (")),
        "{text}"
    );
    assert!(
        text.contains("Conv2d(1 → 4, 3×3)") && text.contains("22034"),
        "{text}"
    );
    let summaries: Vec<&&str> = lines
        .iter()
        .filter(|line| line.contains(" Summary: "))
        .collect();
    assert_eq!(summaries.len(), 2);

    let file = std::fs::read_to_string(metrics).unwrap();
    for (epoch, (line, summary)) in file.lines().zip(summaries).enumerate() {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        let number = |key: &str| json[key].as_f64().unwrap();
        let expected = format!(
            "Epoch {} Summary: Train Acc={:.4}, Train Loss={:.4}, Test Acc={:.4}, Test Loss={:.4}",
            epoch + 1,
            number("train_acc"),
            number("train_loss"),
            number("test_acc"),
            number("test_loss")
        );
        assert_eq!(**summary, *expected);
        assert_eq!(json["epoch"], epoch + 1);
        assert_eq!(json["adapter"], device.to_string());
        assert!(number("images_per_second") > 0.0);
    }
}

#[test]
fn without_an_adapter_it_runs_on_the_cpu_and_says_so() {
    let output = example(&SHORT, &NO_ADAPTER);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("Device: CPU reference"), "{first}");
    assert!(first.ends_with("(no adapter was found)"), "{first}");
    assert_eq!(
        error(&["--device", "gpu"], &NO_ADAPTER),
        "error: no adapter for GPU computation; found: none"
    );
}

#[test]
fn bad_flags_and_files_end_in_one_line() {
    let cpu = |args: &[&str]| error(&[&["--device", "cpu"], args].concat(), &[]);
    assert_eq!(
        cpu(&["--batch-size", "0"]),
        "error: invalid value '0' for '--batch-size <N>': expected a whole number from 1 to \
         18446744073709551615 \
         (--help explains the flags)"
    );
    for rate in ["-1", "fast", "nan", "1e39"] {
        assert_eq!(
            cpu(&[&format!("--lr={rate}")]),
            format!(
                "error: invalid value '{rate}' for '--lr <LR>': expected a number from 0 to \
                 3.4028235e38 (--help explains the flags)"
            )
        );
    }
    for rate in ["1e-50", "0.2e-400"] {
        assert_eq!(
            cpu(&["--lr", rate]),
            format!(
                "error: invalid value '{rate}' for '--lr <LR>': expected 0, or at least \
                 1.1754944e-38 (--help explains the flags)"
            )
        );
    }
    for epochs in ["-1", "99999999999999999999"] {
        assert_eq!(
            cpu(&["--epochs", epochs]),
            format!(
                "error: invalid value '{epochs}' for '--epochs <N>': expected a whole number from \
                 0 to 18446744073709551615 (--help explains the flags)"
            )
        );
    }
    assert_eq!(
        error(&["--adapter", ""], &[]),
        "error: adapter: expected a number, or part of a name or backend, got nothing"
    );
    assert_eq!(
        cpu(&["--train-images", "60001"]),
        "error: training images: expected 1 to 60000, got 60001"
    );
    assert_eq!(
        cpu(&["--loss", "cross-entropy", "--reduction", "mean"]),
        "error: --reduction: expected --loss mse beside it, got --loss cross-entropy"
    );
    assert_eq!(
        cpu(&["--adapter", "gl"]),
        "error: --adapter: expected no --device cpu beside it, got gl"
    );
    assert_eq!(
        cpu(&["--data", "nowhere"]),
        "error: nowhere: expected train-images-idx3-ubyte or train-images-idx3-ubyte.gz, the MNIST \
         files (put them there or name their folder with --data), got neither"
    );
    assert_eq!(
        cpu(&["--epoch", "3"]),
        "error: unexpected argument '--epoch' found; a similar argument exists: '--epochs' \
         (--help explains the flags)"
    );
    assert_eq!(
        cpu(&["--resume"]),
        "error: --resume: expected --checkpoint DIR beside it, got none"
    );
    let missing = cpu(&["--init", "nowhere.safetensors"]);
    assert!(
        missing.starts_with("error: nowhere.safetensors: "),
        "{missing}"
    );
    let garbage = scratch("garbage.safetensors");
    std::fs::write(&garbage, [7; 30]).unwrap();
    let refused = cpu(&["--init", garbage.to_str().unwrap()]);
    let expected = format!(
        "error: {}: expected a safetensors file, got ",
        garbage.display()
    );
    assert!(refused.starts_with(&expected), "{refused}");
    let missing = cpu(&["--metrics", "no/such/folder/file"]);
    assert!(
        missing.starts_with("error: no/such/folder/file: "),
        "{missing}"
    );
}

/// `--init` starts from the weights written by `--save`.
#[test]
fn training_starts_from_saved_weights() {
    let saved = scratch("saved.safetensors");
    let saved = saved.to_str().unwrap();
    let short = ["--device", "cpu", "--train-images", "640", "--epochs", "1"];
    let run = |more: &[&str]| {
        let output = example(&[&short, more].concat(), &[]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .last()
            .unwrap()
            .to_owned()
    };
    let first = run(&["--save", saved]);
    // At a learning rate of zero an epoch changes nothing.
    assert_eq!(run(&["--init", saved, "--lr", "0"]), first);
    assert_ne!(run(&["--lr", "0"]), first);
}

#[test]
fn help_explains_every_flag() {
    let output = example(&["--help"], &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    for flag in [
        "--device",
        "--adapter",
        "--loss",
        "--reduction",
        "--lr",
        "--batch-size",
        "--epochs",
        "--seed",
        "--train-images",
        "--no-shuffle",
        "--data",
        "--metrics",
        "--checkpoint",
        "--checkpoint-seconds",
        "--resume",
        "--recover",
        "--init",
        "--save",
        "--plan",
        "--tune",
        "--on-nan",
    ] {
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with(flag));
        assert!(line.is_some(), "{flag} is not explained:\n{text}");
    }
}
