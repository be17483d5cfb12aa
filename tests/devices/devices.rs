//! Adapter selection, and kernel choices made on another adapter.

use std::process::Command;

use crate::common;
use wgrad::nn::{Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential};
use wgrad::tune::{Choices, Effort};
use wgrad::{Checkpoint, Config, Device, Loss, Notices, Planning, Sgd, Trainer, block_on};

pub(super) fn model() -> Sequential {
    Sequential::new()
        .with(Conv2d::new(2, 4, 3))
        .with(ReLU)
        .with(MaxPool2d::new(2))
        .with(Flatten)
        .with(Linear::new(16))
        .with(ReLU)
        .with(Linear::new(4).in_features(16))
}

fn config(planning: Planning) -> Config {
    Config::new(Loss::CrossEntropy, Sgd::new(0.05))
        .batch_size(16)
        .seed(1)
        .planning(planning)
}

pub(super) async fn trainer(device: &Device, planning: Planning) -> wgrad::Result<Trainer> {
    let data = common::random_data(160, 16);
    Trainer::new(device, &model(), &data, config(planning)).await
}

/// The adapter under test, every other adapter of this machine, and the CPU reference.
fn devices() -> Option<Vec<Device>> {
    let mut devices = vec![common::gpu()?, Device::cpu()];
    devices.extend(block_on(Device::all()).unwrap());
    Some(devices)
}

/// Kernels chosen on one adapter that another cannot run are replaced, and a notice says so.
#[test]
fn kernels_that_cannot_run_are_replaced() {
    let Some(devices) = devices() else { return };
    for device in devices {
        block_on(async {
            let own = trainer(&device, Planning::Fused(Effort::Off))
                .await
                .unwrap();
            assert!(own.notices().is_empty(), "{:?}", own.notices());
            let mut foreign = own.choices().cloned().unwrap();
            with_products_by(&mut foreign, "gemm_subgroup/64");
            let planning = Planning::Chosen(foreign.clone());
            let mut trainer = trainer(&device, planning).await.unwrap();
            println!("{device}: {:?}", trainer.notices());
            trainer.train_epoch(|_| {}).await.unwrap();
            let lacks = device
                .adapter()
                .is_some_and(|adapter| !adapter.has_subgroups());
            let runs = trainer.choices().unwrap();
            if lacks && !foreign.ops.is_empty() {
                let [line] = trainer.notices() else {
                    panic!("{:?}", trainer.notices());
                };
                assert!(line.contains("bits may differ"), "{line}");
                assert!(line.contains("gemm_subgroup/64 by gemm_"), "{line}");
                assert_eq!(*runs, *own.choices().unwrap());
            } else {
                assert!(trainer.notices().is_empty(), "{:?}", trainer.notices());
                assert_eq!(*runs, foreign);
            }
        });
    }
}

/// Changes the kernel of every product.
fn with_products_by(choices: &mut Choices, kernel: &str) {
    for (op, chosen) in &mut choices.ops {
        if op.starts_with("product") {
            *chosen = kernel.to_owned();
        }
    }
}

/// Unknown kernels are replaced too; choices for ops and layers that the plan does not have are
/// reported.
#[test]
fn choices_that_match_nothing_are_reported() {
    let Some(devices) = devices() else { return };
    for device in devices {
        block_on(async {
            let own = trainer(&device, Planning::Fused(Effort::Off))
                .await
                .unwrap();
            let mut foreign = own.choices().cloned().unwrap();
            let op = foreign.ops.keys().next().cloned();
            for kernel in foreign.ops.values_mut().take(1) {
                *kernel = "gemm_of_tomorrow/64".to_owned();
            }
            let text = format!("{foreign}conv9: columns\nProduct {{ of: other }}: gemm_8x8/16\n");
            let foreign: Choices = text.parse().unwrap();
            let trainer = trainer(&device, Planning::Chosen(foreign)).await.unwrap();
            println!("{device}: {:?}", trainer.notices());
            let (last, rest) = trainer.notices().split_last().unwrap();
            assert!(last.contains("conv9"), "{last}");
            assert!(last.contains("Product { of: other }"), "{last}");
            assert_eq!(rest.len(), usize::from(op.is_some()));
            assert!(
                rest.iter()
                    .all(|line| line.contains("gemm_of_tomorrow/64 by "))
            );
            let runs = trainer.choices().unwrap();
            assert!(!runs.to_string().contains("tomorrow"), "{runs}");
            assert!(!runs.to_string().contains("other"), "{runs}");
        });
    }
}

/// Loading a plan with a kernel that the adapter cannot run gives a one-line error, not a driver's
/// dump.
#[test]
fn a_kernel_that_cannot_run_is_a_one_line_error() {
    let Some(device) = common::gpu() else { return };
    let reference = Device::cpu();
    let mut notices = Notices::default();
    let plan = block_on(async {
        let own = trainer(&device, Planning::Fused(Effort::Off))
            .await
            .unwrap();
        let mut choices = own.choices().cloned().unwrap();
        with_products_by(&mut choices, "gemm_subgroup/64");
        let graph = own.graph();
        choices.apply(&reference, graph, &mut notices).unwrap()
    });
    assert!(notices.is_empty(), "the reference runs all: {notices:?}");
    let loaded = block_on(device.load(plan));
    if device.adapter().unwrap().has_subgroups() {
        loaded.unwrap();
        return;
    }
    let error = loaded
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    println!("{error}");
    let name = device.adapter().unwrap();
    assert_eq!(
        error,
        format!("kernel `gemm_subgroup`: expected an adapter with subgroups, got {name}")
    );
}

/// The same for the example: a checkpoint from one adapter is resumed on each of the others.
#[test]
fn the_example_resumes_a_checkpoint_of_another_adapter() {
    let Some(device) = common::gpu() else { return };
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("foreign");
    let _ = std::fs::remove_dir_all(&folder);
    let run = |more: &[&str]| {
        let mut command = Command::new(common::example());
        command.args(["--train-images", "640"]).args(more);
        if let Ok(adapter) = std::env::var("WGRAD_ADAPTER") {
            command.args(["--adapter", &adapter]);
        }
        let output = command.arg("--checkpoint").arg(&folder).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    std::fs::create_dir_all(&folder).unwrap();
    run(&["--epochs", "1", "--tune", "off"]);
    let file = folder.join("last.safetensors");
    let mut checkpoint = Checkpoint::load(&file).unwrap();
    let kernels = checkpoint.metadata.get_mut("kernels").unwrap();
    let lines = kernels
        .lines()
        .map(|line| match line.rsplit_once(": gemm_") {
            Some((op, _)) => format!("{op}: gemm_subgroup/64\n"),
            None => format!("{line}\n"),
        });
    *kernels = lines.collect();
    checkpoint.save(&file).unwrap();
    let text = run(&["--epochs", "2", "--resume"]);
    let notices: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("Notice: "))
        .collect();
    println!("{notices:?}");
    let lacks = !device.adapter().unwrap().has_subgroups();
    assert_eq!(notices.len(), usize::from(lacks), "{text}");
    assert!(
        notices.iter().all(|line| line.contains("bits may differ")),
        "{text}"
    );
    assert!(text.contains("Epoch 2 Summary"), "{text}");
}

/// The output of `adapters` with these variables, or its error line.
fn list(variables: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let mut command = Command::new(common::program("adapters"));
    let output = command.envs(variables.iter().copied()).output().unwrap();
    match output.status.success() {
        true => Ok(lines(&output.stdout)),
        false => Err(lines(&output.stderr).concat()),
    }
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The first line that `mnist_gpu` prints, or its error line.
fn first_line(args: &[&str], variables: &[(&str, &str)]) -> Result<String, String> {
    let mut command = Command::new(common::example());
    command
        .args(["--epochs", "0", "--train-images", "32", "--tune", "off"])
        .args(args);
    let output = command.envs(variables.iter().copied()).output().unwrap();
    match output.status.success() {
        true => Ok(lines(&output.stdout).remove(0)),
        false => Err(lines(&output.stderr).concat()),
    }
}

/// A number is an index into the list of all adapters, even if names contain digits; an index past
/// the end is refused.
#[test]
fn a_number_is_an_index_into_the_list_of_adapters() {
    if common::gpu().is_none() {
        return;
    }
    let all = list(&[]).unwrap();
    for (number, line) in all.iter().enumerate() {
        let found = first_line(&["--adapter", &number.to_string()], &[]).unwrap();
        let (_, adapter) = line.split_once(": ").unwrap();
        assert_eq!(
            found,
            format!("Device: {adapter} (number {number} was asked for)")
        );
    }
    for past in [all.len(), 15, 256] {
        let error = first_line(&["--adapter", &past.to_string()], &[]).unwrap_err();
        println!("{error}");
        let found = all.join("; ");
        assert_eq!(
            error,
            format!("error: no adapter for number {past}; found: {found}")
        );
    }
}

/// wgpu's variables are honoured; if they match nothing, that is an error, not a fallback to the
/// reference.
#[test]
fn wgpus_variables_are_honoured() {
    if common::gpu().is_none() {
        return;
    }
    for backend in ["vulcan", "vulkan,open gl", ",", "none"] {
        let variable = [("WGPU_BACKEND", backend)];
        for error in [
            first_line(&[], &variable).unwrap_err(),
            list(&variable).unwrap_err(),
        ] {
            println!("{error}");
            assert!(
                error.starts_with("error: WGPU_BACKEND: expected names among vulkan, "),
                "{error}"
            );
        }
    }
    assert_eq!(list(&[("WGPU_BACKEND", "")]), list(&[]));
    let error = first_line(&[], &[("WGPU_ADAPTER_NAME", "no such card")]).unwrap_err();
    println!("{error}");
    assert!(
        error.starts_with("error: no adapter for WGPU_ADAPTER_NAME `no such card`; found: 0: ")
    );
    for line in list(&[]).unwrap() {
        let (_, adapter) = line.split_once(": ").unwrap();
        let name = adapter.split(", ").next().unwrap();
        let found = first_line(&[], &[("WGPU_ADAPTER_NAME", name)]).unwrap();
        assert!(found.starts_with(&format!("Device: {name}")), "{found}");
        assert!(
            found.ends_with(&format!("(WGPU_ADAPTER_NAME `{name}` was asked for)")),
            "{found}"
        );
    }
    // An explicit name takes precedence.
    let given = first_line(
        &["--adapter", "0"],
        &[("WGPU_ADAPTER_NAME", "no such card")],
    );
    assert!(given.unwrap().ends_with("(number 0 was asked for)"));
}

/// At process exit the drivers tear themselves down: none of our threads may still hold driver
/// resources.
#[test]
fn programs_that_end_at_once_end_cleanly() {
    if common::gpu().is_none() {
        return;
    }
    let adapter = std::env::var("WGRAD_ADAPTER").unwrap_or_else(|_| "0".to_owned());
    for run in 0..30 {
        let ended = first_line(&["--adapter", &adapter], &[]);
        assert!(ended.is_ok(), "run {run}: {ended:?}");
    }
}
