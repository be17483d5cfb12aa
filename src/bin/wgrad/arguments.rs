//! The options of an earlier run: `--args FILE` and `--resume RUN` stand for those of a file
//! `args.toml`, which options typed after them override.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Parser;
use toml::{Table, Value};
use wgrad::{Error, Result};

use crate::common::on_one_line;
use crate::run_folder::ARGS;
use crate::train;

/// The options of a file, without a command.
#[derive(Debug, Parser)]
struct Saved {
    #[command(flatten)]
    args: train::Args,
}

/// The options that a run was trained with.
///
/// # Errors
/// The folder has none, or others than those of this program.
pub fn of_run(folder: &Path) -> Result<train::Args> {
    let path = folder.join(ARGS);
    let options = ["wgrad".to_owned()].into_iter().chain(read(&path)?);
    let saved = Saved::try_parse_from(options).map_err(|error| {
        let text = error.to_string();
        let first = text.split("\n\n").next().unwrap_or_default();
        Error::Data {
            path,
            expected: "the options of a training".to_owned(),
            got: on_one_line(first.trim_start_matches("error: ")),
        }
    })?;
    Ok(saved.args)
}

/// The arguments of the process, with those of the files.
///
/// # Errors
/// A file cannot be read, or is not TOML.
pub fn expanded() -> Result<Vec<OsString>> {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let file = typed.iter().enumerate().find_map(|(at, argument)| {
        let (option, value) = match argument.to_str()?.split_once('=') {
            Some((option, value)) => (option, Some(OsString::from(value))),
            None => (argument.to_str()?, typed.get(at + 1).cloned()),
        };
        let path = PathBuf::from(value?);
        match option {
            "--args" => Some(path),
            "--resume" => Some(path.join(ARGS)),
            _ => None,
        }
    });
    let (Some(file), [program, command, ..]) = (file, &typed[..]) else {
        return Ok(typed);
    };
    let mut all = vec![program.clone(), command.clone()];
    all.extend(read(&file)?.into_iter().map(OsString::from));
    all.extend_from_slice(&typed[2..]);
    Ok(all)
}

fn read(path: &Path) -> Result<Vec<String>> {
    Ok(table(path)?.iter().filter_map(option).collect())
}

/// The options in a file.
///
/// # Errors
/// It cannot be read, or is not TOML.
pub fn table(path: &Path) -> Result<Table> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Io {
        path: path.to_owned(),
        source,
    })?;
    text.parse().map_err(|error: toml::de::Error| Error::Data {
        path: path.to_owned(),
        expected: "options in TOML".to_owned(),
        got: match error.span() {
            Some(span) => {
                let line = text[..span.start].lines().count().max(1);
                format!("{} in line {line}", error.message())
            }
            None => error.message().to_owned(),
        },
    })
}

/// `--key=value`; none for a flag that is off.
fn option((key, value): (&String, &Value)) -> Option<String> {
    match value {
        Value::Boolean(true) => Some(format!("--{key}")),
        Value::Boolean(false) => None,
        Value::String(text) => Some(format!("--{key}={text}")),
        other => Some(format!("--{key}={other}")),
    }
}
