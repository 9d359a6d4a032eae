//! The servers of a drill, and what was done to each.

use core::time::Duration;
use std::fs;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tokio::time::Instant;

use crate::backup::kmip::Kmip;
use crate::{Client, KeyTravel, Profile};

use super::admin::Admin;
use super::plan::{Deed, Drill, ServerSpec};
use super::process::{Process, Ready, Role};
use super::wire::Forwarder;
use super::{DrillError, Setup};

/// How a server is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// It serves.
    Up,
    /// It waits for another one's store.
    Standby,
    /// It runs and answers nothing.
    Frozen,
    /// It runs and cannot be reached, or only later.
    Cut,
    /// It serves, with a certificate that has expired.
    Expired,
    /// It serves, with no room on its disk.
    Full,
    /// It does not run.
    Down,
}

/// Since when a server was so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Change {
    pub server: usize,
    pub at: Duration,
    pub condition: Condition,
}

/// A server of the drill, whether it runs or not.
struct Host {
    spec: ServerSpec,
    /// What it keeps of its own: the ready file and the log.
    folder: PathBuf,
    state: PathBuf,
    forwarder: Forwarder,
    process: Option<Process>,
    admin: Option<Admin>,
    role: Option<Role>,
    is_frozen: bool,
    is_cut: bool,
    is_expired: bool,
    is_full: bool,
}

/// All of them.
pub(super) struct Site<'a> {
    setup: &'a Setup<'a>,
    hosts: Vec<Host>,
    begun: Instant,
    /// How they were, in order.
    pub changes: Vec<Change>,
    /// What ended although nobody ended it.
    pub deaths: Vec<String>,
}

impl<'a> Site<'a> {
    /// Makes places for the servers in `folder`; none is started.
    pub fn new(drill: &Drill, setup: &'a Setup<'a>, folder: &Path) -> Result<Self, DrillError> {
        let mut hosts: Vec<Host> = Vec::new();
        for spec in &drill.servers {
            let own = folder.join(&spec.name);
            make_folder(&own)?;
            let of = spec.standby_of.as_ref();
            let shared = of.and_then(|of| hosts.iter().find(|host| host.spec.name == *of));
            let state = shared.map_or_else(|| own.join("state"), |host| host.state.clone());
            let forwarder = Forwarder::start(&setup.runtime).map_err(|error| {
                DrillError::run(format!("there is no port for {:?}: {error}", spec.name), "")
            })?;
            hosts.push(Host::new(spec.clone(), own, state, forwarder));
        }
        Ok(Self { setup, hosts, begun: Instant::now(), changes: Vec::new(), deaths: Vec::new() })
    }

    /// The timeline begins.
    pub fn begin(&mut self) {
        self.begun = Instant::now();
        self.changes.clear();
        for server in 0..self.hosts.len() {
            self.note(server);
        }
    }

    /// How long ago that was.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// When that was.
    pub const fn begun(&self) -> Instant {
        self.begun
    }

    /// Starts the first server, on which keys are made.
    pub fn start_first(&mut self) -> Result<(), DrillError> {
        self.start(0)
    }

    /// Gives the copies what the servers hold that they are copies of, and starts all servers that no step starts.
    pub fn start_others(&mut self, drill: &Drill) -> Result<(), DrillError> {
        for server in 1..self.hosts.len() {
            let Some(host) = self.hosts.get(server) else { continue };
            if let Some(of) = host.spec.copy_of.clone() {
                let state = host.state.clone();
                let from = self.hosts.iter().position(|host| host.spec.name == of).unwrap_or_default();
                self.copy(from, &state)?;
            }
            if !drill.is_started_later(server) {
                self.start(server)?;
            }
        }
        Ok(())
    }

    /// Copies a state folder, whose server ends for so long: what it holds is whole in its files then.
    fn copy(&mut self, from: usize, to: &Path) -> Result<(), DrillError> {
        let stop = self.setup.stop;
        let host = self.host(from)?;
        let source = host.state.clone();
        let process = host.process.take();
        let was_running = process.is_some();
        if let Some(process) = process {
            process.stop(stop)?;
        }
        copy_folder(&source, to).map_err(|error| {
            DrillError::run(
                format!("cannot copy {}: {error}", source.display()),
                "is there room on the disk?",
            )
        })?;
        if was_running { self.start(from) } else { Ok(()) }
    }

    /// A client's profile: how clients reach the servers, in their order.
    pub fn profile(&self) -> Profile {
        let mut addresses = self.hosts.iter().map(|host| host.forwarder.address.clone());
        let pki = self.hosts.first().map(|host| host.state.join("pki")).unwrap_or_default();
        Profile {
            server: addresses.next().unwrap_or_default(),
            encoding: kms_protocol::encoding::Encoding::Ttlv,
            standby: addresses.collect(),
            ca: pki.join("ca.pem"),
            certificate: pki.join("client.pem"),
            key: pki.join("client.key"),
            user: None,
        }
    }

    /// The admin APIs of all servers that serve, with their names.
    pub fn admins(&self) -> Vec<(&str, Admin)> {
        let serving = self.hosts.iter().filter(|host| host.role == Some(Role::Active) && !host.is_frozen);
        serving.filter_map(|host| Some((host.spec.name.as_str(), host.admin.clone()?))).collect()
    }

    /// Looks at what changes by itself: who took over, and who ended.
    pub fn look(&mut self) {
        for server in 0..self.hosts.len() {
            let Some(host) = self.hosts.get_mut(server) else { continue };
            let Some(process) = &mut host.process else { continue };
            if let Some(status) = process.has_ended() {
                let what = format!("{} ended by itself with {status}: {}", host.spec.name, process.log_end());
                host.process = None;
                host.is_gone();
                self.deaths.push(what);
                self.note(server);
            } else if host.role == Some(Role::Standby)
                && let Some(ready) = process.ready().filter(|ready| ready.role == Role::Active)
            {
                host.is_ready(&ready);
                self.note(server);
            }
        }
    }

    /// Does something to a server; says what came of it where there is something to say.
    pub fn act(&mut self, server: usize, deed: &Deed) -> Result<Option<String>, DrillError> {
        let said = self.do_to(server, deed)?;
        self.note(server);
        Ok(said)
    }

    fn do_to(&mut self, server: usize, deed: &Deed) -> Result<Option<String>, DrillError> {
        let stop = self.setup.stop;
        let host = self.host(server)?;
        match deed {
            Deed::Start if host.process.is_some() => {
                return Err(DrillError::run(
                    format!("{} runs already", host.spec.name),
                    "`restart` starts it anew",
                ));
            }
            Deed::Start => self.start(server)?,
            Deed::Restart => self.restart(server, None)?,
            Deed::ExpireCertificate => self.restart(server, Some(true))?,
            Deed::RenewCertificate => self.restart(server, Some(false))?,
            Deed::Stop => {
                host.running()?;
                if let Some(process) = host.process.take() {
                    process.stop(stop)?;
                }
                host.is_gone();
            }
            Deed::Kill => {
                host.running()?;
                host.kill();
            }
            Deed::Freeze | Deed::Thaw => {
                let is_frozen = *deed == Deed::Freeze;
                host.running()?.freeze(is_frozen)?;
                host.is_frozen = is_frozen;
            }
            Deed::Partition(cut) => {
                host.forwarder.cut(Some(*cut));
                host.is_cut = true;
            }
            Deed::Heal => {
                host.forwarder.cut(None);
                host.is_cut = false;
            }
            Deed::Rotate => return Ok(Some(format!("{} pairs rotated", host.admin()?.rotate_all()?))),
            Deed::Advance(by) => return Ok(Some(format!("{} events fell due", host.admin()?.advance(by)?))),
            Deed::FillDisk => {
                host.admin()?.arm(&serde_json::json!({ "fault": "store:full" }))?;
                host.is_full = true;
            }
            Deed::FreeDisk | Deed::ClearFaults => {
                host.admin()?.disarm()?;
                host.is_full = false;
            }
            Deed::Fault(rule) => host.admin()?.arm(rule)?,
            Deed::LoseStore => host.lose_store()?,
        }
        Ok(None)
    }

    fn restart(&mut self, server: usize, is_expired: Option<bool>) -> Result<(), DrillError> {
        let host = self.host(server)?;
        host.kill();
        host.is_expired = is_expired.unwrap_or(host.is_expired);
        self.note(server);
        self.start(server)
    }

    fn start(&mut self, server: usize) -> Result<(), DrillError> {
        let setup = self.setup;
        let is_shared = self.hosts.iter().enumerate().any(|(other, host)| {
            other != server && self.hosts.get(server).is_some_and(|one| one.state == host.state)
        });
        let host = self.host(server)?;
        let mut options = Vec::new();
        // Whichever of them comes first serves; one that comes back waits for the other.
        if is_shared {
            options.push("--standby");
        }
        if host.is_expired {
            options.extend(["--broken", "expired"]);
        }
        host.write_config()?;
        let mut process = Process::start(&setup.server_binary, &host.state, &host.folder, &options)?;
        let ready = process.wait_until_ready(setup.stop)?;
        host.process = Some(process);
        host.is_ready(&ready);
        Ok(())
    }

    fn host(&mut self, server: usize) -> Result<&mut Host, DrillError> {
        self.hosts.get_mut(server).ok_or_else(|| DrillError::run("there is no such server".to_owned(), ""))
    }

    fn note(&mut self, server: usize) {
        let (at, condition) =
            (self.elapsed(), self.hosts.get(server).map_or(Condition::Down, Host::condition));
        let last = self.changes.iter().rev().find(|change| change.server == server);
        if last.is_none_or(|last| last.condition != condition) {
            self.changes.push(Change { server, at, condition });
        }
    }
}

impl Host {
    fn new(spec: ServerSpec, folder: PathBuf, state: PathBuf, forwarder: Forwarder) -> Self {
        Self {
            spec,
            folder,
            state,
            forwarder,
            process: None,
            admin: None,
            role: None,
            is_frozen: false,
            is_cut: false,
            is_expired: false,
            is_full: false,
        }
    }

    const fn condition(&self) -> Condition {
        match self.role {
            None => Condition::Down,
            Some(_) if self.is_frozen => Condition::Frozen,
            Some(Role::Standby) => Condition::Standby,
            Some(Role::Active) if self.is_cut => Condition::Cut,
            Some(Role::Active) if self.is_expired => Condition::Expired,
            Some(Role::Active) if self.is_full => Condition::Full,
            Some(Role::Active) => Condition::Up,
        }
    }

    fn is_ready(&mut self, ready: &Ready) {
        self.role = Some(ready.role);
        self.admin = ready.admin.as_deref().map(Admin::at);
        self.forwarder.lead_to(ready.listen.clone());
    }

    fn is_gone(&mut self) {
        (self.role, self.admin) = (None, None);
        (self.is_frozen, self.is_full) = (false, false);
        self.forwarder.lead_to(None);
    }

    fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
        self.is_gone();
    }

    fn running(&self) -> Result<&Process, DrillError> {
        self.process.as_ref().ok_or_else(|| {
            DrillError::run(format!("{} does not run", self.spec.name), "`start` it at a step before")
        })
    }

    fn admin(&self) -> Result<&Admin, DrillError> {
        self.running()?;
        self.admin.as_ref().ok_or_else(|| DrillError::run(format!("{} has no admin API", self.spec.name), ""))
    }

    fn write_config(&self) -> Result<(), DrillError> {
        let Some(config) = &self.spec.config else { return Ok(()) };
        make_folder(&self.state)?;
        let file = self.state.join("kms.toml");
        fs::write(&file, config)
            .map_err(|error| DrillError::run(format!("cannot write {}: {error}", file.display()), ""))
    }

    fn lose_store(&self) -> Result<(), DrillError> {
        if self.process.is_some() {
            let what = format!("{} runs: its store cannot be deleted under it", self.spec.name);
            return Err(DrillError::run(what, "`kill` it at a step before"));
        }
        // The audit log would tell that the store is another.
        for part in ["store", "audit"] {
            match fs::remove_dir_all(self.state.join(part)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(DrillError::run(
                        format!("cannot delete the {part} of {}: {error}", self.spec.name),
                        "",
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Clients of the servers, each with connections of its own.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    pub profile: Profile,
    pub patience: Duration,
}

impl Clients {
    pub fn client(&self) -> Result<Client, crate::Error> {
        self.profile.builder().patience(self.patience).key_travel(KeyTravel::Never).build()
    }

    pub fn blocking(&self) -> Result<crate::blocking::Client, crate::Error> {
        crate::blocking::Client::new(self.client()?)
    }

    pub fn kms(&self) -> Result<Kmip, crate::Error> {
        Ok(Kmip::over(self.blocking()?))
    }
}

fn make_folder(folder: &Path) -> Result<(), DrillError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| DrillError::run(format!("cannot make {}: {error}", folder.display()), ""))
}

/// Copies a folder and what is in it; locks are their holders' own.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
