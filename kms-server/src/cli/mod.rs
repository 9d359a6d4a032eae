//! Commands and their options.

mod audit;
mod banner;
mod cassette;
mod certs;
mod ctl;
mod events;
mod faults;
mod journal;
mod keys;
mod manual;
mod policies;
mod seed;
mod serve;
mod store;
mod ttlv;

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kms_server::config::{self, Config, PolicyBook};
use kms_server::dev;
use kms_server::failure::{Failure, Kind};
use kms_server::limits;
use kms_server::persona::Persona;
use kms_server::pki::Broken;
use kms_server::production;
use tracing_subscriber::EnvFilter;

const EXIT_CODES: &str = "Exit codes:
  0  done
  1  failed
  2  wrong command line
  3  cannot listen on an address
  4  the state folder or the store cannot be used
  5  the configuration is wrong
  6  the server's admin API cannot be reached
  7  the server refused
  8  the audit log was changed, or is not whole

Precedence: options, then environment (KMS_*), then file, then default.";

/// A KMIP key management server that rotates key pairs by policy.
#[derive(Parser)]
#[command(name = "kms-server", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How logs are written to stderr
    #[arg(long, global = true, env = "KMS_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,
    /// What is logged: a level, or levels by module such as `info,kms_server::listener=debug`
    #[arg(long, global = true, env = "KMS_LOG", default_value = "info")]
    log: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Starts a development server: certificates, store key and policies are made for you
    Dev(Dev),
    /// Starts a production server from its configuration file
    Run(Run),
    /// Asks or changes a running server
    Ctl(ctl::Ctl),
    /// Checks, backs up or restores a store that no server has open
    Store(store::StoreOptions),
    /// Makes certificates of the development authority
    Certs(certs::Certs),
    /// Stands between a client and another server, and writes down what both say
    Record(cassette::Record),
    /// Answers as another server did when it was recorded
    Replay(cassette::Replay),
    /// Shows, makes, examines or compares messages
    #[command(subcommand)]
    Ttlv(ttlv::Command),
    /// Writes completions for a shell to stdout
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Writes manual pages, one for each command
    Man {
        /// The folder
        folder: PathBuf,
    },
    /// Checks a seed of a development server
    #[command(subcommand)]
    Seed(seed::Offline),
    /// Checks or shows the audit log
    Audit(audit::Audit),
    /// Checks a configuration file without starting anything
    CheckConfig {
        /// The file
        #[arg(default_value = "kms.toml")]
        file: PathBuf,
    },
    /// Shows the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Tells every setting that a server would run with, defaults and changed policies included
    Show {
        /// The file
        #[arg(default_value = "kms.toml")]
        file: PathBuf,
        /// Tells of each where it comes from
        #[arg(long)]
        origin: bool,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
struct Dev {
    /// The folder that holds everything
    #[arg(long, env = "KMS_STATE", default_value = ".kms-dev")]
    state: PathBuf,
    /// Where KMIP is spoken; port 0 picks one [default: kms.toml, else 127.0.0.1:5696]
    #[arg(long, env = "KMS_LISTEN")]
    listen: Option<SocketAddr>,
    /// Where KMIP is spoken over HTTPS; port 0 picks one [default: kms.toml, else 127.0.0.1:5698, or beside another --listen
    /// any free port]
    #[arg(long, env = "KMS_LISTEN_HTTPS")]
    listen_https: Option<SocketAddr>,
    /// Where the admin API is; port 0 picks one [default: kms.toml, else 127.0.0.1:5697]
    #[arg(long, env = "KMS_ADMIN")]
    admin: Option<SocketAddr>,
    /// A port that serves the list of revoked certificates, and nothing else, to clients on other machines; port 0 picks one
    /// [default: the admin API's port serves it]
    #[arg(long, value_name = "ADDRESS")]
    crl: Option<SocketAddr>,
    /// Shows clients a certificate that they have to refuse: expired, not-yet-valid, wrong-name, wrong-usage, no-usage,
    /// other-authority, self-signed or revoked
    #[arg(long, value_name = "HOW")]
    broken: Option<Broken>,
    /// Another name or address by which clients reach the server, for its certificate
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Waits while another server uses --state, and takes over when it ends
    #[arg(long, conflicts_with = "ephemeral")]
    standby: bool,
    /// Ends, as by `kill -9`, when the process that started it does
    #[arg(long)]
    end_with_parent: bool,
    /// Keeps nothing: the store is in memory, everything else in a temporary folder instead of --state
    #[arg(long)]
    ephemeral: bool,
    /// Lets other machines in: without it only loopback addresses are accepted
    #[arg(long)]
    allow_remote: bool,
    /// Behaves as another server does (docs/personas.md): pykmip, cosmian, vault, ovh, ciphertrust, idle-hsm or
    /// veeam-strict; a time such as `idle-hsm:5s` sets when idle connections are given up
    #[arg(long, value_name = "NAME")]
    persona: Option<Persona>,
    /// Begins with the clients, pairs and faults of this file, TOML or YAML, as far as they are not there yet
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
    /// Has key material follow from this number: the same keys each time, and secret no more; the store says so for ever
    #[arg(long, value_name = "NUMBER")]
    rng_seed: Option<u64>,
    /// Writes the secrets of every TLS session to this file, for Wireshark: whoever has it reads everything
    #[arg(long, value_name = "FILE")]
    key_log: Option<PathBuf>,
    /// How many exchanges the journal keeps; 0 keeps none and costs nothing
    #[arg(long, value_name = "COUNT", default_value_t = limits::JOURNAL)]
    journal: usize,
    /// Begins a new audit log, or goes on with a shorter one, where the store knows of more; the log says so
    #[arg(long)]
    accept_audit_loss: bool,
    #[command(flatten)]
    ready: Ready,
}

#[derive(Args)]
struct Run {
    /// The configuration file
    #[arg(long, env = "KMS_CONFIG", default_value = "kms.toml")]
    config: PathBuf,
    /// Where KMIP is spoken; port 0 picks one [default: what the configuration says, else 127.0.0.1:5696]
    #[arg(long, env = "KMS_LISTEN")]
    listen: Option<SocketAddr>,
    /// Where KMIP is spoken over HTTPS; port 0 picks one [default: what the configuration says, else nowhere]
    #[arg(long, env = "KMS_LISTEN_HTTPS")]
    listen_https: Option<SocketAddr>,
    /// Where the admin API is; port 0 picks one [default: what the configuration says, else nowhere]
    #[arg(long, env = "KMS_ADMIN")]
    admin: Option<SocketAddr>,
    /// Makes an empty store where there is none: for the first start
    #[arg(long)]
    new_store: bool,
    /// Serves a store although it has lived under a moved clock
    #[arg(long)]
    accept_moved_clock: bool,
    /// Begins a new audit log, or goes on with a shorter one, where the store knows of more; the log says so
    #[arg(long)]
    accept_audit_loss: bool,
    #[command(flatten)]
    ready: Ready,
}

/// How a server says that it is ready.
#[derive(Args)]
struct Ready {
    /// Writes addresses and process as JSON to this file once connections are accepted
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,
    /// Prints addresses and process as one line of JSON to stdout, instead of the banner
    #[arg(long)]
    json: bool,
}

/// Does what the command line says.
pub fn run(cli: Cli, started: Instant) -> Result<(), Failure> {
    log_to_stderr(cli.log_format, &cli.log)?;
    match cli.command {
        Command::Dev(options) => serve::dev(&options, started),
        Command::Run(options) => serve::run(&options, started),
        Command::Ctl(options) => ctl::run(&options),
        Command::Store(options) => store::run(&options),
        Command::Certs(options) => certs::run(&options),
        Command::Record(options) => cassette::record(&options, started),
        Command::Replay(options) => cassette::replay(&options, started),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { folder } => manual::pages(&folder),
        Command::Ttlv(command) => ttlv::run(&command),
        Command::Seed(command) => seed::check(&command),
        Command::Audit(options) => audit::run(&options),
        Command::CheckConfig { file } => check_config(&file),
        Command::Config(ConfigCommand::Show { file, origin, json }) => show_config(&file, origin, json),
    }
}

fn check_config(file: &Path) -> Result<(), Failure> {
    let config = Config::load(file)?;
    let mut wrong = match is_for_dev(&config) {
        true => config.mistakes(),
        false => production::mistakes(&config, config.admin),
    };
    let book = PolicyBook::open(&config, changes_of(&config, file).as_deref());
    let policies = match book {
        Ok(book) => book.effective(),
        Err(failure) => {
            // A mistake of the file's own was found already.
            if !wrong.iter().any(|known| failure.what().contains(known.what())) {
                wrong.push(failure);
            }
            Vec::new()
        }
    };
    Failure::together(wrong)?;
    let whose = if is_for_dev(&config) {
        " for `kms-server dev`; `run` needs store, store-key and [tls]"
    } else {
        ""
    };
    let mut text = format!("{} is right{whose}: {} policies", file.display(), policies.len());
    for placed in policies {
        text.push_str(&format!("\n  {}  ({})", placed.policy.name, placed.place()));
    }
    say(&text)
}

/// Whether it says nothing that only a production server asks for.
fn is_for_dev(config: &Config) -> bool {
    let Config { store, store_key, store_passphrase, tls, .. } = config;
    store.is_none() && store_key.is_none() && store_passphrase.is_none() && tls.is_none()
}

fn show_config(file: &Path, origin: bool, json: bool) -> Result<(), Failure> {
    let (config, book) = read_config(file)?;
    let settings = config.settings(&book);
    if json {
        return say_json(&settings);
    }
    let width =
        settings.iter().map(|setting| setting.path.len() + setting.value.len() + 3).max().unwrap_or(0);
    let lines = settings.iter().map(|config::Setting { path, value, origin: from }| {
        let setting = format!("{path} = {value}");
        if origin { format!("{setting:<width$}  # {from}") } else { setting }
    });
    say(&lines.collect::<Vec<_>>().join("\n"))
}

/// A configuration with the policies in force.
fn read_config(file: &Path) -> Result<(Config, PolicyBook), Failure> {
    let config = Config::read(file)?;
    let book = PolicyBook::open(&config, changes_of(&config, file).as_deref())?;
    Ok((config, book))
}

/// Where changed policies are kept: a development server has them beside its file.
fn changes_of(config: &Config, file: &Path) -> Option<PathBuf> {
    let beside = || is_for_dev(config).then(|| file.with_file_name(dev::POLICIES));
    config.policy_changes.clone().or_else(beside)
}

fn log_to_stderr(format: LogFormat, filter: &str) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::new(Kind::Other, format!("{filter:?} says not what to log: {error}"))
            .hint("use a level (error, warn, info, debug, trace) or target=level pairs")
    })?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => subscriber.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
}

/// A text that peers may have chosen, on one line and without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().map(|character| if is_obeyed(character) { '\u{FFFD}' } else { character }).collect()
}

/// Whether a terminal does something else with a character than to show it in its place.
fn is_obeyed(character: char) -> bool {
    let turns_around =
        matches!(character, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    character.is_control() || turns_around || matches!(character, '\u{2028}' | '\u{2029}')
}

/// Writes lines to stdout, whatever was put into them. A reader that has gone ends the command as a failure, not as a panic.
fn say(text: &str) -> Result<(), Failure> {
    print(&printable_lines(text))
}

/// Lines without what a terminal would obey.
pub fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::new(Kind::Other, format!("cannot write to stdout: {error}")))
}

/// Writes a value as one line of JSON to stdout.
fn say_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::new(Kind::Other, format!("cannot write JSON: {error}")))?;
    print(&text)
}

/// The address of the admin API where no option names it.
const ADMIN: SocketAddr = config::ADMIN;
