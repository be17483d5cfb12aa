//! `wgrad compare`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::Table;
use wgrad::{Error, Result};

use crate::common::{Output, say};
use crate::run_folder::{ARGS, RESULTS, Results};
use crate::tables::table;
use crate::{arguments, charts};

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folders of runs
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The picture of their accuracies
    #[arg(long, value_name = "FILE", default_value = "compare.svg")]
    output: PathBuf,
}

const EXAMPLES: &str = "\
Example:
  wgrad compare runs/resnet8 runs/resnet8-2 --output rates.svg";

/// A run: its options as text, and its epochs.
struct Run {
    name: String,
    options: Table,
    results: Results,
}

pub fn run(args: &Args) -> Result<()> {
    let mut output = Output::open(&args.output)?;
    let runs = args.runs.iter().map(|folder| read(folder));
    let runs = runs.collect::<Result<Vec<Run>>>()?;
    let mut head = vec!["<run", "epochs", "best", "accuracy", "loss"];
    let options = different(&runs);
    head.extend(options.iter().map(String::as_str));
    let rows = runs.iter().map(|run| {
        let mut row = vec![run.name.clone(), run.results.epochs.len().to_string()];
        row.extend(match run.results.best() {
            Some(best) => [
                best.epoch.to_string(),
                format!("{:.2} %", 100.0 * best.test_accuracy),
                format!("{:.4}", best.test_loss),
            ],
            None => ["none"; 3].map(str::to_owned),
        });
        let value = |option| {
            run.options
                .get(option)
                .map_or("–".to_owned(), ToString::to_string)
        };
        row.extend(options.iter().map(value));
        row
    });
    say!("{}", table(&head, &rows.collect::<Vec<_>>()))?;
    let lines = runs.iter().map(|run| {
        let epochs = run.results.epochs.iter();
        let points = epochs.map(|epoch| (epoch.epoch as f64, 100.0 * epoch.test_accuracy));
        (run.name.clone(), points.collect())
    });
    let lines: Vec<charts::Line> = lines.collect();
    output.replace(charts::accuracies(&lines)?.as_bytes())?;
    say!("wrote {}", args.output.display())
}

fn read(folder: &Path) -> Result<Run> {
    let options = arguments::table(&folder.join(ARGS))?;
    let results = Results::read(folder, u64::MAX)?;
    match results.epochs.is_empty() {
        true => Err(Error::Data {
            path: folder.join(RESULTS),
            expected: "the results of at least 1 epoch".to_owned(),
            got: "none".to_owned(),
        }),
        false => Ok(Run {
            name: folder.display().to_string(),
            options,
            results,
        }),
    }
}

/// The options that are not the same in all runs.
fn different(runs: &[Run]) -> Vec<String> {
    let all: BTreeSet<&String> = runs.iter().flat_map(|run| run.options.keys()).collect();
    let differs = |option: &&String| {
        let mut values = runs.iter().map(|run| run.options.get(*option));
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    all.into_iter().filter(differs).cloned().collect()
}
