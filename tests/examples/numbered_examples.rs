//! The numbered examples, which a newcomer reads in the order that README lists: the output of
//! each, and how each fails when it cannot do its work.

use crate::common;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{Command, Output};

/// A program, the text before a number in its output, and the range that the number must lie in.
type Expected = (&'static str, &'static str, RangeInclusive<f64>);

const EXAMPLES: [Expected; 7] = [
    ("01_train", "test accuracy ", 0.95..=1.0),
    // The initial loss is 2.6.
    ("02_phases", "loss of the last batch ", 0.0..=1.0),
    ("03_predict", "test accuracy ", 0.85..=1.0),
    ("04_branches", "test accuracy ", 0.8..=1.0),
    // A gradient of zero would prove nothing.
    ("05_layer", "the gradient's square is ", 1e-4..=10.0),
    // Forward and backward, in two steps.
    ("06_op", "in a model: ", 4.0..=4.0),
    ("07_pytorch", "logits differ by at most ", 0.0..=1e-5),
];

fn run(name: &str, folder: &Path) -> Output {
    let mut command = Command::new(common::program(name));
    let command = command.current_dir(folder).env_remove("XDG_RUNTIME_DIR");
    command.output().unwrap()
}

/// The number that follows `words`.
fn number(text: &str, words: &str) -> Option<f64> {
    let (_, rest) = text.split_once(words)?;
    let number = rest.split([' ', ',', '\n']).next()?;
    number.parse().ok()
}

#[test]
fn each_example_does_what_it_says() {
    let has_adapter = common::gpu().is_some();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, words, range) in EXAMPLES {
        if name == "06_op" && !has_adapter {
            continue;
        }
        let output = run(name, root);
        assert!(output.status.success(), "{name}: {output:?}");
        assert!(output.stderr.is_empty(), "{name}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let found = number(&text, words).filter(|found| range.contains(found));
        assert!(found.is_some(), "{name}: `{words}` {range:?}: {text}");
    }
}

/// Run in a folder without its files.
#[test]
fn an_example_that_fails_says_why_in_one_line() {
    let empty = Path::new(env!("CARGO_TARGET_TMPDIR")).join("without_files");
    std::fs::create_dir_all(&empty).unwrap();
    for (name, file) in [
        ("02_phases", "data/mnist"),
        ("03_predict", "data/mnist"),
        ("04_branches", "data/mnist"),
        ("07_pytorch", "tests/golden/torch_state.safetensors"),
    ] {
        let output = run(name, &empty);
        assert_eq!(output.status.code(), Some(1), "{name}: {output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        let begin = format!("error: {file}");
        assert!(
            text.starts_with(&begin) && text.lines().count() == 1,
            "{name}: {text}"
        );
    }
}

#[test]
fn readme_lists_them_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(root.join("examples")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut numbered: Vec<String> = names
        .map(|name| name.trim_end_matches(".rs").to_owned())
        .filter(|name| name.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    numbered.sort();
    assert_eq!(numbered, EXAMPLES.map(|(name, _, _)| name));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let listed = readme.lines().filter_map(|line| {
        let (name, _) = line.strip_prefix("| [`")?.split_once('`')?;
        numbered.contains(&name.to_owned()).then_some(name)
    });
    assert_eq!(listed.collect::<Vec<_>>(), numbered);
}

#[test]
fn arguments_are_refused() {
    for (name, ..) in EXAMPLES {
        let mut command = Command::new(common::program(name));
        let output = command.arg("--fast").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            error, "error: arguments: expected none, got --fast\n",
            "{name}"
        );
    }
}
