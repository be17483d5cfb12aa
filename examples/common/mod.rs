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
