//! Resuming `mnist_gpu`: from a checkpoint with other options, after a loss that is not finite,
//! after a lost device.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common;
use wgrad::Checkpoint;

const SHORT: [&str; 4] = ["--device", "cpu", "--train-images", "640"];

/// An empty folder.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn run(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(common::example());
    command.args(SHORT).arg("--checkpoint").arg(folder);
    command.args(args).output().unwrap()
}

/// Its output after the device, the data and the table, one string per line.
fn says(folder: &Path, args: &[&str]) -> Vec<String> {
    let output = run(folder, args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    lines(&output)
}

fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines = text.lines().skip_while(|line| !line.starts_with("total "));
    lines.skip(1).map(str::to_owned).collect()
}

fn complaint(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text.trim_end().to_owned()
}

fn error(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
    complaint(&output)
}

fn last(folder: &Path) -> Checkpoint {
    Checkpoint::load(folder.join("last.safetensors")).unwrap()
}

fn resumed(folder: &Path) -> String {
    let file = folder.join("last.safetensors");
    format!("Resumed from {} after epoch 1", file.display())
}

/// Trains one epoch in a folder of that name.
fn one_epoch(name: &str) -> PathBuf {
    let folder = folder(name);
    says(&folder, &["--epochs", "1"]);
    folder
}

#[test]
fn options_given_with_resume_are_honoured_and_reported() {
    let folder = one_epoch("options");
    let said = |args: &[&str]| {
        let epochs = ["--resume", "--epochs", "1"];
        let mut lines = says(&folder, &[&epochs, args].concat());
        assert_eq!(lines.remove(0), resumed(&folder));
        assert_eq!(
            lines.pop().unwrap(),
            "Nothing to train: --epochs 1 are complete"
        );
        lines
    };
    // Options equal to the checkpoint's are not reported.
    for args in [
        &[][..],
        &["--lr", "0.01"],
        &["--plan", "fused"],
        &["--tune", "off"],
    ] {
        assert_eq!(said(args), Vec::<String>::new(), "{args:?}");
    }
    let rate = "Learning rate 0.005 from here on, where the checkpoint has 0.01";
    assert_eq!(said(&["--lr", "0.005"]), [rate]);
    let plan = "Another plan than the checkpoint's from here on: its last bits may differ";
    assert_eq!(said(&["--plan", "unfused"]), [plan]);

    // They take effect, and the next checkpoint records them.
    let two = ["--resume", "--epochs", "2"];
    says(
        &folder,
        &[&two[..], &["--lr", "0.005", "--plan", "unfused"]].concat(),
    );
    assert_eq!(last(&folder).metadata["learning_rate"], "0.005");
    assert_eq!(last(&folder).metadata["kernels"], "unfused");
    assert_eq!(
        error(&folder, &[&two[..], &["--tune", "off"]].concat()),
        "error: --tune: expected --plan fused beside it, got the unfused plan of the checkpoint"
    );
}

/// Without `--lr` the checkpoint's rate is used, not the default.
#[test]
fn resuming_without_a_rate_uses_the_checkpoints() {
    let whole = folder("rate_whole");
    says(&whole, &["--epochs", "2", "--lr", "0.05"]);
    let cut = folder("rate_cut");
    says(&cut, &["--epochs", "1", "--lr", "0.05"]);
    assert_eq!(says(&cut, &["--epochs", "2", "--resume"])[0], resumed(&cut));
    assert_eq!(last(&cut).tensors, last(&whole).tensors);
    assert_eq!(last(&cut).metadata["learning_rate"], "0.05");
}

#[test]
fn options_that_would_change_the_training_are_refused_by_name() {
    let folder = one_epoch("others");
    let begin = format!(
        "error: --resume {}: checkpoint's ",
        folder.join("last.safetensors").display()
    );
    let refused = |args: &[&str]| {
        let error = error(&folder, &[&["--resume"], args].concat());
        let what = error.strip_prefix(&begin).map(str::to_owned);
        what.unwrap_or(error)
    };
    assert_eq!(refused(&["--seed", "2"]), "seed: expected 2, got 1");
    let batch = refused(&["--batch-size", "64"]);
    assert_eq!(batch, "batch_size: expected 64, got 32");
    let shuffle = refused(&["--no-shuffle"]);
    assert_eq!(shuffle, "shuffle: expected false, got true");
    let loss = refused(&["--loss", "cross-entropy"]);
    assert!(loss.starts_with("loss: "), "{loss}");
    let init = refused(&["--init", "weights.safetensors"]);
    assert!(
        init.contains("cannot be used with '--init <FILE>'"),
        "{init}"
    );
    // A checkpoint may be hours of work: without --resume another run does not replace it.
    let file = folder.join("last.safetensors");
    let before = std::fs::read(&file).unwrap();
    assert_eq!(
        error(&folder, &["--epochs", "1"]),
        format!(
            "error: --checkpoint: expected --resume beside it, or a folder without a checkpoint, got {}",
            file.display()
        )
    );
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn options_that_exclude_each_other_are_refused() {
    let folder = folder("exclude");
    assert_eq!(
        error(&folder, &["--recover"]),
        "error: --recover: expected a device that can be lost, got --device cpu"
    );
    assert_eq!(
        error(&folder, &["--tune", "full"]),
        "error: --tune: expected an adapter to tune for, got --device cpu"
    );
    assert_eq!(
        error(&folder, &["--tune", "quick", "--plan", "unfused"]),
        "error: --tune: expected --plan fused beside it, got --plan unfused"
    );
    let alone = Command::new(common::example())
        .args(["--checkpoint-seconds", "1"])
        .output();
    assert_eq!(
        complaint(&alone.unwrap()),
        "error: the following required arguments were not provided: --checkpoint <DIR> (--help \
         explains the flags)"
    );
}

/// Continues at a learning rate that makes the second epoch's weights overflow.
const DIVERGE: [&str; 5] = ["--resume", "--epochs", "3", "--lr", "1e30"];

#[test]
fn a_loss_that_is_not_finite_ends_training_and_keeps_the_checkpoint() {
    let whole = folder("finite");
    says(&whole, &["--epochs", "2"]);
    let folder = one_epoch("stop");
    let before = std::fs::read(folder.join("last.safetensors")).unwrap();
    let saved = folder.join("saved.safetensors");
    let output = run(
        &folder,
        &[&DIVERGE, &["--save", saved.to_str().unwrap()][..]].concat(),
    );
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let complaint = complaint(&output);
    println!("{complaint}");
    assert!(
        complaint.starts_with("error: epoch 2, step "),
        "{complaint}"
    );
    assert!(
        complaint.contains(": expected a finite loss, got "),
        "{complaint}"
    );
    let file = folder.join("last.safetensors");
    assert_eq!(
        *lines(&output).last().unwrap(),
        format!(
            "The last checkpoint stays: continue with --resume and a smaller --lr from {}",
            file.display()
        )
    );
    assert!(!saved.exists());
    assert!(
        std::fs::read(&file).unwrap() == before,
        "the checkpoint is another"
    );

    // The checkpoint is still good.
    says(&folder, &["--resume", "--epochs", "2", "--lr", "0.01"]);
    assert_eq!(last(&folder).tensors, last(&whole).tensors);
}

#[test]
fn training_that_continues_without_finite_weights_saves_nothing() {
    let folder = one_epoch("continue");
    let file = folder.join("last.safetensors");
    let before = std::fs::read(&file).unwrap();
    let diverge = [&DIVERGE[..], &["--on-nan", "continue"]].concat();
    let output = run(&folder, &diverge);
    assert!(output.status.success(), "{output:?}");
    let complaint = complaint(&output);
    assert!(complaint.starts_with("epoch 2, step "), "{complaint}");
    let kept = format!(
        ": the loss is not finite: training continues; {} is not written while weights are not",
        file.display()
    );
    assert!(complaint.ends_with(&kept), "{complaint}");
    let summaries = lines(&output);
    assert!(
        summaries.last().unwrap().starts_with("Epoch 3 Summary: "),
        "{summaries:?}"
    );
    assert!(
        std::fs::read(&file).unwrap() == before,
        "the checkpoint is another"
    );

    // A requested file that cannot be saved is an error, and is not created.
    let saved = folder.join("saved.safetensors");
    let output = run(
        &folder,
        &[&diverge[..], &["--save", saved.to_str().unwrap()]].concat(),
    );
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    let refused = format!(
        "error: {}: expected finite values to save, got ",
        saved.display()
    );
    assert!(text.lines().last().unwrap().starts_with(&refused), "{text}");
    assert!(!saved.exists());
}

/// The last step of training may overflow the weights with no later loss to show it.
#[test]
fn weights_that_overflow_in_the_last_step_are_not_saved() {
    let folder = folder("last_step");
    // One batch, one step: the loss is computed with the initial weights.
    let args = ["--epochs", "1", "--batch-size", "640", "--lr", "3e38"];
    let saved = folder.join("saved.safetensors");
    let refused = error(
        &folder,
        &[&args[..], &["--save", saved.to_str().unwrap()]].concat(),
    );
    println!("{refused}");
    let file = folder.join("last.safetensors");
    let expected = format!(
        "error: {}: expected finite values to save, got ",
        file.display()
    );
    assert!(refused.starts_with(&expected), "{refused}");
    assert!(!file.exists() && !saved.exists());

    // With no file to write, the evaluation reports it.
    let mut alone = Command::new(common::example());
    let output = alone.args(SHORT).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let complaint = complaint(&output);
    assert!(
        complaint.starts_with("error: epoch 1, evaluated: expected a finite loss, got "),
        "{complaint}"
    );
}

/// Adapters and the reference round differently.
#[test]
fn another_device_is_told() {
    let Some(device) = common::gpu() else { return };
    let folder = folder("another_device");
    let name = device.adapter().unwrap().name().to_owned();
    let first = ["--epochs", "1"];
    says(&folder, &first);
    assert_eq!(last(&folder).device(), Some("CPU reference"));
    let on_gpu = ["--resume", "--epochs", "2", "--tune", "off"];
    let mut command = Command::new(common::example());
    command.args(&SHORT[2..]).arg("--checkpoint").arg(&folder);
    command.args(on_gpu).args(["--adapter", &name]);
    let told = lines(&command.output().unwrap());
    let expected = "Another device than the checkpoint's from here on: its last bits may differ";
    assert!(told.iter().any(|line| line == expected), "{told:?}");
}
