//! `kms-client server`.

use clap::Subcommand;
use serde_json::json;

use crate::backup::records::ServerEntry;

use super::Session;
use super::config::ServerOptions;
use super::exit::{CommandError, Exit};

#[derive(Subcommand)]
pub enum Command {
    /// Register a KMS server; what is not given comes from the profile.
    Add {
        /// The name that jobs call it by.
        name: String,
        #[command(flatten)]
        options: ServerOptions,
        /// Let private keys leave the KMS where it cannot decrypt with them: fetched for one call, used here and wiped.
        #[arg(long)]
        keys_may_travel: bool,
    },
    /// List the registered KMS servers.
    List,
}

pub fn run(session: &Session, command: Command) -> Result<Exit, CommandError> {
    match command {
        Command::Add { name, options, keys_may_travel } => {
            let server = ServerEntry { keys_may_travel, ..session.config.server(&name, options)? };
            session.state.database()?.add_server(&server)?;
            session.output.data(&line(&server), &json!(server))?;
            super::import::go_on(session)?;
        }
        Command::List => {
            let servers = session.state.database()?.servers()?;
            if servers.is_empty() {
                session.output.say("no server is registered; `kms-client server add NAME` registers one");
            }
            for server in servers {
                session.output.data(&line(&server), &json!(server))?;
            }
        }
    }
    Ok(Exit::Done)
}

fn line(server: &ServerEntry) -> String {
    let mut line = format!("{}  {}", server.name, server.address);
    for standby in &server.standby {
        line += &format!(", {standby}");
    }
    line += &format!("  certificate {}", server.certificate.display());
    if let Some(username) = &server.username {
        line += &format!("  user {username}");
    }
    line + if server.keys_may_travel { "  keys may travel" } else { "" }
}
