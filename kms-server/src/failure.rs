//! Why a command gave up: what failed, why, and what to do.

use core::fmt;

/// What kind of failure ends the program; each has an exit code of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Anything else.
    Other,
    /// A port cannot be opened.
    Listen,
    /// The state folder or the store cannot be used.
    State,
    /// The configuration is wrong.
    Config,
    /// The server's admin API cannot be reached.
    Unreachable,
    /// The server refused what was asked of it.
    Refused,
    /// The audit log is not as it was written.
    Damaged,
}

impl Kind {
    /// The program's exit code. 2 is a wrong command line.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Listen => 3,
            Self::State => 4,
            Self::Config => 5,
            Self::Unreachable => 6,
            Self::Refused => 7,
            Self::Damaged => 8,
        }
    }
}

/// A failure as the operator is told of it: what and why in `what`, then a `hint:` line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Which exit code it has.
    pub kind: Kind,
    what: String,
    hint: String,
}

impl Failure {
    /// A failure of `kind`, where `what` says what failed and why.
    #[must_use]
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), hint: String::new() }
    }

    /// One failure that tells all of these, each with its hint.
    ///
    /// # Errors
    /// That failure, where there is any.
    pub fn together(mut failures: Vec<Self>) -> Result<(), Self> {
        let Some(Self { kind, what, hint }) = failures.pop() else { return Ok(()) };
        let kind = failures.first().map_or(kind, |first| first.kind);
        let before: String = failures.iter().map(|failure| format!("{failure}\n")).collect();
        Err(Self { kind, what: before + &what, hint })
    }

    /// What failed and why.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// What failed and why, and what to do about it.
    #[must_use]
    pub fn into_parts(self) -> (String, String) {
        (self.what, self.hint)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "\nhint: {}", self.hint) }
    }
}

impl std::error::Error for Failure {}
