//! The example under fire: killed at any moment, interrupted, resumed; nothing is lost.
#![cfg(unix)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::RngExt;
use wgrad::Checkpoint;

const KILLS: usize = 50;

/// A run of twelve epochs that writes a checkpoint after every few steps.
fn start(folder: &Path, more: &[&str]) -> Child {
    Command::new(common::example())
        .args([
            "--device",
            "cpu",
            "--epochs",
            "12",
            "--train-images",
            "6400",
            "--checkpoint-seconds",
            "0",
        ])
        .args(["--resume", "--checkpoint", folder.to_str().unwrap()])
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs to the end; the parameters.
fn finish(folder: &Path) -> Checkpoint {
    let saved = folder.join("final.safetensors");
    let output = start(folder, &["--save", saved.to_str().unwrap()])
        .wait_with_output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    Checkpoint::load(saved).unwrap()
}

/// Epoch and step of the folder's checkpoint, which must be whole.
fn position(folder: &Path) -> (u64, u64) {
    let file = folder.join("last.safetensors");
    if !file.exists() {
        return (0, 0);
    }
    let metadata = Checkpoint::load(file).unwrap().metadata;
    (
        metadata["epoch"].parse().unwrap(),
        metadata["step"].parse().unwrap(),
    )
}

#[test]
fn fifty_kills_lose_nothing() {
    let expected = finish(&folder("unkilled"));
    let folder = folder("killed");
    let mut generator = common::generator(4);
    let mut at = (0, 0);
    let mut advances = 0;
    for _ in 0..KILLS {
        let mut child = start(&folder, &[]);
        std::thread::sleep(Duration::from_millis(generator.random_range(50..700)));
        child.kill().unwrap();
        child.wait().unwrap();
        let now = position(&folder);
        assert!(now >= at, "went back from {at:?} to {now:?}");
        advances += usize::from(now > at);
        at = now;
    }
    println!("{KILLS} kills, {advances} of them after the checkpoint had moved on, to {at:?}");
    assert!(
        advances > 5,
        "the kills came too early to mean anything: {advances}"
    );
    let found = finish(&folder);
    assert!(
        found.tensors == expected.tensors,
        "the parameters are not those of a run without kills"
    );
}

#[test]
fn ctrl_c_saves_and_ends_cleanly() {
    let expected = finish(&folder("uninterrupted"));
    let folder = folder("interrupted");
    let child = start(&folder, &[]);
    let begun = Instant::now();
    while position(&folder) == (0, 0) {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "no checkpoint in 30 s"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let interrupt = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.lines()
            .last()
            .unwrap()
            .starts_with("Interrupted: go on with --resume"),
        "{text}"
    );
    assert!(position(&folder) < (12, 0));
    assert!(finish(&folder).tensors == expected.tensors);
}

/// Memory that runs out is an error that names the buffer. Provoked with a limit on this process's
/// addresses, where the adapter's memory is the process's: Mesa's software Vulkan driver.
#[test]
#[cfg(target_os = "linux")]
fn memory_that_runs_out_is_an_error() {
    let Some(device) = common::gpu() else { return };
    let adapter = device.adapter().unwrap();
    if !adapter.name().contains("llvmpipe") || adapter.backend() != "vulkan" {
        eprintln!("SKIPPED: {device} has memory of its own, or ends the process when it runs out");
        return;
    }
    let run = "ulimit -v 1100000; exec \"$0\" --adapter vulkan --batch-size 5000 --epochs 1 --plan unfused";
    let output = Command::new("sh")
        .args(["-c", run])
        .arg(common::example())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("error: making buffer "), "{text}");
    assert!(text.trim_end().ends_with(" bytes: Out of Memory"), "{text}");
}
