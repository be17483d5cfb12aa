//! `wgrad predict`.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use wgrad::data::read_picture;
use wgrad::{Error, Predictor, Result};

use crate::common::{DeviceArgs, complain, say};
use crate::data::picture_options;
use crate::measure::floats;
use crate::model::Trained;
use crate::tables::table;

/// Pictures read at a time.
const PIECE: usize = 256;

/// Ends of the names of files that are taken from folders.
const ENDS: [&str; 5] = ["bmp", "jpeg", "jpg", "png", "webp"];

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A run's folder, or a checkpoint
    #[arg(value_name = "RUN or FILE")]
    weights: PathBuf,
    /// Pictures, or folders of pictures
    #[arg(required = true, value_name = "PICTURE")]
    pictures: Vec<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    /// How many classes to tell of each picture, the most probable first
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Csv,
    Json,
}

const EXAMPLES: &str = "\
Examples:
  wgrad predict runs/resnet8 cat.jpg
  wgrad predict runs/resnet8 new_pictures --top 1 --format csv";

pub async fn run(args: &Args) -> Result<()> {
    let trained = Trained::load(&args.weights)?;
    let device = args.device.open().await?;
    let mut predictor = Predictor::from_checkpoint(&device, &trained.checkpoint)?;
    let options = picture_options(&predictor.sample(), "predict")?;
    let (mut rows, mut broken) = (Vec::new(), 0);
    let files = files(&args.pictures)?;
    for piece in files.chunks(PIECE) {
        let (mut read, mut images) = (Vec::new(), Vec::new());
        for file in piece {
            match read_picture(file, &options) {
                Ok((_, pixels)) => {
                    images.extend(pixels);
                    read.push(file);
                }
                Err(error) if files.len() == 1 => return Err(error),
                Err(error) => {
                    complain(format_args!("{error}"));
                    broken += 1;
                }
            }
        }
        let probabilities = predictor
            .probabilities(&floats(images, read.len())?)
            .await?;
        let classes = probabilities.chunks_exact(predictor.class_count());
        rows.extend(
            read.into_iter()
                .cloned()
                .zip(classes.map(|row| first(row, args.top))),
        );
    }
    print(&rows, &trained, args.format)?;
    match broken {
        0 => Ok(()),
        _ => Err(Error::value(
            "pictures",
            "all to be readable",
            format!("{broken} that are not"),
        )),
    }
}

/// The most probable classes, with their probabilities.
fn first(row: &[f32], top: u16) -> Vec<(usize, f32)> {
    let mut classes: Vec<(usize, f32)> = row.iter().copied().enumerate().collect();
    classes.sort_by(|a, b| b.1.total_cmp(&a.1));
    classes.truncate(top.into());
    classes
}

type Row = (PathBuf, Vec<(usize, f32)>);

fn print(rows: &[Row], trained: &Trained, format: Format) -> Result<()> {
    match format {
        Format::Table => {
            let rows = rows.iter().map(|(file, classes)| {
                let classes = classes.iter().map(|&(class, probability)| {
                    format!("{} {:.1} %", trained.class(class), 100.0 * probability)
                });
                let classes: Vec<String> = classes.collect();
                vec![file.display().to_string(), classes.join(", ")]
            });
            let rows: Vec<Vec<String>> = rows.collect();
            say!("{}", table(&["<picture", "<classes"], &rows))
        }
        Format::Csv => {
            say!("picture,rank,class,probability")?;
            for (file, classes) in rows {
                for (rank, &(class, probability)) in classes.iter().enumerate() {
                    let [file, class] =
                        [file.display().to_string(), trained.class(class)].map(field);
                    say!("{file},{},{class},{probability}", rank + 1)?;
                }
            }
            Ok(())
        }
        Format::Json => {
            let rows = rows.iter().map(|(file, classes)| {
                let classes = classes.iter().map(|&(class, probability)| {
                    serde_json::json!({ "class": trained.class(class), "probability": probability })
                });
                let classes: Vec<serde_json::Value> = classes.collect();
                serde_json::json!({ "picture": file, "classes": classes })
            });
            say!("{:#}", serde_json::Value::Array(rows.collect()))
        }
    }
}

/// A field of CSV, in quotes if it needs them (RFC 4180).
fn field(text: String) -> String {
    match text.contains([',', '"', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

/// The files, and those in the folders, by name.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => add(path, &mut all)?,
            false => all.push(path.clone()),
        }
    }
    match all.is_empty() {
        true => {
            let got = paths.iter().map(|path| path.display().to_string());
            let got = format!("none in {}", got.collect::<Vec<_>>().join(", "));
            Err(Error::value("pictures", "at least 1 file", got))
        }
        false => Ok(all),
    }
}

fn add(folder: &Path, all: &mut Vec<PathBuf>) -> Result<()> {
    let io = |source| Error::Io {
        path: folder.to_owned(),
        source,
    };
    let entries = std::fs::read_dir(folder).map_err(io)?;
    let entries = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut entries: Vec<PathBuf> = entries.collect::<std::io::Result<_>>().map_err(io)?;
    entries.sort();
    for path in entries {
        let end = path
            .extension()
            .map(|end| end.to_string_lossy().to_lowercase());
        if path.is_dir() {
            add(&path, all)?;
        } else if end.is_some_and(|end| ENDS.contains(&end.as_str())) {
            all.push(path);
        }
    }
    Ok(())
}
