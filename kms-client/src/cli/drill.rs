//! `kms-client drill`.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, Subcommand};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tracing::subscriber::{NoSubscriber, with_default};

use crate::backup::BackupError;
use crate::drill;
use crate::drill::{Drill, DrillError, Event, Setup, Stop, limits, ready};

use super::Session;
use super::exit::{CommandError, Exit};

/// The server's program.
const SERVER: &str = "kms-server";

#[derive(Subcommand)]
pub enum Command {
    /// Run a drill: start its servers, break them, and judge what came of it.
    Run(RunArguments),
    /// List the drills that come along.
    List,
    /// Show the file of a drill that comes along.
    Show {
        /// Its name.
        name: String,
    },
    /// Check a drill file without running it.
    Check {
        /// A drill file, or the name of one that comes along.
        file: PathBuf,
    },
}

/// How a drill is run.
#[derive(Args)]
pub struct RunArguments {
    /// A drill file, or the name of one that comes along (`drill list`).
    file: PathBuf,
    /// The server's program; beside this one or on PATH unless given.
    #[arg(long, env = "KMS_SERVER_BINARY", value_name = "FILE")]
    server_binary: Option<PathBuf>,
    /// Write a JUnit report here.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write a page with the timeline here.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub fn run(session: &Session, command: &Command) -> Result<Exit, CommandError> {
    match command {
        Command::Run(arguments) => return run_one(session, arguments),
        Command::List => {
            for one in ready::ALL {
                let drill = Drill::parse(one.text, one.name).map_err(DrillError::from)?;
                let value = json!({"name": one.name, "title": drill.name, "description": drill.description});
                session.output.data(&format!("{:<22}{}", one.name, drill.description), &value)?;
            }
        }
        Command::Show { name } => {
            let one = ready::find(name).ok_or_else(|| unknown(name))?;
            session.output.data(one.text.trim_end(), &json!({"name": one.name, "text": one.text}))?;
        }
        Command::Check { file } => {
            let drill = load(file)?;
            let (servers, steps) = (drill.servers.len(), drill.steps.len());
            let text = format!("{}: {:?}, {servers} servers, {steps} steps", file.display(), drill.name);
            session.output.data(&text, &json!({"name": drill.name, "servers": servers, "steps": steps}))?;
        }
    }
    Ok(Exit::Done)
}

fn run_one(session: &Session, arguments: &RunArguments) -> Result<Exit, CommandError> {
    let drill = load(&arguments.file)?;
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let stop = Stop::when(asked_to_stop(&runtime)?);
    let output = &session.output;
    let tell = |event: &Event| {
        let mut value = json!(event);
        if let Some(value) = value.as_object_mut() {
            value.insert("event".to_owned(), json!("step"));
        }
        // When nobody reads any more the report says so.
        let _ = output.event(&event.to_string(), &value);
    };
    let server_binary = server_binary(session, arguments);
    output.say(&format!("{}: {} servers by {}", drill.name, drill.servers.len(), server_binary.display()));
    let setup = Setup {
        server_binary,
        now: session.now(),
        runtime: runtime.handle().clone(),
        stop: &stop,
        tell: &tell,
    };
    // What clients warn of is what the drill does to them.
    let report = with_default(NoSubscriber::new(), || drill::run(&drill, &setup))?;
    runtime.shutdown_background();
    for (path, text) in [(&arguments.junit, report.to_junit()), (&arguments.html, report.to_html())] {
        if let Some(path) = path {
            fs::write(path, text).map_err(BackupError::io("write", path))?;
        }
    }
    output.data(&format!("\n{report}"), &json!(report))?;
    Ok(if report.passed { Exit::Done } else { Exit::Partly })
}

/// Becomes true at Ctrl-C, or when this process is asked to end.
fn asked_to_stop(runtime: &Runtime) -> Result<Arc<AtomicBool>, CommandError> {
    let asked = Arc::new(AtomicBool::new(false));
    let _within = runtime.enter();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let (mut signal, asked) = (signal(kind)?, Arc::clone(&asked));
        runtime.spawn(async move {
            signal.recv().await;
            asked.store(true, Ordering::SeqCst);
        });
    }
    Ok(asked)
}

/// What was named, or else the program beside this one, or else the one on PATH.
fn server_binary(session: &Session, arguments: &RunArguments) -> PathBuf {
    let beside = session.program.as_ref().map(|program| program.with_file_name(SERVER));
    let beside = beside.filter(|path| path.is_file());
    arguments.server_binary.clone().or(beside).unwrap_or_else(|| PathBuf::from(SERVER))
}

/// A drill by the name of one that comes along, or else by its file.
fn load(file: &Path) -> Result<Drill, CommandError> {
    let origin = file.display().to_string();
    if let Some(one) = ready::find(&origin)
        && !file.exists()
    {
        return Ok(Drill::parse(one.text, one.name).map_err(DrillError::from)?);
    }
    if !file.exists() {
        return Err(unknown(&origin));
    }
    let mut text = String::new();
    let opened = fs::File::open(file).map_err(BackupError::io("open", file))?;
    opened.take(limits::FILE + 1).read_to_string(&mut text).map_err(BackupError::io("read", file))?;
    if text.len() as u64 > limits::FILE {
        return Err(CommandError::Config {
            what: format!("{origin} is too large for a drill file"),
            hint: "a drill file has a few hundred lines; is it another file?",
        });
    }
    Ok(Drill::parse(&text, &origin).map_err(DrillError::from)?)
}

fn unknown(name: &str) -> CommandError {
    CommandError::Config {
        what: format!("{name:?} is neither a file nor a drill that comes along"),
        hint: "`kms-client drill list` shows those; docs/drills.md tells how to write one",
    }
}
