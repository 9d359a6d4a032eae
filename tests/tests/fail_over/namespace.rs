//! A network of its own for a server, so that its packets can be made to vanish. Needs root and `ip`.

use std::process::{Command, Stdio};

/// Where the server is, inside.
pub const INSIDE: &str = "10.213.77.2";
const OUTSIDE: &str = "10.213.77.1";

/// A network namespace, removed when dropped.
pub struct Namespace {
    pub name: String,
    link: String,
}

impl Namespace {
    /// `None` where the system does not allow it.
    pub fn new() -> Option<Self> {
        let id = std::process::id();
        let namespace = Self { name: format!("kms-{id}"), link: format!("kms{id}") };
        let (name, outer) = (namespace.name.as_str(), namespace.link.as_str());
        let inner = format!("{outer}i");
        let made = ip(&["netns", "add", name])
            && ip(&["link", "add", outer, "type", "veth", "peer", "name", &inner])
            && ip(&["link", "set", &inner, "netns", name])
            && ip(&["addr", "add", &format!("{OUTSIDE}/30"), "dev", outer])
            && ip(&["link", "set", outer, "up"])
            && ip(&["-n", name, "addr", "add", &format!("{INSIDE}/30"), "dev", &inner])
            && ip(&["-n", name, "link", "set", &inner, "up"])
            && ip(&["-n", name, "link", "set", "lo", "up"]);
        made.then_some(namespace)
    }

    /// From now on nothing that the server sends leaves, and nobody is told.
    pub fn break_off(&self) {
        assert!(ip(&["-n", &self.name, "route", "add", "blackhole", &format!("{OUTSIDE}/32")]));
    }

    pub fn heal(&self) {
        assert!(ip(&["-n", &self.name, "route", "del", "blackhole", &format!("{OUTSIDE}/32")]));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What was not made cannot be removed.
        let _ = ip(&["link", "del", &self.link]);
        let _ = ip(&["netns", "del", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> bool {
    let mut command = Command::new("ip");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
