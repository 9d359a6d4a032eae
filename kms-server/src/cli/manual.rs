//! `completions` and `man`: what the command line says of itself.

use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;
use kms_server::failure::{Failure, Kind};

use super::{Cli, say};

pub(super) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kms-server", &mut script);
    say(String::from_utf8_lossy(&script).trim_end())
}

pub(super) fn pages(folder: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Kind::Other, format!("cannot write to {}: {error}", folder.display()))
            .hint("name a folder that can be written")
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(failed)
}
