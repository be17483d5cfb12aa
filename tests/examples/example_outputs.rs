//! The output of the examples, including output that cannot be written: closed pipes, full disks,
//! refused files.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::common;
use wgrad::Checkpoint;

const PROGRAMS: [&str; 5] = ["mnist_gpu", "adapters", "bench_adapters", "verify", "peer"];
const SHORT: [&str; 6] = ["--device", "cpu", "--epochs", "2", "--train-images", "640"];

/// The exit status of a program whose output pipe was closed.
const BROKEN_PIPE: Option<i32> = Some(141);

fn run(program: &str, args: &[&str]) -> Output {
    let mut command = Command::new(common::program(program));
    command.args(args).output().unwrap()
}

/// Its error output, a single line; checks that it failed.
fn error(program: &str, args: &[&str]) -> String {
    let output = run(program, args);
    assert_eq!(
        output.status.code(),
        Some(1),
        "{program} {args:?}: {output:?}"
    );
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text.trim_end().to_owned()
}

/// An empty folder.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A pipe whose reader is gone.
fn closed() -> Stdio {
    std::io::pipe().unwrap().1.into()
}

#[cfg(target_os = "linux")]
fn full() -> Stdio {
    let full = std::fs::File::options().write(true).open("/dev/full");
    full.unwrap().into()
}

#[test]
fn a_closed_pipe_ends_every_program_quietly() {
    let mut commands: Vec<Vec<&str>> = PROGRAMS.map(|program| vec![program, "--help"]).into();
    commands.push([&["mnist_gpu"], &SHORT[..]].concat());
    commands.push(vec!["peer", "--device", "cpu", "--steps", "1"]);
    let adapter = std::env::var("WGRAD_ADAPTER").unwrap_or_else(|_| "0".to_owned());
    if common::gpu().is_some() {
        commands.push(vec!["adapters"]);
        commands.push(vec![
            "bench_adapters",
            "--adapter",
            &adapter,
            "--seconds",
            "0.01",
        ]);
    }
    for command in commands {
        let mut started = Command::new(common::program(command[0]));
        let output = started
            .args(&command[1..])
            .stdout(closed())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), BROKEN_PIPE, "{command:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{command:?}: {output:?}");
    }
}

/// `mnist_gpu | head -2`: training up to the moment the reader closes the pipe is kept.
#[test]
fn a_closed_pipe_costs_no_training() {
    let folder = folder("pipe");
    let (saved, metrics) = (folder.join("saved.safetensors"), folder.join("metrics"));
    let mut child = Command::new(common::example())
        .args(SHORT)
        .args(["--checkpoint", text(&folder), "--save", text(&saved)])
        .args(["--metrics", text(&metrics)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The last line of the table; only epochs are printed after it.
    assert!(lines.any(|line| line.unwrap().starts_with("total ")));
    drop(lines);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), BROKEN_PIPE, "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let checkpoint = Checkpoint::load(folder.join("last.safetensors")).unwrap();
    assert_eq!(checkpoint.metadata["epoch"], "1");
    assert_eq!(Checkpoint::load(saved).unwrap().tensors, checkpoint.tensors);
    assert_eq!(std::fs::read_to_string(metrics).unwrap().lines().count(), 1);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_a_one_line_error() {
    let mut commands: Vec<Vec<&str>> = PROGRAMS.map(|program| vec![program, "--help"]).into();
    commands.push([&["mnist_gpu"], &SHORT[..]].concat());
    for command in commands {
        let mut started = Command::new(common::program(command[0]));
        let output = started.args(&command[1..]).stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{command:?}: {output:?}");
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "error: standard output: No space left on device (os error 28)\n"
        );
    }
}

/// The exit status reports the error even if nobody reads the message.
#[test]
fn a_closed_error_stream_changes_nothing() {
    for program in PROGRAMS {
        let mut streams = vec![closed()];
        #[cfg(target_os = "linux")]
        streams.push(full());
        for stream in streams {
            let mut started = Command::new(common::program(program));
            let status = started.arg("--nonsense").stderr(stream).status().unwrap();
            assert_eq!(status.code(), Some(1), "{program}");
        }
    }
    let mut started = Command::new(common::example());
    started.args(SHORT).stdout(Stdio::null()).stderr(closed());
    assert!(started.status().unwrap().success());
}

/// Each bad output comes with another error that would be found later: the message must name the
/// output.
#[test]
fn files_that_cannot_be_written_are_refused_before_any_work() {
    let folder = folder("refused");
    let file = folder.join("file");
    std::fs::write(&file, "a file").unwrap();
    let below = file.join("below");
    let outputs = [
        ("mnist_gpu", "--save", ["--data", "nowhere"]),
        ("mnist_gpu", "--checkpoint", ["--data", "nowhere"]),
        ("mnist_gpu", "--metrics", ["--data", "nowhere"]),
        ("verify", "--json", ["--adapter", "nonsense"]),
        ("bench_adapters", "--json", ["--adapter", "nonsense"]),
        ("bench_adapters", "--svg", ["--adapter", "nonsense"]),
    ];
    for (program, option, wrong) in outputs {
        let mut args = vec![option, text(&below)];
        args.extend(wrong);
        let refused = error(program, &args);
        let begin = format!("error: {}", file.display());
        assert!(refused.starts_with(&begin), "{program} {option}: {refused}");
        if option != "--checkpoint" {
            args[1] = text(&folder);
            let refused = error(program, &args);
            let begin = format!("error: {}: ", folder.display());
            assert!(refused.starts_with(&begin), "{program} {option}: {refused}");
        }
    }
    let refused = error("verify", &["--dump", text(&below)]);
    assert!(
        refused.starts_with(&format!("error: {}: ", below.display())),
        "{refused}"
    );
    assert_eq!(std::fs::read_to_string(file).unwrap(), "a file");
}

#[test]
fn a_run_that_fails_early_leaves_files_as_they_were() {
    let folder = folder("kept");
    let (old, new) = (folder.join("old"), folder.join("new"));
    std::fs::write(&old, "old\n").unwrap();
    for path in [&old, &new] {
        let file = text(path);
        error("mnist_gpu", &["--data", "nowhere", "--metrics", file]);
        error("mnist_gpu", &["--data", "nowhere", "--save", file]);
        error("verify", &["--adapter", "nonsense", "--json", file]);
        error("bench_adapters", &["--adapter", "nonsense", "--json", file]);
        error("bench_adapters", &["--adapter", "nonsense", "--svg", file]);
    }
    assert_eq!(std::fs::read_to_string(&old).unwrap(), "old\n");
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");

    // A run that has results replaces the file, and a resumed run appends to it.
    let checkpoint = folder.join("checkpoint");
    let mut args = SHORT.to_vec();
    args.extend(["--metrics", text(&old), "--checkpoint", text(&checkpoint)]);
    assert!(run("mnist_gpu", &args).status.success());
    args[3] = "3";
    args.push("--resume");
    assert!(run("mnist_gpu", &args).status.success());
    let written = std::fs::read_to_string(&old).unwrap();
    let epochs = written.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["epoch"].as_u64().unwrap()
    });
    assert_eq!(epochs.collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn two_outputs_to_one_file_are_refused() {
    let folder = folder("twice");
    let file = folder.join("file");
    let again = folder.join(".").join("file");
    let expected = |option: &str, other: &str, file: &Path| {
        format!(
            "error: {option}: expected another file than {other}, got {}",
            file.display()
        )
    };
    assert_eq!(
        error(
            "mnist_gpu",
            &["--save", text(&file), "--metrics", text(&again)]
        ),
        expected("--metrics", "--save", &again)
    );
    let last = folder.join("last.safetensors");
    assert_eq!(
        error(
            "mnist_gpu",
            &["--checkpoint", text(&folder), "--save", text(&last)]
        ),
        expected("--save", "--checkpoint", &last)
    );
    assert_eq!(
        error(
            "bench_adapters",
            &["--json", text(&file), "--svg", text(&file)]
        ),
        expected("--svg", "--json", &file)
    );
}

/// An output never overwrites an input of the run.
#[test]
fn outputs_over_inputs_are_refused() {
    let folder = folder("inputs");
    let (data, init) = (folder.join("data"), folder.join("init.safetensors"));
    std::fs::create_dir_all(&data).unwrap();
    let image = data.join("train-images-idx3-ubyte.gz");
    std::fs::write(&image, "images").unwrap();
    wgrad::Checkpoint::default().save(&init).unwrap();
    let lock = folder.join(".lock");
    for option in ["--save", "--metrics"] {
        assert_eq!(
            error("mnist_gpu", &["--data", text(&data), option, text(&image)]),
            format!(
                "error: {option}: expected a file outside of --data, got {}",
                image.display()
            )
        );
        assert_eq!(
            error("mnist_gpu", &["--init", text(&init), option, text(&init)]),
            format!(
                "error: {option}: expected another file than --init, got {}",
                init.display()
            )
        );
        assert_eq!(
            error(
                "mnist_gpu",
                &["--checkpoint", text(&folder), option, text(&lock)]
            ),
            format!(
                "error: {option}: expected another file than --checkpoint's lock, got {}",
                lock.display()
            )
        );
    }
    assert_eq!(std::fs::read_to_string(image).unwrap(), "images");
}

/// A checkpoint that is a symbolic link remains one.
#[test]
#[cfg(unix)]
fn a_checkpoint_is_saved_to_the_target_of_its_link() {
    let folder = folder("linked");
    let (file, link) = (folder.join("file"), folder.join("link"));
    std::fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let checkpoint = wgrad::Checkpoint::default();
    checkpoint.save(&link).unwrap();
    assert!(link.is_symlink());
    assert_eq!(wgrad::Checkpoint::load(&file).unwrap(), checkpoint);
}

/// Writing to a link replaces its target and keeps the permissions; a pipe is written to directly.
#[test]
#[cfg(unix)]
fn links_permissions_and_pipes_are_preserved() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder("links");
    let (file, link) = (folder.join("file"), folder.join("link"));
    std::fs::write(&file, "old").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let dump = ["--rounds", "1", "--dump"];
    let output = run("verify", &[&dump[..], &[text(&link)]].concat());
    assert!(output.status.success(), "{output:?}");
    assert!(link.is_symlink());
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o640
    );
    let written = std::fs::read(&file).unwrap();
    assert!(written.len() > 1000);
    let piped = run("verify", &[&dump[..], &["/dev/stdout"]].concat());
    assert!(piped.stdout == written);

    // Renaming a file over a device or a pipe would remove it for everyone.
    let pipe = folder.join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let expected = format!(
        "{}: expected a file to write, got a device or a pipe",
        pipe.display()
    );
    let refused = error("mnist_gpu", &["--data", "nowhere", "--save", text(&pipe)]);
    assert_eq!(refused, format!("error: {expected}"));
    assert_eq!(
        Checkpoint::default().save(&pipe).unwrap_err().to_string(),
        expected
    );
    assert!(!std::fs::metadata(&pipe).unwrap().is_file());
}
