//! `certs`: certificates of the development authority.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use kms_certs::{Access, KeyKind, replace_file};
use kms_server::certificate::Certificate;
use kms_server::clock;
use kms_server::failure::{Failure, Kind};
use kms_server::period;
use kms_server::pki::{self, Broken, ClientCertificate};
use kms_server::revocation;
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
        /// Also writes NAME.pfx (PKCS#12): certificate, key and authority, sealed with this password
        #[arg(long, value_name = "PASSWORD", env = "KMS_PFX_PASSWORD", hide_env_values = true)]
        pfx: Option<String>,
        /// How long it lasts, such as `10m` or `90d` [default: 820d]
        #[arg(long, value_name = "TIME", value_parser = seconds)]
        valid_for: Option<u64>,
        /// Breaks it in one way, for a test that has to see it refused: expired, not-yet-valid, wrong-name (it names nobody),
        /// wrong-usage (it is a server's), no-usage, other-authority, self-signed or revoked
        #[arg(long, value_name = "HOW")]
        broken: Option<Broken>,
        /// Prints the files as JSON
        #[arg(long)]
        json: bool,
    },
    /// Takes a certificate back: the server refuses it from the next handshake or request on, and the published list names it
    Revoke {
        /// A client of the development PKI, or a PEM file
        #[arg(value_name = "NAME|FILE")]
        certificate: PathBuf,
        /// The development server's folder
        #[arg(long, env = "KMS_STATE", default_value = ".kms-dev")]
        state: PathBuf,
        /// Prints what was revoked as JSON
        #[arg(long)]
        json: bool,
    },
    /// Tells what a certificate says
    Show {
        /// A PEM file
        file: PathBuf,
        /// Prints it as JSON
        #[arg(long)]
        json: bool,
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

#[derive(Serialize)]
struct Made {
    certificate: PathBuf,
    key: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    pfx: Option<PathBuf>,
    ca: PathBuf,
}

/// What is told of a certificate.
#[derive(Serialize)]
struct Shown {
    subject: String,
    issuer: String,
    serial: String,
    principal: Option<String>,
    names: Vec<String>,
    not_before: String,
    not_after: String,
    client_auth: bool,
    revocation_list: Option<String>,
}

pub(super) fn run(options: &Certs) -> Result<(), Failure> {
    match &options.command {
        Command::Client { name, state, out, key, pfx, valid_for, broken, json } => {
            let folder = state.join("pki");
            let kind = if *key == Key::Ecdsa { KeyKind::EcdsaP256 } else { KeyKind::Rsa2048 };
            let valid_for = valid_for.map(Duration::from_secs);
            let wanted = ClientCertificate { key: kind, broken: *broken, valid_for };
            let out = out.clone().unwrap_or_else(|| folder.clone());
            let made = client(&folder, name, &out, wanted, (*key == Key::RsaPkcs1, pfx.as_deref()))?;
            if *json {
                return say_json(&made);
            }
            let Made { certificate, key, pfx, ca } = &made;
            say(&format!("certificate  {}", certificate.display()))?;
            say(&format!("key          {}", key.display()))?;
            if let Some(pfx) = pfx {
                say(&format!("pfx          {}", pfx.display()))?;
            }
            say(&format!("authority    {}", ca.display()))
        }
        Command::Revoke { certificate, state, json } => revoke(&state.join("pki"), certificate, *json),
        Command::Show { file, json } => show(file, *json),
    }
}

fn seconds(text: &str) -> Result<u64, String> {
    match period::parse(text).map(u64::try_from)? {
        Ok(seconds) if seconds > 0 => Ok(seconds),
        _ => Err("write it as `10m`, `12h` or `90d`".into()),
    }
}

fn client(
    folder: &Path,
    name: &str,
    out: &Path,
    wanted: ClientCertificate,
    (as_pkcs1, password): (bool, Option<&str>),
) -> Result<Made, Failure> {
    let made = Made {
        certificate: out.join(format!("{name}.pem")),
        key: out.join(format!("{name}.key")),
        pfx: password.map(|_| out.join(format!("{name}.pfx"))),
        ca: folder.join("ca.pem"),
    };
    for path in [Some(&made.certificate), Some(&made.key), made.pfx.as_ref()].into_iter().flatten() {
        if path.exists() {
            let what = format!("{} is already there", path.display());
            return Err(
                Failure::new(Kind::State, what).hint("choose another name, or another folder with --out")
            );
        }
    }
    let issued = pki::issue_client(folder, name, wanted, clock::system_time())?;
    let failed = |error: kms_certs::Error| {
        Failure::new(Kind::State, error.to_string()).hint("name a folder that can be written with --out")
    };
    issued.write(out, name).map_err(failed)?;
    if as_pkcs1 {
        let pem = issued.key().pkcs1_pem().map_err(failed)?;
        replace_file(&made.key, pem.as_bytes(), Access::Private).map_err(failed)?;
    }
    if let (Some(path), Some(password)) = (&made.pfx, password) {
        let pfx = issued.pfx(name, &revocation::authority(folder)?, password).map_err(failed)?;
        replace_file(path, &pfx, Access::Private).map_err(failed)?;
    }
    Ok(made)
}

fn revoke(folder: &Path, certificate: &Path, json: bool) -> Result<(), Failure> {
    // A name is one of the PKI's files, whatever folder this is started in.
    let is_name = certificate.components().count() == 1 && certificate.extension().is_none();
    let named = folder.join(certificate).with_extension("pem");
    let file = if is_name { &named } else { certificate };
    let (text, der) = read_certificate(file)?;
    let is_new = revocation::revoke(folder, &text, clock::system_time())?;
    let certificate = Certificate::read(&der).ok_or_else(|| no_certificate(file, "it cannot be decoded"))?;
    let Shown { subject, serial, .. } = Shown::of(certificate);
    if json {
        return say_json(&serde_json::json!({ "subject": subject, "serial": serial, "revoked_now": is_new }));
    }
    let when = if is_new { "revoked" } else { "was revoked before" };
    say(&format!("{when}: {}, serial number {serial}", printable(&subject)))
}

fn no_certificate(file: &Path, why: &str) -> Failure {
    Failure::new(Kind::Other, format!("{} holds no certificate: {why}", file.display()))
        .hint("name a PEM file with BEGIN CERTIFICATE in it")
}

fn read_certificate(file: &Path) -> Result<(String, CertificateDer<'static>), Failure> {
    let text = fs::read_to_string(file).map_err(|error| no_certificate(file, &error.to_string()))?;
    let der = CertificateDer::from_pem_slice(text.as_bytes())
        .map_err(|error| no_certificate(file, &error.to_string()))?;
    Ok((text, der))
}

impl Shown {
    fn of(certificate: Certificate) -> Self {
        Self {
            principal: certificate.principal().map(str::to_owned),
            subject: certificate.subject,
            issuer: certificate.issuer,
            serial: hex::encode(&certificate.serial),
            names: certificate.names,
            not_before: clock::text(certificate.not_before),
            not_after: clock::text(certificate.not_after),
            client_auth: certificate.client_auth,
            revocation_list: certificate.revocation_list,
        }
    }
}

fn show(file: &Path, json: bool) -> Result<(), Failure> {
    let (_, der) = read_certificate(file)?;
    let certificate = Certificate::read(&der).ok_or_else(|| no_certificate(file, "it cannot be decoded"))?;
    let shown = Shown::of(certificate);
    if json {
        return say_json(&shown);
    }
    say(&format!("subject    {}", printable(&shown.subject)))?;
    say(&format!("issuer     {}", printable(&shown.issuer)))?;
    say(&format!("serial     {}", shown.serial))?;
    say(&format!("principal  {}", printable(shown.principal.as_deref().unwrap_or("nobody"))))?;
    say(&format!("names      {}", printable(&shown.names.join(", "))))?;
    say(&format!("valid      {} to {}", shown.not_before, shown.not_after))?;
    say(&format!("clientAuth {}", if shown.client_auth { "yes" } else { "no" }))?;
    say(&format!("CRL        {}", printable(shown.revocation_list.as_deref().unwrap_or("none stated"))))
}
