//! How every example begins and ends.

use std::process::ExitCode;

use wgrad::Result;

/// Mesa's drivers look for a desktop, and complain on the terminal where the variable that would
/// lead them to it is missing. Call it before anything else.
pub fn quiet_drivers() {
    const DESKTOP: &str = "XDG_RUNTIME_DIR";
    if std::env::var_os(DESKTOP).is_none() {
        // SAFETY: the first statement of `main`; no other thread exists that could read the
        // environment meanwhile.
        unsafe { std::env::set_var(DESKTOP, std::env::temp_dir()) };
    }
}

/// The arguments, or how to end: with the help that was asked for, or with one line that says what is
/// wrong.
#[allow(dead_code, reason = "not every example has arguments")]
pub fn parse<Args: clap::Parser>() -> std::result::Result<Args, ExitCode> {
    Args::try_parse().map_err(|error| {
        if !error.use_stderr() {
            print!("{error}");
            return ExitCode::SUCCESS;
        }
        let text = error.to_string();
        eprintln!(
            "{} (--help explains the flags)",
            text.lines().next().unwrap_or("error")
        );
        ExitCode::FAILURE
    })
}

/// Exit status 0, or 1 with the error on one line.
pub fn exit(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
