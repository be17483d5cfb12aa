//! `wgrad completions` and `wgrad man`.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use wgrad::{Error, Result};

use crate::Program;
use crate::common::say;

const NAME: &str = "wgrad";

#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub fn print(&self) -> Result<()> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Program::command(), NAME, &mut text);
        say!("{}", String::from_utf8_lossy(&text).trim_end())
    }
}

#[derive(Debug, Args)]
pub struct Man {
    /// The folder to write them to
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Man {
    pub fn write(&self) -> Result<()> {
        let written = std::fs::create_dir_all(&self.folder)
            .and_then(|()| clap_mangen::generate_to(Program::command(), &self.folder));
        written.map_err(|source| Error::Io {
            path: self.folder.clone(),
            source,
        })?;
        say!("wrote {}", self.folder.display())
    }
}
