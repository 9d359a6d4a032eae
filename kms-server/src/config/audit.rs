//! `[audit]`: how the audit log is kept.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::audit::{self, OnFull};

/// How the audit log is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Audit {
    /// Whether there is one.
    pub enabled: bool,
    /// Its folder, relative to the file; `audit` beside the store where it is not said.
    pub folder: Option<PathBuf>,
    /// What the server does once the log cannot be written.
    pub on_full: OnFull,
    /// How many files of it are kept.
    pub keep: u32,
    /// Whether a log is begun where the store knows of another: said for one start, on the command line.
    #[serde(skip)]
    pub accept_loss: bool,
}

impl Default for Audit {
    fn default() -> Self {
        let (on_full, keep) = (OnFull::default(), audit::limits::KEEP);
        Self { enabled: true, folder: None, on_full, keep, accept_loss: false }
    }
}

impl Audit {
    /// What is wrong with it, and what to do.
    pub(super) fn mistake(&self) -> Option<(String, &'static str)> {
        let too_few = self.keep < audit::limits::MIN_KEEP;
        too_few.then(|| {
            (format!("[audit] keep is {}", self.keep), "keep 2 files or more: the last one has just begun")
        })
    }

    /// As the log itself takes it: without a folder nothing is written.
    #[must_use]
    pub fn options(&self) -> audit::Options {
        let mut options = audit::Options { on_full: self.on_full, ..audit::Options::default() };
        options.folder = self.folder.clone().filter(|_| self.enabled);
        options.segments.keep = self.keep;
        options.accept_loss = self.accept_loss;
        options
    }
}
