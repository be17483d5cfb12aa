//! Files written by several threads and processes at once, and folders locked by one of them.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use wgrad::{Checkpoint, FolderLock};

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A checkpoint filled with one value.
fn checkpoint(value: f32) -> Checkpoint {
    let mut checkpoint = Checkpoint::default();
    let values = vec![value; 1000];
    checkpoint
        .tensors
        .insert("0.weight".to_owned(), ([1000].into(), values));
    checkpoint
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Saves `saves` checkpoints on each of four threads, while one thread loads. Returns the numbers
/// of failed saves, loads and failed loads.
fn save_at_once(path: &Path, saves: usize) -> [usize; 3] {
    checkpoint(0.0).save(path).unwrap();
    let (failed_saves, writes) = (AtomicUsize::new(0), AtomicBool::new(true));
    let (mut loads, mut failed_loads) = (0, 0);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (1..5u8)
            .map(|writer| {
                let failed_saves = &failed_saves;
                scope.spawn(move || {
                    for _ in 0..saves {
                        if let Err(error) = checkpoint(writer.into()).save(path) {
                            eprintln!("{error}");
                            failed_saves.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        let writes = &writes;
        let reader = scope.spawn(move || {
            let (mut loads, mut failed) = (0, 0);
            while writes.load(Ordering::Relaxed) {
                loads += 1;
                let whole = Checkpoint::load(path).is_ok_and(|checkpoint| {
                    let (_, values) = &checkpoint.tensors["0.weight"];
                    values.iter().all(|value| *value == values[0])
                });
                failed += usize::from(!whole);
            }
            (loads, failed)
        });
        for writer in writers {
            writer.join().unwrap();
        }
        writes.store(false, Ordering::Relaxed);
        (loads, failed_loads) = reader.join().unwrap();
    });
    [failed_saves.into_inner(), loads, failed_loads]
}

#[test]
fn threads_that_save_one_path_do_not_disturb_each_other() {
    let folder = folder("threads-save");
    let path = folder.join("last.safetensors");
    let [failed_saves, loads, failed_loads] = save_at_once(&path, 500);
    println!("of 2000 saves {failed_saves} failed; of {loads} loads {failed_loads}");
    assert_eq!([failed_saves, failed_loads], [0, 0]);
    assert_eq!(names(&folder), ["last.safetensors"]);
}

/// Runs one test of this program again, in a child process that is given `folder`.
fn again(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]);
    command.env(CHILD, folder);
    command
}

const CHILD: &str = "WGRAD_TEST_CHILD_FOLDER";

#[test]
fn processes_that_save_one_path_do_not_disturb_each_other() {
    if let Some(folder) = std::env::var_os(CHILD) {
        let path = Path::new(&folder).join("last.safetensors");
        let [failed_saves, loads, failed_loads] = save_at_once(&path, 100);
        println!("of 400 saves {failed_saves} failed; of {loads} loads {failed_loads}");
        assert_eq!([failed_saves, failed_loads], [0, 0]);
        return;
    }
    let folder = folder("processes-save");
    let test = "processes_that_save_one_path_do_not_disturb_each_other";
    let children: Vec<_> = (0..3)
        .map(|_| again(test, &folder).spawn().unwrap())
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(names(&folder), ["last.safetensors"]);
}

#[test]
fn leftovers_of_killed_writers_are_removed_and_open_files_are_not() {
    let folder = folder("abandoned");
    for name in [".wgrad-killed.part", ".wgrad-writing.part", "other.part"] {
        std::fs::write(folder.join(name), "half").unwrap();
    }
    let writing = std::fs::File::open(folder.join(".wgrad-writing.part")).unwrap();
    writing.lock().unwrap();
    checkpoint(1.0)
        .save(folder.join("last.safetensors"))
        .unwrap();
    assert_eq!(
        names(&folder),
        [".wgrad-writing.part", "last.safetensors", "other.part"]
    );
}

#[test]
fn a_folder_is_held_by_one_at_a_time() {
    let folder = folder("held").join("not/yet/there");
    let held = FolderLock::take(&folder).unwrap();
    let error = FolderLock::take(&folder).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("{}: in use by this process", folder.display())
    );
    drop(held);
    FolderLock::take(&folder).unwrap();
}

/// A child process holds its parent's files open between fork and exec: a released lock must be
/// free nevertheless.
#[test]
fn a_released_lock_is_free_while_processes_start() {
    let folder = folder("held-beside-children");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let output = again("no_such_test", &folder).output().unwrap();
                assert!(output.status.success());
            }
        });
        let refused: Vec<_> = (0..20_000)
            .filter_map(|_| FolderLock::take(&folder).err())
            .collect();
        is_over.store(true, Ordering::Relaxed);
        assert!(refused.is_empty(), "{} refused", refused.len());
    });
}

/// The error names the process that holds the folder, and killing that process frees the folder.
#[test]
fn a_lock_vanishes_with_its_process() {
    if let Some(folder) = std::env::var_os(CHILD) {
        let _held = FolderLock::take(&folder).unwrap();
        std::fs::write(Path::new(&folder).join("is-held"), "").unwrap();
        std::thread::sleep(Duration::from_secs(60));
        panic!("nobody has killed this process");
    }
    let folder = folder("held-by-another");
    let mut child = again("a_lock_vanishes_with_its_process", &folder)
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !folder.join("is-held").exists() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "not held in 30 s"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let error = FolderLock::take(&folder).unwrap_err().to_string();
    println!("{error}");
    let expected = format!("{}: in use by process {}", folder.display(), child.id());
    assert_eq!(error, expected);
    child.kill().unwrap();
    child.wait().unwrap();
    FolderLock::take(&folder).unwrap();
}

/// Two runs with one `--checkpoint` folder: the second is refused, and the first continues.
#[test]
fn a_second_run_in_a_folder_is_refused() {
    let folder = folder("two-runs");
    let checkpoints = folder.join("checkpoints");
    let metrics = folder.join("metrics");
    let run = |epochs: &str| {
        let mut command = Command::new(common::example());
        command.args(["--device", "cpu", "--train-images", "640"]);
        command.args(["--epochs", epochs, "--checkpoint-seconds", "0"]);
        command.arg("--checkpoint").arg(&checkpoints);
        command.arg("--metrics").arg(&metrics);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let mut first = run("100000").spawn().unwrap();
    let begun = Instant::now();
    let lines = || {
        std::fs::read_to_string(&metrics)
            .unwrap_or_default()
            .lines()
            .count()
    };
    while lines() == 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "no epoch in 60 s"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let second = run("1").output().unwrap();
    let (text, before) = (String::from_utf8(second.stderr).unwrap(), lines());
    println!("{text}");
    assert!(
        first.try_wait().unwrap().is_none(),
        "the first run has ended"
    );
    first.kill().unwrap();
    first.wait().unwrap();
    let (path, id) = (checkpoints.display(), first.id());
    assert_eq!(text, format!("error: {path}: in use by process {id}\n"));
    assert_eq!(second.status.code(), Some(1));
    assert!(before > 0, "the metrics of the first run are gone");
    let third = run("1").arg("--resume").output().unwrap();
    assert!(third.status.success(), "{third:?}");
}

/// With a cache folder that cannot be written, measurements are not saved for the next run; a
/// notice says so.
#[test]
fn training_continues_without_a_cache_folder() {
    let Some(device) = common::gpu() else { return };
    let mut example = Command::new(common::example());
    example.args(["--train-images", "32", "--epochs", "1", "--adapter"]);
    example.arg(device.adapter().unwrap().name());
    example.env("XDG_CACHE_HOME", "/dev/null/none");
    let output = example.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let text = String::from_utf8(output.stdout).unwrap();
    let line = "/dev/null/none/wgrad/kernels.json: measured kernels are not remembered: ";
    let found: Vec<&str> = text.lines().filter(|text| text.contains(line)).collect();
    println!("{found:?}");
    assert_eq!(found.len(), 1, "{text}");
}
