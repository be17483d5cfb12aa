//! `wgrad eval`.

use std::path::PathBuf;

use wgrad::Result;

use crate::common::{DeviceArgs, say};
use crate::data::DataArgs;
use crate::measure::{Measured, TOP};
use crate::model::Trained;
use crate::tables::table;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A run's folder, or a checkpoint
    #[arg(value_name = "RUN or FILE")]
    weights: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Seed that draws the test set, if the data set has none: that of the training
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  wgrad eval runs/resnet8 --data pictures
  wgrad eval runs/resnet8/weights/last.safetensors --data pictures --json";

pub async fn run(args: &Args) -> Result<()> {
    let trained = Trained::load(&args.weights)?;
    let loaded = args.data.load(Some(trained.size()?), args.seed)?;
    let device = args.device.open().await?;
    let measured = Measured::of(&device, &trained, &loaded).await?;
    let (matrix, classes) = (&measured.matrix, loaded.classes.len());
    let of_class = |class: usize| {
        let count = |label, predicted| matrix.count(label, predicted);
        let images: u64 = (0..classes).map(|other| count(class, other)).sum();
        let answers: u64 = (0..classes).map(|other| count(other, class)).sum();
        (images, count(class, class), answers)
    };
    if args.json {
        let rows = loaded.classes.iter().enumerate().map(|(class, name)| {
            let (images, right, answers) = of_class(class);
            serde_json::json!({ "class": name, "images": images, "right": right, "answers": answers })
        });
        let value = serde_json::json!({
            "device": device.to_string(),
            "images": measured.labels.len(),
            "accuracy": matrix.accuracy(),
            "top5_accuracy": measured.top5,
            "loss": measured.loss,
            "classes": rows.collect::<Vec<_>>(),
        });
        return say!("{value:#}");
    }
    let percent = |part: u64, all: u64| match all {
        0 => "none".to_owned(),
        all => format!("{:.1} %", 100.0 * part as f64 / all as f64),
    };
    let rows = loaded.classes.iter().enumerate().map(|(class, name)| {
        let (images, right, answers) = of_class(class);
        vec![
            name.clone(),
            images.to_string(),
            percent(right, images),
            percent(right, answers),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    say!(
        "{}",
        table(&["<class", "images", "recall", "precision"], &rows)
    )?;
    // Among few classes the right one is always near the front.
    let top5 = match classes > TOP {
        true => format!(", among the first five {:.2} %", 100.0 * measured.top5),
        false => String::new(),
    };
    say!(
        "{} images on {device}: accuracy {:.2} %{top5}, loss {:.4}",
        measured.labels.len(),
        100.0 * matrix.accuracy(),
        measured.loss
    )
}
