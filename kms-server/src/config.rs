//! The configuration file `kms.toml`, and the defaults where it is silent.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use wildmatch::WildMatch;
use zeroize::Zeroizing;

use crate::clock;
use crate::failure::{Failure, Kind};
use crate::kms::policy::{AfterRotation, MayLeave};
use crate::limits;
use crate::store_key::{Given, Source};

/// Where a server listens unless told otherwise.
pub const LISTEN: SocketAddr = SocketAddr::new(LOOPBACK, 5696);
/// Where a development server is administered unless told otherwise.
pub const ADMIN: SocketAddr = SocketAddr::new(LOOPBACK, 5697);
/// Key pairs kept ready of each kind in use, unless told otherwise: 16 of RSA-4096 take one core ten seconds to make.
pub const READY_PAIRS: usize = 16;
const LOOPBACK: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// The environment variable of the store's key, 64 hexadecimal digits. It counts before the file's.
pub const STORE_KEY_VARIABLE: &str = "KMS_STORE_KEY";

/// The store's key from the environment, where it is there.
#[must_use]
pub fn store_key_of_environment() -> Option<Zeroizing<String>> {
    std::env::var(STORE_KEY_VARIABLE).ok().map(Zeroizing::new)
}

/// Everything that `kms.toml` may say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// The KMIP port.
    pub listen: Option<SocketAddr>,
    /// The port of the admin API.
    pub admin: Option<SocketAddr>,
    /// The folder of the store; relative to the file.
    pub store: Option<PathBuf>,
    /// The file of the store's key, 64 hexadecimal digits; relative to the file.
    pub store_key: Option<PathBuf>,
    /// The file of the passphrase that the store's key follows from, instead of the key; `-` asks on the terminal.
    pub store_passphrase: Option<PathBuf>,
    /// Certificates.
    pub tls: Option<Tls>,
    /// Key pairs kept ready of each kind in use, so that nobody waits for their generation.
    pub ready_pairs: Option<usize>,
    /// Policies; the first whose `names` matches a key's Name governs it.
    #[serde(rename = "policy")]
    pub policies: Vec<Policy>,
}

/// Whom the server trusts and what it shows of itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tls {
    /// PEM file of the authorities whose clients are let in; relative to the file.
    pub trusted: PathBuf,
    /// The server's certificates, the preferred one first.
    pub certificates: Vec<TlsCertificate>,
}

/// One certificate of the server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TlsCertificate {
    /// PEM file of the certificate and those between it and the root.
    pub certificate: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
}

/// What the server does with key pairs on its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    /// What people call it.
    pub name: String,
    /// Which keys it governs: a pattern on the Name, where `*` is any text and `?` any character.
    #[serde(default)]
    pub names: Pattern,
    /// How old a pair becomes before it is rotated; never rotated when absent.
    #[serde(default)]
    pub rotate_every: Option<Interval>,
    /// How long after its creation a new pair becomes active.
    #[serde(default)]
    pub offset: Interval,
    /// What becomes of the old pair.
    #[serde(default)]
    pub after_rotation: AfterRotation,
    /// Whether a private key may be fetched.
    #[serde(default)]
    pub private_keys_may_leave: MayLeave,
}

impl Policy {
    /// Whether it governs a key called `name`.
    #[must_use]
    pub fn governs(&self, name: &str) -> bool {
        self.names.0.matches(name)
    }
}

/// A pattern on names; without one, all names.
#[derive(Clone, Debug)]
pub struct Pattern(pub WildMatch);

impl Default for Pattern {
    fn default() -> Self {
        Self(WildMatch::new("*"))
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text.is_empty() {
            return Err(D::Error::custom("an empty pattern matches nothing; `*` matches every name"));
        }
        Ok(Self(WildMatch::new(&text)))
    }
}

/// A duration such as `90d`, `12h`, `30s`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Interval {
    /// Its length.
    pub seconds: i64,
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let seconds = clock::parse_duration(&text)
            .map_err(|error| D::Error::custom(format!("{error}; {}", error.hint())))?;
        Ok(Self { seconds })
    }
}

impl Config {
    /// Reads `file`; what it names relatively is taken relative to it.
    ///
    /// # Errors
    /// [`Failure`] names the line, and the nearest right name for a key that nobody knows.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let unreadable = |cause: std::io::Error| {
            Failure::new(Kind::Config, format!("cannot read {}: {cause}", file.display()))
                .hint("name a kms.toml that this user can read")
        };
        let mut text = String::new();
        let source = fs::File::open(file).map_err(unreadable)?;
        source.take(limits::CONFIG + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > limits::CONFIG {
            let what = format!("{} is longer than {} bytes", file.display(), limits::CONFIG);
            return Err(Failure::new(Kind::Config, what).hint("is this the right file?"));
        }
        let mut config = Self::parse(&text, &file.display().to_string())?;
        config.resolve(file.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    /// The store's key: from the environment, else from where the file says.
    ///
    /// # Errors
    /// [`Failure`] when it is nowhere, or what is there is none.
    pub fn given_store_key(&self) -> Result<Given, Failure> {
        match store_key_of_environment() {
            Some(text) => Given::key(&text, STORE_KEY_VARIABLE),
            None => Source::of(self.store_key.as_ref(), self.store_passphrase.as_ref())?.read(),
        }
    }

    /// Reads the text of a configuration file called `origin`.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &str, origin: &str) -> Result<Self, Failure> {
        let config: Self = toml::from_str(text).map_err(|error| explain(&error, text, origin))?;
        config.check(origin)?;
        Ok(config)
    }

    /// The policy that governs a key called `name`: the first that matches.
    #[must_use]
    pub fn policy_for(&self, name: &str) -> Option<&Policy> {
        self.policies.iter().find(|policy| policy.governs(name))
    }

    fn check(&self, origin: &str) -> Result<(), Failure> {
        let wrong = |policy: &Policy, what: &str, hint: &'static str| {
            let what = format!("{origin}: policy {:?} {what}", policy.name);
            Err(Failure::new(Kind::Config, what).hint(hint))
        };
        for (index, policy) in self.policies.iter().enumerate() {
            if policy.name.is_empty() {
                return wrong(policy, "has no name", "name it, so that logs can tell which policy acted");
            }
            if policy.name.len() > limits::POLICY_NAME || policy.name.chars().any(char::is_control) {
                return wrong(
                    policy,
                    "has an unsuitable name",
                    "use up to 64 letters, digits, dashes and spaces",
                );
            }
            if self.policies.iter().take(index).any(|earlier| earlier.name == policy.name) {
                return wrong(policy, "is there twice", "give each policy a name of its own");
            }
            let Some(every) = policy.rotate_every else { continue };
            if every.seconds < 1 {
                return wrong(policy, "rotates every 0 s", "set rotate-every to 1s or more, or leave it out");
            }
            if policy.offset.seconds >= every.seconds {
                return wrong(
                    policy,
                    "rotates again before the new pair is active",
                    "make `offset` shorter than `rotate-every`",
                );
            }
        }
        Ok(())
    }

    fn resolve(&mut self, folder: &Path) {
        let tls = self.tls.iter_mut().flat_map(|tls| {
            let pairs = tls.certificates.iter_mut();
            pairs.flat_map(|pair| [&mut pair.certificate, &mut pair.key]).chain([&mut tls.trusted])
        });
        let passphrase = self.store_passphrase.iter_mut().filter(|path| path.as_os_str() != "-");
        for path in self.store.iter_mut().chain(&mut self.store_key).chain(passphrase).chain(tls) {
            *path = folder.join(&*path);
        }
    }
}

/// Says where in the file, what, and what may have been meant.
fn explain(error: &toml::de::Error, text: &str, origin: &str) -> Failure {
    let place = match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => {
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|character| *character != '\n').count() + 1;
            format!("{origin}, line {line}, column {column}")
        }
        None => origin.to_owned(),
    };
    let failure = Failure::new(Kind::Config, format!("{place}: {}", error.message()));
    match nearest(error.message()) {
        Some(name) => failure.hint(format!("did you mean `{name}`?")),
        None => failure
            .hint("docs and the comments in the kms.toml of `kms-server dev` list what may stand there"),
    }
}

/// The nearest of the names that serde offers in "unknown field `x`, expected one of `a`, `b`".
fn nearest(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("unknown ")?;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let given = quoted.next()?;
    let distance = |name: &&str| strsim::damerau_levenshtein(given, name);
    let best = quoted.min_by_key(distance)?;
    // Further away than half of itself it is another word, not a slip.
    (distance(&best) * 2 <= best.chars().count()).then_some(best)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{AfterRotation, Config, Interval, MayLeave};

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, "kms.toml").map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_policy_says_what_it_says_and_the_rest_is_the_default() {
        let config = parse(
            r#"
            [[policy]]
            name = "tape"
            names = "tape-*"
            rotate-every = "90d"
            offset = "12h"
            after-rotation = "deactivate"
            private-keys-may-leave = "refuse-when-deactivated"

            [[policy]]
            name = "rest"
            "#,
        )
        .unwrap();
        let tape = config.policy_for("tape-7").unwrap();
        assert_eq!(tape.name, "tape");
        assert_eq!(tape.rotate_every, Some(Interval { seconds: 90 * 86_400 }));
        assert_eq!(tape.offset, Interval { seconds: 12 * 3_600 });
        assert_eq!(tape.after_rotation, AfterRotation::Deactivate);
        assert_eq!(tape.private_keys_may_leave, MayLeave::RefuseWhenDeactivated);
        let rest = config.policy_for("tap").unwrap();
        assert_eq!((rest.name.as_str(), rest.rotate_every), ("rest", None));
        assert_eq!(rest.after_rotation, AfterRotation::KeepActive);
        assert_eq!(rest.private_keys_may_leave, MayLeave::Allow);
    }

    #[test]
    fn a_mistake_is_named_with_its_line_and_the_nearest_right_name() {
        for (text, expected) in [
            (
                "lisen = \"127.0.0.1:1\"",
                &["kms.toml, line 1, column 1", "`lisen`", "did you mean `listen`?"][..],
            ),
            (
                "[[policy]]\nname = \"a\"\nrotate-evry = \"1d\"",
                &["line 3, column 1", "`rotate-evry`", "did you mean `rotate-every`?"],
            ),
            (
                "[[policy]]\nname = \"a\"\nafter-rotation = \"deactivated\"",
                &["line 3", "did you mean `deactivate`?"],
            ),
            ("[[policy]]\nname = \"a\"\nrotate-every = \"soon\"", &["line 3", "soon", "90d, 12h or 30s"]),
            ("[[policy]]\nname = \"a\"\nrotate-every = \"1mo\"", &["line 3", "months"]),
            ("[[policy]]\nname = \"a\"\nrotate-every = \"-1d\"", &["line 3", "negative"]),
            ("[[policy]]\nname = \"a\"\nnames = \"\"", &["line 3", "empty pattern"]),
            ("[[policy]]\nname = \"a\"\nrotate-every = \"0s\"", &["policy \"a\" rotates every 0 s"]),
            ("[[policy]]\nname = \"a\"\n[[policy]]\nname = \"a\"", &["policy \"a\" is there twice"]),
            ("[[policy]]\nname = \"a\"\nrotate-every = \"1d\"\noffset = \"1d\"", &["before the new pair"]),
            ("[[policy]]\nnames = \"*\"", &["line 1", "missing field `name`"]),
            ("[[policy]]\nname = \"a\\nb\"", &["has an unsuitable name"]),
            (&format!("[[policy]]\nname = \"{}\"", "a".repeat(65)), &["has an unsuitable name"]),
            ("listen = ", &["line 1"]),
        ] {
            let error = parse(text).unwrap_err();
            for part in expected {
                assert!(error.contains(part), "{text:?}: {part:?} is not in\n{error}");
            }
        }
    }

    #[test]
    fn nothing_like_it_gets_no_suggestion() {
        assert!(!parse("zzzzzz = 1").unwrap_err().contains("did you mean"));
    }

    #[test]
    fn files_are_relative_to_the_configuration() {
        let text = "store = \"store\"\nstore-key = \"/etc/key\"\n[tls]\ntrusted = \"ca.pem\"\n\
                    certificates = [{ certificate = \"a.pem\", key = \"a.key\" }]";
        let mut config = parse(text).unwrap();
        config.resolve(Path::new("/srv/kms"));
        assert_eq!(config.store.as_deref(), Some(Path::new("/srv/kms/store")));
        assert_eq!(config.store_key.as_deref(), Some(Path::new("/etc/key")));
        let tls = config.tls.unwrap();
        assert_eq!(tls.trusted, Path::new("/srv/kms/ca.pem"));
        assert_eq!(tls.certificates[0].key, Path::new("/srv/kms/a.key"));
    }
}
