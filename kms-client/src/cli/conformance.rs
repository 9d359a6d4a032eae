//! `kms-client conformance`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kms_protocol::encoding::Encoding;
use serde_json::json;
use tokio::runtime::Builder;

use crate::backup::{BackupError, KmsError};
use crate::conformance::{Case, Exchange, Https, Report, Runner, Verdict};

use super::Session;
use super::config::{PROFILE_SERVER, ServerOptions};
use super::doctor::with_port;
use super::exit::{CommandError, Exit};

/// Which of the standard's cases are run. Their names say it: `AX-M-1-14` is mandatory, `AKLC-O-1-14` optional.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    /// Those that a server of their profile has to pass.
    Mandatory,
    /// Those besides.
    Optional,
    /// All.
    All,
}

/// The encodings of HTTPS.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EncodingName {
    Ttlv,
    Xml,
    Json,
}

impl From<EncodingName> for Encoding {
    fn from(name: EncodingName) -> Self {
        match name {
            EncodingName::Ttlv => Self::Ttlv,
            EncodingName::Xml => Self::Xml,
            EncodingName::Json => Self::Json,
        }
    }
}

/// Test cases of a folder against a server.
#[derive(Args)]
pub struct Arguments {
    /// The folder with the cases: XML files as OASIS publishes them. Several folders are run one after the other.
    #[arg(long, value_name = "DIR", required = true)]
    cases: Vec<PathBuf>,
    /// The KMS server; without a port KMIP's, 5696.
    #[arg(long, value_name = "HOST[:PORT]", conflicts_with = "address")]
    server: Option<String>,
    /// Send messages by HTTPS, to its port: 5698 where a development server is.
    #[arg(long)]
    https: bool,
    /// How messages are encoded.
    #[arg(long, value_enum, default_value = "ttlv", requires = "https")]
    encoding: EncodingName,
    /// Only cases whose name contains this.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Mandatory cases, optional ones, or all.
    #[arg(long, value_enum, default_value = "all")]
    level: Level,
    /// A TOML file that tells which cases are not run, each with its reason: `AX-M-1-14 = "this server has no Export"`.
    #[arg(long, value_name = "FILE")]
    skips: Option<PathBuf>,
    /// Write a JUnit report here.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    #[command(flatten)]
    options: ServerOptions,
}

pub fn run(session: &Session, arguments: Arguments) -> Result<Exit, CommandError> {
    let cases = wanted(&arguments)?;
    let skips = match &arguments.skips {
        Some(path) => skips(path)?,
        None => BTreeMap::new(),
    };
    let Arguments { server, junit, https, encoding, mut options, .. } = arguments;
    options.address = server.as_deref().map(with_port).or(options.address);
    let server = session.config.server(PROFILE_SERVER, options)?;
    let name = server.name.clone();
    let failed = |error| CommandError::from(BackupError::kms_failed(&name)(KmsError::from(error)));
    let connector = server.profile().builder().connector().map_err(failed)?;
    let mut runner: Box<dyn Exchange> = match https {
        true => Box::new(Https::new(connector, encoding.into())),
        false => Box::new(Runner::new(connector)),
    };
    let (output, as_json) = (&session.output, session.config.json);
    let tell = |case: &str, verdict: &Verdict| {
        if !as_json {
            // When nobody reads any more the last line says so.
            let _ = output.data(&format!("{case:<28} {verdict}"), &json!(null));
        }
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let skipped = |case: &str| skips.get(case).cloned();
    let report = runtime
        .block_on(Report::of(&cases, runner.as_mut(), &skipped, &|| session.now(), &tell))
        .map_err(failed)?;
    if let Some(path) = junit {
        fs::write(&path, report.to_junit()).map_err(io_error("write", path))?;
    }
    session.output.data(&format!("\n{report}"), &report.to_json())?;
    Ok(if report.has_failures() { Exit::Partly } else { Exit::Done })
}

fn wanted(arguments: &Arguments) -> Result<Vec<Case>, CommandError> {
    let mut cases = Vec::new();
    for folder in &arguments.cases {
        cases.extend(Case::load_all(folder).map_err(|error| CommandError::Config {
            what: error.to_string(),
            hint: "--cases takes a folder of XML files, each a list of RequestMessage and ResponseMessage pairs",
        })?);
    }
    cases.retain(|case| {
        let optional = case.name.contains("-O-");
        let level = match arguments.level {
            Level::Mandatory => !optional,
            Level::Optional => optional,
            Level::All => true,
        };
        level && (arguments.only.is_empty() || arguments.only.iter().any(|text| case.name.contains(text)))
    });
    if cases.is_empty() {
        return Err(CommandError::Config {
            what: "there is no case to run".to_owned(),
            hint: "give a folder that holds cases, and less of --only and --level",
        });
    }
    Ok(cases)
}

fn skips(path: &PathBuf) -> Result<BTreeMap<String, String>, CommandError> {
    let text = fs::read_to_string(path).map_err(io_error("read", path.clone()))?;
    toml::from_str(&text).map_err(|error| CommandError::Config {
        what: format!("{}: {}", path.display(), error.message()),
        hint: "a skips file has one line for each case: CASE = \"the reason\"",
    })
}

fn io_error(action: &'static str, path: PathBuf) -> impl FnOnce(std::io::Error) -> CommandError {
    move |source| BackupError::Io { action, path, source }.into()
}
