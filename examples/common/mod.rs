//! Shared by the examples: startup, output and exit.
#![allow(dead_code, unused_imports, reason = "each example uses a part of it")]

mod bar;
mod device;
mod output;
mod palette;
pub mod signals;

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

pub use bar::{advance, left, progress_bar};
pub use device::DeviceArgs;
pub use output::{Output, check_apart, try_replacing};
pub use palette::OkabeIto;
use wgrad::{Error, Result};

/// The name of the output stream in errors; it has no path.
const STDOUT: &str = "standard output";

/// The exit status of a program that wrote to a closed pipe: 128 plus the number of SIGPIPE, as
/// shells report it for most tools.
const BROKEN_PIPE: u8 = 141;

/// Runs an example that takes no arguments: exit status 0, or 1 with the error on one line.
pub fn run(example: impl Future<Output = Result<()>>) -> ExitCode {
    quiet_drivers();
    exit(match std::env::args().nth(1) {
        Some(argument) => Err(Error::value("arguments", "none", argument)),
        None => wgrad::block_on(example),
    })
}

/// Runs an example that takes `Args`: exit status 0, or 1 with the error on one line.
pub fn run_with<Args: clap::Parser>(example: impl AsyncFnOnce(Args) -> Result<()>) -> ExitCode {
    quiet_drivers();
    match parse() {
        Ok(args) => exit(wgrad::block_on(example(args))),
        Err(status) => status,
    }
}

/// Mesa's drivers look for a desktop session, and print warnings if this variable is missing. Call
/// it before anything else.
pub fn quiet_drivers() {
    const DESKTOP: &str = "XDG_RUNTIME_DIR";
    if std::env::var_os(DESKTOP).is_none() {
        // SAFETY: the first statement of `main`; no other thread exists that could read the
        // environment concurrently.
        unsafe { std::env::set_var(DESKTOP, std::env::temp_dir()) };
    }
}

/// Prints a line like `println!`, but fails with an error rather than a panic.
macro_rules! say {
    ($($line:tt)*) => { $crate::common::print_line(format_args!($($line)*)) };
}
pub(crate) use say;

/// The function behind [`say`].
///
/// # Errors
/// A closed pipe or a full disk.
pub fn print_line(line: Arguments<'_>) -> Result<()> {
    let mut out = io::stdout().lock();
    let printed = writeln!(out, "{line}").and_then(|()| out.flush());
    printed.map_err(|source| Error::Io {
        path: STDOUT.into(),
        source,
    })
}

/// Prints a line on the error stream; failures are ignored, as they cannot be reported.
pub fn complain(line: Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The arguments, or the exit status after printing the requested help or a one-line error.
pub fn parse<Args: clap::Parser>() -> std::result::Result<Args, ExitCode> {
    parse_typed().map(|(args, _)| args)
}

/// Like [`parse`], with the names of the arguments given on the command line, excluding defaults.
pub fn parse_typed<Args: clap::Parser>() -> std::result::Result<(Args, Vec<String>), ExitCode> {
    let parsed = Args::command().try_get_matches().and_then(|matches| {
        let was_typed = |id: &&clap::Id| {
            let source = matches.value_source(id.as_str());
            source == Some(clap::parser::ValueSource::CommandLine)
        };
        let typed = matches.ids().filter(was_typed).map(ToString::to_string);
        Ok((Args::from_arg_matches(&matches)?, typed.collect()))
    });
    parsed.map_err(refuse)
}

/// Prints the requested help, or an error on one line; returns the exit status.
pub fn refuse(error: clap::Error) -> ExitCode {
    let text = error.to_string();
    if !error.use_stderr() {
        return exit(print_line(format_args!("{}", text.trim_end())));
    }
    // The first paragraph is the error, in one line or as a list; a tip may follow, then advice.
    let mut paragraphs = text.split("\n\n").map(on_one_line);
    let line = paragraphs.next().unwrap_or_default();
    let tip = paragraphs.find(|paragraph| paragraph.contains("similar"));
    let tip = tip.map_or(String::new(), |tip| {
        format!("; {}", tip.trim_start_matches("tip: "))
    });
    complain(format_args!("{line}{tip} (--help explains the flags)"));
    ExitCode::FAILURE
}

/// A paragraph of clap's messages, without its line ends.
pub fn on_one_line(paragraph: &str) -> String {
    let lines = paragraph.lines().map(str::trim);
    lines.collect::<Vec<_>>().join(" ")
}

/// Exit status 0 for true, 1 for false, or 1 with the error on one line.
pub fn exit_by(result: Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => exit(Err(error)),
    }
}

/// Exit status 0, or 1 with the error on one line. A closed output pipe ends the program without a
/// message.
pub fn exit(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Io { path, source })
            if path.as_os_str() == STDOUT && source.kind() == ErrorKind::BrokenPipe =>
        {
            ExitCode::from(BROKEN_PIPE)
        }
        Err(error) => {
            complain(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}
