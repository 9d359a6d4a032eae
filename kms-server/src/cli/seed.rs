//! `seed check`, and `ctl seed`: what a development server begins with.

use std::path::PathBuf;

use clap::Subcommand;
use kms_server::clock;
use kms_server::failure::{Failure, Kind};
use kms_server::seed::{Applied, Seed};

use super::ctl::Remote;
use super::{say, say_json};

#[derive(Subcommand)]
pub(super) enum Offline {
    /// Checks a seed without starting anything
    Check {
        /// The file, TOML or YAML
        file: PathBuf,
    },
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Makes what a seed describes and is not there yet
    Apply {
        /// The file, TOML or YAML
        file: PathBuf,
    },
    /// Writes what the server has as a seed, in TOML; without key material
    Export,
}

pub(super) fn check(command: &Offline) -> Result<(), Failure> {
    let Offline::Check { file } = command;
    let seed = Seed::read(file)?;
    let (pairs, objects) = seed.planted(clock::system_now())?;
    let generations: usize = pairs.iter().map(|pair| pair.generations.len()).sum();
    say(&format!(
        "{} is right: {} clients, {} pairs with {generations} generations, {} other objects, {} faults",
        file.display(),
        seed.clients.len(),
        pairs.len(),
        objects.len(),
        seed.faults.len()
    ))
}

pub(super) fn run(command: &Command, remote: &Remote, json: bool) -> Result<(), Failure> {
    match command {
        Command::Apply { file } => {
            let applied: Applied = remote.write("/v1/seed", &Seed::read(file)?)?;
            if json { say_json(&applied) } else { say(&told(&applied)) }
        }
        Command::Export => {
            let seed: Seed = remote.read("/v1/seed")?;
            if json {
                return say_json(&seed);
            }
            let text =
                toml::to_string(&seed).map_err(|error| Failure::new(Kind::Other, error.to_string()))?;
            say(text.trim_end())
        }
    }
}

fn told(applied: &Applied) -> String {
    let Applied { made, known, faults } = applied;
    format!("{made} pairs and objects made, {known} were there already, {faults} faults armed")
}
