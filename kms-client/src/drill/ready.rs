//! The drills that come along.

/// A drill that comes along.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadyDrill {
    /// What it is called on the command line.
    pub name: &'static str,
    /// Its file.
    pub text: &'static str,
}

macro_rules! ready {
    ($($name:literal),*) => {
        /// All of them.
        pub const ALL: &[ReadyDrill] =
            &[$(ReadyDrill { name: $name, text: include_str!(concat!("ready/", $name, ".toml")) }),*];
    };
}

ready!("killed", "take-over", "partition", "rotation-storm", "certificate-and-disk");

/// The one of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static ReadyDrill> {
    ALL.iter().find(|ready| ready.name == name)
}
