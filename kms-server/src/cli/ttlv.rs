//! `ttlv`: messages as bytes, shown, made, examined and compared.

use std::fs::File;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use kms_protocol::encoding::{EncodingError, to_json, to_xml};
use kms_server::failure::{Failure, Kind};
use kms_server::limits;
use kms_server::wire::{Finding, differences, lint, messages, tree};

use super::{say, say_json};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Shows messages: hexadecimal digits, base64, bytes or a capture in, a tree, XML or JSON out
    Decode(Decode),
    /// Makes bytes of XML or JSON (or of any other form)
    Encode(Encode),
    /// Names the first wrong byte of each message and the section that it breaks; exit code 1 where there is one
    Lint(Input),
    /// Shows where two messages differ; exit code 1 where they do
    Diff {
        /// The first message
        one: PathBuf,
        /// The second
        other: PathBuf,
        /// Shows no byte strings
        #[arg(long)]
        redact: bool,
    },
}

#[derive(Args)]
pub(super) struct Decode {
    #[command(flatten)]
    input: Input,
    /// What comes out
    #[arg(long, value_enum, default_value = "tree")]
    to: Shown,
    /// Shows no byte strings (in a tree)
    #[arg(long)]
    redact: bool,
}

#[derive(Args)]
pub(super) struct Encode {
    #[command(flatten)]
    input: Input,
    /// What comes out
    #[arg(long, value_enum, default_value = "hex")]
    to: Made,
}

#[derive(Args)]
pub(super) struct Input {
    /// A file; - is stdin
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Prints JSON where there is a choice
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shown {
    /// One line for each item, with its offset
    Tree,
    /// KMIP's XML
    Xml,
    /// KMIP's JSON
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Made {
    /// Hexadecimal digits
    Hex,
    /// Bytes
    Binary,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Decode(decode) => {
            read(&decode.input.file)?.iter().try_for_each(|message| show(decode, message))
        }
        Command::Encode(encode) => {
            read(&encode.input.file)?.iter().try_for_each(|message| make(encode.to, message))
        }
        Command::Lint(input) => report(input),
        Command::Diff { one, other, redact } => {
            let (one, other) = (read(one)?.concat(), read(other)?.concat());
            match differences(&one, &other, !redact) {
                None => say("the messages are alike"),
                Some(told) => {
                    say(&told)?;
                    Err(Failure::new(Kind::Other, "the messages differ"))
                }
            }
        }
    }
}

fn read(file: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let wrong = |what: String| Failure::new(Kind::Other, format!("{}: {what}", file.display()));
    let mut input = Vec::new();
    let most = limits::WIRE_INPUT as u64 + 1;
    let taken = if file == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut input)
    } else {
        File::open(file).and_then(|file| file.take(most).read_to_end(&mut input))
    };
    taken.map_err(|error| wrong(error.to_string()))?;
    let (_, messages) = messages(&input).map_err(|error| {
        wrong(error.what).hint("give hexadecimal digits, base64, XML, JSON, bytes or a pcap")
    })?;
    Ok(messages)
}

fn show(decode: &Decode, message: &[u8]) -> Result<(), Failure> {
    let foreign = |error: EncodingError| {
        Failure::new(Kind::Other, error.to_string()).hint("`kms-server ttlv lint` names the wrong byte")
    };
    match decode.to {
        Shown::Xml => say(&text(to_xml(message).map_err(foreign)?.expose())),
        Shown::Json => say(&text(to_json(message).map_err(foreign)?.expose())),
        Shown::Tree => {
            let mut shown = String::new();
            let read = tree(message, !decode.redact, &mut shown);
            say(shown.trim_end())?;
            read.map_err(|error| {
                let what = lint(message).map_or_else(|| error.to_string(), |finding| finding.to_string());
                Failure::new(Kind::Other, what).hint("the message is malformed from there on")
            })
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

fn make(to: Made, message: &[u8]) -> Result<(), Failure> {
    if to == Made::Hex {
        return say(&hex::encode(message));
    }
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(message).and_then(|()| stdout.flush());
    written.map_err(|error| Failure::new(Kind::Other, format!("cannot write to stdout: {error}")))
}

fn report(input: &Input) -> Result<(), Failure> {
    let messages = read(&input.file)?;
    let found: Vec<(usize, Finding)> = messages
        .iter()
        .enumerate()
        .filter_map(|(at, message)| lint(message).map(|found| (at + 1, found)))
        .collect();
    for (at, finding) in &found {
        if input.json { say_json(finding)? } else { say(&format!("message {at}: {finding}"))? }
    }
    if found.is_empty() {
        return if input.json { Ok(()) } else { say(&format!("{} messages are sound", messages.len())) };
    }
    Err(Failure::new(Kind::Other, format!("{} of {} messages are malformed", found.len(), messages.len())))
}
