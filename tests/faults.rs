//! The example under adverse conditions: killed at any moment, interrupted, resumed; nothing is
//! lost.
#![cfg(unix)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::RngExt;
use wgrad::Checkpoint;
#[cfg(target_os = "linux")]
use wgrad::plan::{Builder, Element, Role};

const KILLS: usize = 50;

/// Starts a run of twelve epochs that writes a checkpoint every few steps.
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

/// Runs to completion and returns the final parameters.
fn finish(folder: &Path) -> Checkpoint {
    let saved = folder.join("final.safetensors");
    let output = start(folder, &["--save", saved.to_str().unwrap()])
        .wait_with_output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    Checkpoint::load(saved).unwrap()
}

/// Epoch and step of the folder's checkpoint, which must be intact.
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
    // On a busy machine the first checkpoint can take longer than the default delay before a kill.
    let begun = Instant::now();
    let mut child = start(&folder, &[]);
    wait_for_checkpoint(&folder);
    let latest = 700.max(2 * begun.elapsed().as_millis() as u64);
    child.kill().unwrap();
    child.wait().unwrap();
    let mut at = position(&folder);
    let mut advances = 0;
    for _ in 0..KILLS {
        let mut child = start(&folder, &[]);
        std::thread::sleep(Duration::from_millis(generator.random_range(50..latest)));
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

/// Waits for the folder's first checkpoint.
fn wait_for_checkpoint(folder: &Path) {
    let begun = Instant::now();
    while position(folder) == (0, 0) {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "no checkpoint in 30 s"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn send(signal: &str, child: &Child) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args([signal, &id]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn ctrl_c_and_other_signals_save_and_end_cleanly() {
    let expected = finish(&folder("uninterrupted"));
    for signal in ["-INT", "-TERM", "-HUP"] {
        if signal == "-HUP" && hang_ups_are_ignored() {
            println!("SKIPPED {signal}: these tests run under nohup");
            continue;
        }
        let folder = folder("interrupted");
        let child = start(&folder, &[]);
        wait_for_checkpoint(&folder);
        send(signal, &child);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{signal}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let last = text.lines().last().unwrap();
        assert!(
            last.starts_with("Interrupted: continue with --resume"),
            "{signal}: {text}"
        );
        assert!(position(&folder) < (12, 0), "{signal}");
        assert!(finish(&folder).tensors == expected.tensors, "{signal}");
    }
}

/// Whether this process was started under `nohup`, in which case its children inherit that.
fn hang_ups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Bit 0 is signal 1, the hang-up.
    ignored.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & 1 == 1)
}

/// `nohup` is meant to keep a run alive after its terminal closes.
#[test]
#[cfg(target_os = "linux")]
fn under_nohup_a_hang_up_is_ignored() {
    let folder = folder("nohup");
    let child = Command::new("nohup")
        .arg(common::example())
        .args(["--device", "cpu", "--epochs", "2", "--train-images", "6400"])
        .args(["--checkpoint-seconds", "0", "--checkpoint"])
        .arg(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_checkpoint(&folder);
    send("-HUP", &child);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(position(&folder), (2, 0), "{output:?}");
}

/// Running out of memory is an error that names the buffer. Provoked in a child process with
/// limited address space, on Mesa's software Vulkan driver, whose device memory is the process's
/// own. Since a process and its driver need different amounts on different machines, the limit
/// leaves ample room for them, and the plan asks for three times the limit.
#[test]
#[cfg(target_os = "linux")]
fn memory_that_runs_out_is_an_error() {
    const LIMITED: &str = "WGRAD_TEST_ADDRESSES_ARE_LIMITED";
    let Some(device) = common::gpu() else { return };
    let adapter = device.adapter().unwrap();
    if !adapter.name().contains("llvmpipe") || adapter.backend() != "vulkan" {
        eprintln!("SKIPPED: {device} has memory of its own, or ends the process when it runs out");
        return;
    }
    if std::env::var_os(LIMITED).is_some() {
        let mut plan = Builder::new(false);
        for at in 0..90 {
            let name = format!("large{at}");
            plan.tensor(&name, [25_000_000], Element::F32, Role::Input)
                .unwrap();
        }
        match wgrad::block_on(device.load(plan.finish())) {
            Ok(_) => panic!("9 GB fit into 3 GB"),
            Err(error) => return println!("found: {error}"),
        }
    }
    let test = "memory_that_runs_out_is_an_error";
    let run = format!("ulimit -v 3000000; exec \"$0\" --exact {test} --nocapture");
    let output = Command::new("sh")
        .args(["-c", &run])
        .arg(std::env::current_exe().unwrap())
        .env(LIMITED, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let Some(error) = text.lines().find_map(|line| line.split_once("found: ")) else {
        panic!("{text}");
    };
    println!("{}", error.1);
    assert!(error.1.starts_with("making buffer large"), "{text}");
    assert!(
        error.1.ends_with(" of 100000000 bytes: Out of Memory"),
        "{text}"
    );
}
