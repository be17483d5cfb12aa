//! The program `wgrad`: its commands, files and errors.

#[path = "../common/mod.rs"]
mod common;

mod errors;
mod imports;
mod onnx;
mod pictures;
mod runs;
mod shows;
mod terminal;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use image::{Rgb, RgbImage};

/// A model that trains in no time.
const MODEL: &str = r#"
input = [3, 8, 8]
layers = [
    { layer = "Conv2d", out = 4, kernel = 3, padding = 1 },
    "ReLU",
    { layer = "MaxPool2d", kernel = 2 },
    "Flatten",
    { layer = "Linear", out = "classes" },
]
"#;

const CLASSES: [&str; 3] = ["blue", "green", "red"];

/// A folder with `model.toml`, and in `pictures` 20 pictures of each of three colours, of several
/// sizes.
fn workplace(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    for (class, name) in CLASSES.iter().enumerate() {
        let pictures = folder.join("pictures").join(name);
        std::fs::create_dir_all(&pictures).unwrap();
        for number in 0..20u32 {
            let mut color = [10 * (number % 5) as u8, 60, 30 + number as u8];
            color[2 - class] = 200 - 3 * number as u8;
            let size = (8 + number % 3, 8 + number % 4);
            let picture = RgbImage::from_pixel(size.0, size.1, Rgb(color));
            picture
                .save(pictures.join(format!("{number:02}.png")))
                .unwrap();
        }
    }
    std::fs::write(folder.join("model.toml"), MODEL).unwrap();
    folder
}

/// The options that choose the adapter under test, or the CPU reference if there is none.
fn device() -> Vec<String> {
    let options: &[&str] = match (common::gpu(), std::env::var("WGRAD_ADAPTER")) {
        (None, _) => &["--device", "cpu"],
        (Some(_), Ok(adapter)) => return vec!["--adapter".to_owned(), adapter],
        (Some(_), Err(_)) => &["--device", "gpu"],
    };
    options.iter().map(|&option| option.to_owned()).collect()
}

/// Runs `wgrad` with arguments that are separated by spaces.
fn run(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
    command
        .current_dir(folder)
        .args(arguments.split_whitespace());
    command.output().unwrap()
}

/// The output of a run that succeeds.
fn stdout(folder: &Path, arguments: &str) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The same, on the device under test.
fn on_device(folder: &Path, arguments: &str) -> String {
    stdout(folder, &format!("{arguments} {}", device().join(" ")))
}

/// Trains the small model on the pictures.
fn train(folder: &Path, options: &str) -> String {
    let arguments = format!("train --model model.toml --data pictures --lr 0.1 {options}");
    on_device(folder, &arguments)
}
