//! `certs`: certificates of the development authority.

use std::fs;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use kms_certs::{Access, Flaw, KeyKind, replace_file};
use kms_server::certificate::Certificate;
use kms_server::clock;
use kms_server::failure::{Failure, Kind};
use kms_server::pki;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Serialize;

use super::{printable, say, say_json};

#[derive(Args)]
pub(super) struct Certs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a certificate for another client; its name is whose keys it gets
    Client {
        /// The client's name
        name: String,
        /// The development server's folder
        #[arg(long, env = "KMS_STATE", default_value = ".kms-dev")]
        state: PathBuf,
        /// Where NAME.pem and NAME.key go [default: the folder of the development PKI]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// The kind of key
        #[arg(long, value_enum, default_value = "ecdsa")]
        key: Key,
        /// Breaks it in one way, for a test that has to see it refused
        #[arg(long, value_enum, value_name = "HOW")]
        broken: Option<Broken>,
        /// Prints the files as JSON
        #[arg(long)]
        json: bool,
    },
    /// Tells what a certificate says
    Show {
        /// A PEM file
        file: PathBuf,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Key {
    /// ECDSA on P-256, as PKCS#8
    Ecdsa,
    /// RSA with 2048 bits, as PKCS#8
    Rsa,
    /// RSA with 2048 bits, as PKCS#1 (`BEGIN RSA PRIVATE KEY`)
    RsaPkcs1,
}

#[derive(Clone, Copy, ValueEnum)]
enum Broken {
    /// It ended a day ago
    Expired,
    /// It begins in a day
    NotYetValid,
    /// It names nobody
    WrongName,
    /// It is a server's
    WrongUsage,
    /// It does not say what it is for
    NoUsage,
    /// Another authority signed it
    OtherAuthority,
}

impl From<Broken> for Flaw {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Expired => Self::Expired,
            Broken::NotYetValid => Self::NotYetValid,
            Broken::WrongName => Self::WrongName,
            Broken::WrongUsage => Self::WrongUsage,
            Broken::NoUsage => Self::NoUsage,
            Broken::OtherAuthority => Self::OtherAuthority,
        }
    }
}

#[derive(Serialize)]
struct Made {
    certificate: PathBuf,
    key: PathBuf,
    ca: PathBuf,
}

pub(super) fn run(options: &Certs) -> Result<(), Failure> {
    match &options.command {
        Command::Client { name, state, out, key, broken, json } => {
            let folder = state.join("pki");
            let flaw = broken.map(Flaw::from);
            let made = client(&folder, name, out.clone().unwrap_or_else(|| folder.clone()), (*key, flaw))?;
            if *json {
                return say_json(&made);
            }
            let Made { certificate, key, ca } = &made;
            say(&format!("certificate  {}", certificate.display()))?;
            say(&format!("key          {}", key.display()))?;
            say(&format!("authority    {}", ca.display()))
        }
        Command::Show { file } => show(file),
    }
}

fn client(
    folder: &std::path::Path,
    name: &str,
    out: PathBuf,
    (key, flaw): (Key, Option<Flaw>),
) -> Result<Made, Failure> {
    let kind = if key == Key::Ecdsa { KeyKind::EcdsaP256 } else { KeyKind::Rsa2048 };
    let issued = pki::issue_client(folder, name, kind, flaw, clock::system_time())?;
    let failed = |error: kms_certs::Error| {
        Failure::new(Kind::State, error.to_string()).hint("name a folder that can be written with --out")
    };
    let made = Made {
        certificate: out.join(format!("{name}.pem")),
        key: out.join(format!("{name}.key")),
        ca: folder.join("ca.pem"),
    };
    for path in [&made.certificate, &made.key] {
        if path.exists() {
            let what = format!("{} is already there", path.display());
            return Err(
                Failure::new(Kind::State, what).hint("choose another name, or another folder with --out")
            );
        }
    }
    issued.write(&out, name).map_err(failed)?;
    if key == Key::RsaPkcs1 {
        let pem = issued.key().pkcs1_pem().map_err(failed)?;
        replace_file(&made.key, pem.as_bytes(), Access::Private).map_err(failed)?;
    }
    Ok(made)
}

fn show(file: &std::path::Path) -> Result<(), Failure> {
    let unreadable = |why: String| {
        Failure::new(Kind::Other, format!("{} holds no certificate: {why}", file.display()))
            .hint("name a PEM file with BEGIN CERTIFICATE in it")
    };
    let text = fs::read(file).map_err(|error| unreadable(error.to_string()))?;
    let der = CertificateDer::from_pem_slice(&text).map_err(|error| unreadable(error.to_string()))?;
    let certificate = Certificate::read(&der).ok_or_else(|| unreadable("it cannot be decoded".into()))?;
    say(&format!("subject    {}", printable(&certificate.subject)))?;
    say(&format!("issuer     {}", printable(&certificate.issuer)))?;
    say(&format!("principal  {}", printable(certificate.principal().unwrap_or("nobody"))))?;
    say(&format!("names      {}", printable(&certificate.names.join(", "))))?;
    say(&format!(
        "valid      {} to {}",
        clock::text(certificate.not_before),
        clock::text(certificate.not_after)
    ))?;
    say(&format!("clientAuth {}", if certificate.client_auth { "yes" } else { "no" }))
}
