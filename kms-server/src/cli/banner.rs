//! What a server says when it is ready: everything that one needs to copy.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use kms_server::admin::api;
use kms_server::dev::{DevState, reachable};
use kms_server::persona::Persona;
use kms_server::server::Server;

pub(super) fn dev(state: &DevState, server: &Server, persona: Option<Persona>, started: Instant) -> String {
    let mut text = headline(started);
    let pki = state.folder.join("pki");
    let [ca, certificate, key] = ["ca.pem", "client.pem", "client.key"].map(|file| pki.join(file));
    let (ca, certificate, key) = (ca.display(), certificate.display(), key.display());
    let policies = state.folder.join("kms.toml");
    let listen = server.listen();
    row(&mut text, "KMIP", &format!("{listen}  (TLS 1.2 and 1.3; client certificate required)"));
    if let Some(https) = server.https() {
        row(&mut text, "  by HTTPS", &format!("https://{https}/kmip  (TTLV, XML, JSON)"));
    }
    if let Some(admin) = server.admin() {
        row(&mut text, "admin", &format!("http://{admin}"));
    }
    row(&mut text, "authority", &ca.to_string());
    row(&mut text, "client", &certificate.to_string());
    row(&mut text, "  its key", &key.to_string());
    row(&mut text, "profile", &state.profile().display().to_string());
    row(&mut text, "policies", &policies.display().to_string());
    row(&mut text, "clock", &api::Clock::of(server.clock()).to_string());
    if state.is_ephemeral {
        row(&mut text, "store", "in memory: nothing is kept when the server stops");
    }
    if let Some(persona) = persona {
        row(&mut text, "persona", &format!("{persona}: docs/personas.md tells what it does otherwise"));
    }
    let target = reachable(listen);
    text.push_str("\nTry it, in another terminal:\n");
    let admin = admin_option(server.admin());
    for command in [
        format!("openssl s_client -brief -connect {target} -CAfile {ca} -cert {certificate} -key {key}"),
        format!("kms-server ctl{admin} status"),
        format!("kms-server ctl{admin} clock advance 90d"),
    ] {
        let _ = writeln!(text, "  {command}");
    }
    text.push_str("\nCtrl-C stops.");
    text
}

pub(super) fn run(server: &Server, started: Instant) -> String {
    let mut text = headline(started);
    row(&mut text, "KMIP", &server.listen().to_string());
    if let Some(https) = server.https() {
        row(&mut text, "  by HTTPS", &format!("https://{https}/kmip"));
    }
    if let Some(admin) = server.admin() {
        row(&mut text, "admin", &format!("http://{admin}"));
    }
    text.trim_end().to_owned()
}

pub(super) fn standby(folder: &Path, admin: Option<SocketAddr>) -> String {
    let mut text = format!(
        "kms-server {} is a standby: another server has the store in {}. It takes over when that ends.\n\n",
        env!("CARGO_PKG_VERSION"),
        folder.display()
    );
    if let Some(admin) = admin {
        row(&mut text, "admin", &format!("http://{admin}"));
    }
    text.trim_end().to_owned()
}

fn headline(started: Instant) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("kms-server {version} is ready, {} ms after its start.\n\n", started.elapsed().as_millis())
}

fn row(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "  {name:<10} {value}");
}

fn admin_option(admin: Option<SocketAddr>) -> String {
    match admin {
        Some(admin) if admin != super::ADMIN => format!(" --admin {}", reachable(admin)),
        _ => String::new(),
    }
}
