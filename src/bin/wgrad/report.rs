//! `wgrad report`: what a machine is, whether its kernels are right, and how fast they are, in two
//! files that can be sent.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use wgrad::verify::{self, Options};
use wgrad::{Device, Error, Result};

use crate::common::{Output, say};
use crate::doctor::Machine;
use crate::{bench, verify as verification};

/// The comparison with PyTorch, in a clone of the repository.
const COMPARE: &str = "benches/peers/compare";

/// The checks of `--quick`.
const QUICK: Options = Options {
    seed: 1,
    rounds: 1,
    steps: 2,
    networks: 0,
    layers: 1,
};

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The files without their ends: FILE.md for people, FILE.json for programs
    #[arg(long, value_name = "FILE", default_value = "wgrad-report")]
    output: PathBuf,
    /// Part of an adapter's name or backend, or its number [default: every adapter]
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Few checks, and short measurements
    #[arg(long)]
    quick: bool,
    /// Compare with PyTorch too, of this virtual environment; in a clone of the repository only
    #[arg(long, value_name = "VENV")]
    torch: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  wgrad report
  wgrad report --output radeon --torch ~/venv

It takes a few minutes. Close other programs: the figures are those of an idle machine.";

/// A report while it is made.
struct Report {
    markdown: String,
    begun: Instant,
}

impl Report {
    fn add(&mut self, text: &str) {
        self.markdown += text;
        self.markdown += "\n";
    }

    /// Begins a part, and says so.
    fn part(&mut self, title: &str) -> Result<()> {
        self.add(&format!("\n# {title}\n"));
        say!("{:>4.0} s  {title}", self.begun.elapsed().as_secs_f64())
    }

    fn add_fixed(&mut self, text: &str) {
        self.add(&format!("```text\n{}\n```", text.trim_end()));
    }
}

/// Returns whether every kernel is right on every adapter.
///
/// # Errors
/// A file cannot be written, or a driver cannot be asked.
pub async fn run(args: &Args) -> Result<bool> {
    let (markdown, figures) = (with_end(&args.output, "md"), with_end(&args.output, "json"));
    let (mut written, mut json) = (Output::open(&markdown)?, Output::open(&figures)?);
    let mut report = Report {
        markdown: String::new(),
        begun: Instant::now(),
    };
    report.part("Machine")?;
    let machine = Machine::examine().await?;
    report.add_fixed(&machine.text());

    report.part("Verification")?;
    let (options, seconds) = match args.quick {
        true => (QUICK, 0.02),
        false => (Options::default(), 0.5),
    };
    let (verified, is_right) = verify(&mut report, args, &options).await?;

    report.part("Speed")?;
    let mut tables = String::new();
    let mut add = |line: &str| {
        // A level deeper than the part.
        tables += if line.starts_with('#') { "#" } else { "" };
        tables += line;
        tables += "\n";
        Ok(())
    };
    let measured = bench::measure(
        &bench::Args::brief(args.adapter.as_deref(), seconds),
        &mut add,
    )
    .await?;
    report.add(&tables);

    let peers = match &args.torch {
        None => Value::Null,
        Some(environment) => {
            report.part("PyTorch")?;
            compare(&mut report, environment)?
        }
    };
    let seconds = report.begun.elapsed().as_secs_f64();
    let value = json!({
        "machine": machine.json(),
        "verification": verified,
        "speed": bench::of_devices(&measured),
        "peers": peers,
        "seconds": seconds,
    });
    written.replace(report.markdown.trim_start().as_bytes())?;
    json.replace(format!("{value:#}\n").as_bytes())?;
    say!(
        "{seconds:>4.0} s  wrote {} and {}",
        markdown.display(),
        figures.display()
    )?;
    Ok(is_right && machine.failed() == 0)
}

/// The path with an end added, even if its name has a dot.
fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    name.into()
}

/// The figures of each adapter, and whether all results are right.
async fn verify(report: &mut Report, args: &Args, options: &Options) -> Result<(Vec<Value>, bool)> {
    let devices = match &args.adapter {
        Some(name) => vec![Device::gpu(Some(name)).await?],
        None => match Device::all().await {
            Err(Error::NoAdapter { .. }) => Vec::new(),
            devices => devices?,
        },
    };
    let (mut verified, mut is_right) = (Vec::new(), true);
    for device in devices {
        match verify::adapter(&device, options).await {
            Ok(result) => {
                is_right &= result.passes();
                report.add_fixed(&shortened(&result));
                verified.push(verification::json::of_report(&result));
            }
            Err(error) => {
                is_right = false;
                report.add_fixed(&format!("{device}: {error}"));
                verified.push(json!({ "adapter": device.to_string(), "error": error.to_string() }));
            }
        }
    }
    Ok((verified, is_right))
}

/// What was checked, and every op if one is wrong; the other file has every figure.
fn shortened(result: &verify::Report) -> String {
    let text = result.to_string();
    if !result.passes() {
        return text;
    }
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(2)..];
    format!("{}\n{}", result.adapter, last.join("\n"))
}

/// The tables and figures of `benches/peers/compare`; why there are none, if it does not run.
fn compare(report: &mut Report, environment: &Path) -> Result<Value> {
    let folder = tempfile::tempdir();
    let folder = folder.map_err(|source| Error::Io {
        path: std::env::temp_dir(),
        source,
    })?;
    let file = folder.path().join("peers.json");
    let mut command = Command::new(COMPARE);
    command
        .args([
            "--compare",
            "torch/gpu,torch/cpu",
            "--models",
            "larger,resnet8",
        ])
        .args(["--pairs", "1", "--seconds", "1", "--venv"])
        .arg(environment)
        .arg("--json")
        .arg(&file)
        .stderr(Stdio::inherit());
    let text = match command.output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into(),
        Ok(output) => format!("{COMPARE}: {}", output.status),
        Err(error) => format!("{COMPARE}: {error}"),
    };
    report.add(&text);
    let figures = std::fs::read(&file).ok();
    let figures = figures.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    Ok(figures.unwrap_or(Value::String(text)))
}
