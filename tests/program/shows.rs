//! Commands that only show something.

use std::process::Command;

use serde_json::Value;

use crate::{on_device, stdout, workplace};

#[test]
fn plans_can_be_read_by_people_and_programs() {
    let folder = workplace("plan");
    let text = on_device(&folder, "plan lenet5");
    assert!(text.contains("Conv2d(1 → 6, 5×5, padding 2×2)"), "{text}");
    assert!(text.contains("A training step: "), "{text}");
    let readable = on_device(&folder, "plan model.toml --readable --batch-size 2 --json");
    let plan: Value = serde_json::from_str(&readable).unwrap();
    let ops = plan["ops"].as_array().unwrap();
    assert!(ops.iter().any(|op| op["op"] == "im2col"), "{readable}");
    assert_eq!(plan["layers"][0]["parameters"], 4 * 3 * 9 + 4);
    assert_eq!(plan["layers"][4]["output"], serde_json::json!([2, 10]));

    let text = on_device(&folder, "plan resnet8 --cards");
    let row = text.lines().find(|line| line.starts_with("Apple M1 "));
    let numbers: Vec<f64> = row
        .unwrap()
        .split_whitespace()
        .skip(2)
        .map(|word| word.parse().unwrap())
        .collect();
    let [milliseconds, images] = numbers[..] else {
        panic!("{text}");
    };
    assert!((64e3 / milliseconds / images - 1.0).abs() < 0.01, "{text}");
    let json = on_device(&folder, "plan resnet8 --cards --json");
    let json: Value = serde_json::from_str(&json).unwrap();
    let seconds = |card: &str| json["predicted_seconds"][card].as_f64().unwrap();
    assert!((seconds("Apple M1") * 1e3 - milliseconds).abs() < 0.01);
    assert!(seconds("NVIDIA H200 SXM") < seconds("Apple M1"));
}

#[test]
fn the_doctor_checks_each_adapter() {
    let folder = workplace("doctor");
    let Some(device) = crate::common::gpu() else {
        return;
    };
    let text = stdout(&folder, "doctor");
    assert!(text.contains("its kernels are right"), "{text}");
    let report: Value = serde_json::from_str(&stdout(&folder, "doctor --json")).unwrap();
    let adapters = report["adapters"].as_array().unwrap();
    let name = |adapter: &Value| adapter["name"].as_str().unwrap().to_owned();
    assert!(
        adapters
            .iter()
            .any(|adapter| device.to_string().contains(&name(adapter)))
    );
    assert!(
        adapters
            .iter()
            .all(|adapter| adapter["check"]["seconds"].as_f64().unwrap() > 0.0)
    );
}

#[test]
fn the_guides_model_is_a_model() {
    let folder = workplace("guide");
    let guide = include_str!("../../docs/guide.md");
    let model = guide.split("```toml\n").nth(1).unwrap();
    let model = model.split("```").next().unwrap();
    std::fs::write(folder.join("my_model.toml"), model).unwrap();
    let text = stdout(&folder, "plan my_model.toml --device cpu");
    assert!(text.contains("Linear(10)"), "{text}");
}

/// Software adapters are slower than the CPU reference, and are taken only if asked for.
#[test]
fn a_software_adapter_is_taken_only_if_asked_for() {
    let folder = workplace("taken");
    let Some(device) = crate::common::gpu() else {
        return;
    };
    let Some(adapter) = device.adapter().filter(|adapter| adapter.is_software()) else {
        return;
    };
    let first_line = |text: String| text.lines().next().unwrap().to_owned();
    let taken = first_line(stdout(&folder, "plan model.toml"));
    assert!(taken.starts_with("CPU reference, "), "{taken}");
    assert!(
        taken.ends_with("no GPU was found, and software adapters are slower"),
        "{taken}"
    );
    let mut named = Command::new(env!("CARGO_BIN_EXE_wgrad"));
    let named = named.current_dir(&folder).args(["plan", "model.toml"]);
    let output = named
        .env("WGPU_ADAPTER_NAME", adapter.name())
        .output()
        .unwrap();
    let taken = first_line(String::from_utf8(output.stdout).unwrap());
    assert!(taken.starts_with(adapter.name()), "{taken}");
}

#[test]
fn shells_and_manuals_know_every_command() {
    let folder = workplace("shell");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let text = stdout(&folder, &format!("completions {shell}"));
        assert!(text.contains("overfit-batch"), "{shell}");
    }
    stdout(&folder, "man pages");
    for page in [
        "wgrad.1",
        "wgrad-train.1",
        "wgrad-predict.1",
        "wgrad-doctor.1",
    ] {
        assert!(folder.join("pages").join(page).exists(), "{page}");
    }
}

/// A machine's report: its adapters, whether their kernels are right, and their speed.
#[test]
fn a_report_is_for_people_and_for_programs() {
    let folder = workplace("report");
    let Some(device) = crate::common::gpu() else {
        return;
    };
    let adapter = std::env::var("WGRAD_ADAPTER");
    let adapter = adapter.unwrap_or_else(|_| device.adapter().unwrap().backend().to_owned());
    let text = stdout(
        &folder,
        &format!("report --quick --adapter {adapter} --output my.machine"),
    );
    assert!(
        text.contains("wrote my.machine.md and my.machine.json"),
        "{text}"
    );
    let markdown = std::fs::read_to_string(folder.join("my.machine.md")).unwrap();
    for part in [
        "# Machine",
        "# Verification",
        "# Speed",
        "| resnet8 | 64 |",
        "right",
    ] {
        assert!(markdown.contains(part), "{part}: {markdown}");
    }
    let json = std::fs::read_to_string(folder.join("my.machine.json")).unwrap();
    let report: Value = serde_json::from_str(&json).unwrap();
    let adapters = report["machine"]["adapters"].as_array().unwrap().len();
    assert!(adapters >= 1);
    assert_eq!(report["verification"].as_array().unwrap().len(), 1);
    assert!(report["verification"][0]["right"].as_bool().unwrap());
    // The CPU reference is measured too.
    let speed = report["speed"].as_array().unwrap();
    assert_eq!(speed.len(), 2);
    assert!(
        speed
            .iter()
            .all(|device| device["runs"].as_array().unwrap().len() == 3)
    );
    assert!(report["peers"].is_null());
}

/// A model of the user's, op by op: once in its readable plan, and with each kernel of its
/// convolutions.
#[test]
fn a_model_file_can_be_verified() {
    let folder = workplace("verified");
    let Some(device) = crate::common::gpu() else {
        return;
    };
    let adapter = std::env::var("WGRAD_ADAPTER");
    let adapter = adapter.unwrap_or_else(|_| device.adapter().unwrap().backend().to_owned());
    let arguments = format!("verify --model model.toml --adapter {adapter} --json model.json");
    let text = stdout(&folder, &arguments);
    assert!(text.lines().all(|line| line.contains("right")), "{text}");
    assert!(text.lines().count() > 2, "{text}");
    let json = std::fs::read_to_string(folder.join("model.json")).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    let first = &json[0]["models"][0];
    assert_eq!(first["model"], "model.toml, readable");
    let outputs = first["outputs"].as_array().unwrap();
    assert!(
        outputs.iter().any(|output| output["op"] == "im2col"),
        "{first}"
    );
}
