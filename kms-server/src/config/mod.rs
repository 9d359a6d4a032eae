//! The configuration file `kms.toml`, and the defaults where it is silent.

mod audit;
mod book;
mod check;
mod https;
mod notify;
mod show;
mod source;
mod webhook;

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use audit::Audit;
pub use book::PolicyBook;
pub use check::Placed;
pub use https::{Https, https_beside};
pub use notify::{NotifiedClient, Spoken};
pub use show::Setting;
pub use webhook::{EventKind, Target, Webhook};

use source::{Source, explain};

use crate::crypto::limits::READY_PAIRS as READY_PAIRS_MOST;
use crate::failure::{Failure, Kind};
use crate::kms::access::Access;
use crate::kms::credentials::User;
use crate::kms::policy::{Compatibility, Policy, Seeding};
use crate::limits;
use crate::principal::Mapping;
use crate::store_key::{self, Given};

/// Where a server listens unless told otherwise.
pub const LISTEN: SocketAddr = SocketAddr::new(LOOPBACK, 5696);
/// Where a development server is administered unless told otherwise.
pub const ADMIN: SocketAddr = SocketAddr::new(LOOPBACK, 5697);
/// Key pairs kept ready of each kind in use, unless told otherwise: 16 of RSA-4096 take one core ten seconds to make.
pub const READY_PAIRS: usize = 16;
const LOOPBACK: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// The environment variable of the store's key, 64 hexadecimal digits. It counts before the file's.
const STORE_KEY_VARIABLE: &str = "KMS_STORE_KEY";

/// The store's key from the environment, where it is there.
///
/// # Errors
/// [`Failure`] when what is there is none.
pub fn store_key_of_environment() -> Result<Option<Given>, Failure> {
    let text = std::env::var(STORE_KEY_VARIABLE).ok().map(Zeroizing::new);
    text.map(|text| Given::key(&text, STORE_KEY_VARIABLE)).transpose()
}

/// Everything that `kms.toml` may say.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// The KMIP port.
    pub listen: Option<SocketAddr>,
    /// KMIP over HTTPS.
    pub https: Option<Https>,
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
    /// How the audit log is kept.
    pub audit: Audit,
    /// Who is told of events.
    #[serde(rename = "webhook", skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<Webhook>,
    /// Clients that are told of their objects where they listen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<NotifiedClient>,
    /// The file in which policies are kept that are changed on the running server; relative to the file. Without it
    /// `run` lets nobody change them.
    pub policy_changes: Option<PathBuf>,
    /// Who callers are, where it is not the name in their certificate; the first that matches counts.
    #[serde(rename = "principal", skip_serializing_if = "Vec::is_empty")]
    pub principals: Vec<Mapping>,
    /// Who may prove himself by a Username and Password besides the connection's certificate, and then is whom.
    #[serde(rename = "user", skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<User>,
    /// Who may do what.
    #[serde(skip_serializing_if = "is_default")]
    pub access: Access,
    /// What becomes of the seeds that clients give to the generator of random numbers: `none`, `half`, `all` or `refused`.
    #[serde(skip_serializing_if = "is_usual")]
    pub random_seeds: Seeding,
    /// Whether private keys decrypt by PKCS#1 v1.5, which no new application should use.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pkcs1_decryption: bool,
    /// What clients are let do that the specification does not.
    #[serde(skip_serializing_if = "is_strict")]
    pub compatibility: Compatibility,
    /// Policies; the first that matches a key governs it.
    #[serde(rename = "policy", skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Policy>,
    /// Where it all stands.
    #[serde(skip)]
    pub source: Arc<Source>,
}

/// Whom the server trusts and what it shows of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tls {
    /// PEM file of the authorities whose clients are let in; relative to the file.
    pub trusted: PathBuf,
    /// The server's certificates, the preferred one first.
    pub certificates: Vec<TlsCertificate>,
}

/// One certificate of the server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TlsCertificate {
    /// PEM file of the certificate and those between it and the root.
    pub certificate: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
}

impl Config {
    /// Reads `file`; what it names relatively is taken relative to it.
    ///
    /// # Errors
    /// [`Failure`] names the line of each mistake, and the nearest right name for a key that nobody knows.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let config = Self::load(file)?;
        Failure::together(config.mistakes()).map(|()| config)
    }

    /// Reads `file` as [`Config::read`] does, and leaves its [mistakes](Config::mistakes) to the caller.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be read, or nobody knows what it says.
    pub fn load(file: &Path) -> Result<Self, Failure> {
        let text = read_bounded(file, "kms.toml", limits::CONFIG)?;
        let mut config = Self::written(&text, &file.display().to_string())?;
        config.resolve(file.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    /// The store's key: from the environment, else from where the file says.
    ///
    /// # Errors
    /// [`Failure`] when it is nowhere, or what is there is none.
    pub fn given_store_key(&self) -> Result<Given, Failure> {
        match store_key_of_environment()? {
            Some(given) => Ok(given),
            None => self.store_key_source()?.read(),
        }
    }

    /// The store's key where it can be read at any time, which a terminal and a pipe do not allow; else `None`.
    ///
    /// # Errors
    /// As [`Config::given_store_key`].
    pub fn lasting_store_key(&self) -> Result<Option<Given>, Failure> {
        if let Some(given) = store_key_of_environment()? {
            return Ok(Some(given));
        }
        let source = self.store_key_source()?;
        if source.is_lasting() { source.read().map(Some) } else { Ok(None) }
    }

    fn store_key_source(&self) -> Result<store_key::Source, Failure> {
        store_key::Source::of(self.store_key.as_ref(), self.store_passphrase.as_ref())
    }

    /// Reads the text of a configuration file called `origin`.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &str, origin: &str) -> Result<Self, Failure> {
        let config = Self::written(text, origin)?;
        Failure::together(config.mistakes()).map(|()| config)
    }

    /// What a text says, right or wrong.
    fn written(text: &str, origin: &str) -> Result<Self, Failure> {
        let mut config: Self = toml::from_str(text).map_err(|error| explain(&error, text, origin))?;
        config.source = Arc::new(Source::of(text, origin));
        Ok(config)
    }

    /// The policies of this file, each with its place.
    #[must_use]
    pub fn placed(&self) -> Vec<Placed> {
        (0..)
            .zip(&self.policies)
            .map(|(index, policy)| Placed::new(policy.clone(), &self.source, index))
            .collect()
    }

    /// Everything that is wrong with what it says, by itself; what it names is not looked at.
    #[must_use]
    pub fn mistakes(&self) -> Vec<Failure> {
        let mut wrong = check::mistakes(&self.placed());
        let mut mistake = |path: &str, (what, hint): (String, &'static str)| {
            let place = self.source.place(path);
            wrong.push(Failure::new(Kind::Config, format!("{place}: {what}")).hint(hint));
        };
        if let Some(found) = self.audit.mistake() {
            mistake("audit.keep", found);
        }
        if let Some(many) = self.ready_pairs.filter(|many| *many > READY_PAIRS_MOST) {
            let what = format!("ready-pairs is {many}, and {READY_PAIRS_MOST} is the most");
            mistake("ready-pairs", (what, "lower it: pairs are kept ready of each kind in use"));
        }
        for (index, client) in self.notify.iter().enumerate() {
            let earlier = self.notify.get(..index).unwrap_or_default();
            let found = if index < limits::REACHED {
                client.mistake(earlier)
            } else {
                let what = format!("one [[notify]] too many: there may be {}", limits::REACHED);
                Some((what, "clients that speak KMIP 2.0 can ask for Set Endpoint Role instead"))
            };
            if let Some(found) = found {
                mistake(&format!("notify[{index}]"), found);
            }
        }
        for (index, webhook) in self.webhooks.iter().enumerate() {
            let earlier = self.webhooks.get(..index).unwrap_or_default();
            if let Some(found) = webhook.mistake(earlier) {
                mistake(&format!("webhook[{index}]"), found);
            }
        }
        for (index, principal) in self.principals.iter().enumerate() {
            let earlier = self.principals.get(..index).unwrap_or_default();
            let long = principal.subject.iter().chain(&principal.san).find_map(check::too_long);
            if let Some(found) = long.or_else(|| principal.mistake(earlier)) {
                mistake(&format!("principal[{index}]"), found);
            }
        }
        for (index, user) in self.users.iter().enumerate() {
            if let Some(found) = user.mistake(self.users.get(..index).unwrap_or_default()) {
                mistake(&format!("user[{index}]"), found);
            }
        }
        for (index, rule) in self.access.0.iter().enumerate() {
            if let Some(found) =
                check::too_long(&rule.principals).or_else(|| check::too_long(rule.owners.as_ref()?))
            {
                mistake(&format!("access[{index}]"), found);
            }
        }
        wrong
    }

    /// A failure to say at the place of the setting `path`.
    #[must_use]
    pub fn wrong(&self, path: &str, what: &str) -> Failure {
        Failure::new(Kind::Config, format!("{}: {what}", self.source.place(path)))
    }

    fn resolve(&mut self, folder: &Path) {
        let tls = self.tls.iter_mut().flat_map(|tls| {
            let pairs = tls.certificates.iter_mut();
            pairs.flat_map(|pair| [&mut pair.certificate, &mut pair.key]).chain([&mut tls.trusted])
        });
        let webhooks = self.webhooks.iter_mut();
        let webhooks = webhooks.flat_map(|hook| [&mut hook.secret_file].into_iter().chain(&mut hook.trusted));
        let own = [&mut self.store, &mut self.store_key, &mut self.policy_changes, &mut self.audit.folder];
        let passphrase = self.store_passphrase.iter_mut().filter(|path| path.as_os_str() != "-");
        for path in own.into_iter().flatten().chain(passphrase).chain(tls).chain(webhooks) {
            *path = folder.join(&*path);
        }
    }
}

fn is_usual(seeding: &Seeding) -> bool {
    *seeding == Seeding::default()
}

fn is_strict(compatibility: &Compatibility) -> bool {
    *compatibility == Compatibility::default()
}

fn is_default(access: &Access) -> bool {
    access.0.is_empty()
}

/// The text of a file that an operator names, a `kind` such as `kms.toml`, of so many bytes at most.
///
/// # Errors
/// [`Failure`] when it cannot be read, is no text, or is longer.
pub(crate) fn read_bounded(file: &Path, kind: &str, most: u64) -> Result<String, Failure> {
    let unreadable = |cause: std::io::Error| {
        Failure::new(Kind::Config, format!("cannot read {}: {cause}", file.display()))
            .hint(format!("name a {kind} that this user can read"))
    };
    let mut text = String::new();
    let source = fs::File::open(file).map_err(unreadable)?;
    source.take(most + 1).read_to_string(&mut text).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::InvalidData => {
            Failure::new(Kind::Config, format!("{} is no text in UTF-8", file.display()))
                .hint("save it as UTF-8, and mind that it is the right file")
        }
        _ => unreadable(cause),
    })?;
    if text.len() as u64 > most {
        let what = format!("{} is longer than {most} bytes", file.display());
        return Err(Failure::new(Kind::Config, what).hint("is this the right file?"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Config, PolicyBook};
    use crate::kms::policy::{AfterRotation, MayLeave};
    use crate::limits;
    use crate::period::Period;

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
        let tape = &config.policies[0];
        assert_eq!(tape.name, "tape");
        assert_eq!(tape.rotate_every, Some(Period { seconds: 90 * 86_400 }));
        assert_eq!(tape.offset, Period { seconds: 12 * 3_600 });
        assert_eq!(tape.after_rotation, AfterRotation::Deactivate);
        assert_eq!(tape.private_keys_may_leave, MayLeave::RefuseWhenDeactivated);
        let rest = &config.policies[1];
        assert_eq!((rest.name.as_str(), rest.rotate_every), ("rest", None));
        assert_eq!(rest.after_rotation, AfterRotation::KeepActive);
        assert_eq!(rest.private_keys_may_leave, MayLeave::Allow);
    }

    fn expect_mistake(text: &str, expected: &[&str]) {
        let error = parse(text).unwrap_err();
        for part in expected {
            assert!(error.contains(part), "{text:?}: {part:?} is not in\n{error}");
        }
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
            ("[audit]\non-full = \"refuze\"", &["line 2", "did you mean `refuse`?"]),
            ("[audit]\nkeep = 1", &["line 2: [audit] keep is 1", "keep 2 files or more"]),
            ("[[webhook]]\nurl = \"http://example.com\"\nsecret-file = \"s\"", &["line 2", "in the open"]),
            ("[[webhook]]\nurl = \"ftp://10.0.0.1\"\nsecret-file = \"s\"", &["line 2", "neither"]),
            ("[[webhook]]\nurl = \"https://a:b@c\"\nsecret-file = \"s\"", &["line 2", "no password"]),
            ("[[webhook]]\nurl = \"https://c\"\nsecret-file = \"s\"", &["line 1: webhook", "whom to trust"]),
            (
                "[[webhook]]\nurl = \"http://[::1]:1\"\nsecret-file = \"s\"\nevents = [\"rotatd\"]",
                &["line 4", "did you mean `rotated`?"],
            ),
            ("[[policy]]\nnames = \"*\"", &["line 1: policy \"\" has no name"]),
            (
                "[[policy]]\nname = \"a\"\nrotate-every = \"1d\"\noffset = \"12h\"\njitter = \"12h\"",
                &["kms.toml, line 5: policy \"a\"", "jitter"],
            ),
            ("[[policy]]\nname = \"a\"\njitter = \"12h\"", &["line 3", "never rotates"]),
            ("[[policy]]\nname = \"a\"\ndeactivate-after = \"1d\"", &["line 3", "keeps old pairs active"]),
            ("[[policy]]\nname = \"a\"\ndestroy-after = \"0s\"", &["line 3", "moment"]),
            (
                "[[policy]]\nname = \"a\"\nleast-interval = \"2d\"\nmost-interval = \"1d\"",
                &["line 3", "least-interval is longer"],
            ),
            (
                "[[policy]]\nname = \"all\"\n\n[[policy]]\nname = \"tape\"\nnames = \"tape-*\"",
                &[
                    "line 4: policy \"tape\" is never reached",
                    "\"all\" (kms.toml, line 1)",
                    "put this one before",
                ],
            ),
            (
                "[[policy]]\nname = \"a\"\nallowed-pairs = [\"RSA-1024\"]",
                &["line 3", "did you mean `RSA-2048`?"],
            ),
            (
                "[[access]]\nprincipals = \"*\"\noperations = [\"Destory\"]",
                &["line 3", "`Destory`", "did you mean `Destroy`?"],
            ),
            ("[[principal]]\nname = \"a\"", &["line 1", "matches no certificate"]),
            ("[[user]]\nname = \"a\"\npassword-hash = \"secret\"", &["line 3", "no hash of a password"]),
            (
                "[[user]]\nname = \"a\"\npassword-hash = \"$argon2id$v=19$m=9999999,t=1,p=1$c2FsdHNhbHQ$\
                 rAjuexKlLdAHLvqk7TeeiWZjW4OPoRGwldJXdHbTuKI\"",
                &["line 3", "KiB of memory"],
            ),
            ("listen = ", &["line 1"]),
        ] {
            expect_mistake(text, expected);
        }
    }

    #[test]
    fn what_is_out_of_range_or_selects_nothing_is_a_mistake() {
        for (text, expected) in [
            ("[[policy]]\nname = \"a\"\nalgorithms = [\"rsa\"]", &["line 3", "did you mean `RSA`?"][..]),
            ("[[policy]]\nname = \"a\"\nrotate-every = 5", &["line 3", "`5`", "\"90d\", \"12h\" or \"30s\""]),
            ("admin = \"[::1]:1\"\nadmin = \"[::1]:2\"", &["line 2, column 1", "`admin` is there twice"]),
            ("ready-pairs = 257", &["line 1: ready-pairs is 257", "256 is the most"]),
            ("[[policy]]\nname = \"a\"\nallowed-pairs = []", &["line 3", "an empty list"]),
            ("[[policy]]\nname = \"a\"\nalgorithms = []", &["line 3", "an empty list"]),
            (
                "[[policy]]\nname = \"a\"\nalgorithms = [\"RSA\"]\nallowed-pairs = [\"RSA-2048\", \"P-256\"]",
                &["line 4: policy \"a\" allows P-256 pairs"],
            ),
            (
                "[[principal]]\nname = \"a\"\nsan = \"*.example\"\n[[principal]]\nname = \"b\"\n\
                 subject = \"CN=b\"\nsan = \"b.example\"",
                &["line 4: the principal \"b\" is never reached: \"a\" takes"],
            ),
        ] {
            expect_mistake(text, expected);
        }
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let error =
            parse("ready-pairs = 999\n[audit]\nkeep = 1\n[[policy]]\nname = \"\"\nrotate-every = \"0s\"\n");
        let error = error.unwrap_err();
        for expected in ["ready-pairs is 999", "[audit] keep is 1", "has no name", "rotates every 0 s"] {
            assert!(error.contains(expected), "{expected} is not in\n{error}");
        }
        assert_eq!(error.matches("hint: ").count(), 4, "{error}");
    }

    #[test]
    fn patterns_have_an_end_and_comparing_them_has_too() {
        let long = "x".repeat(limits::PATTERN + 1);
        let error = parse(&format!("[[policy]]\nname = \"a\"\nnames = \"{long}\"")).unwrap_err();
        assert!(error.contains("line 3") && error.contains("more than 128 characters"), "{error}");
        let pattern = |number: usize| format!("\"{}{number}b\"", "*a".repeat(60));
        let many = (0..=limits::PATTERNS).map(pattern).collect::<Vec<_>>().join(", ");
        let error = parse(&format!("[[policy]]\nname = \"a\"\nnames = [{many}]")).unwrap_err();
        assert!(error.contains("one pattern too many"), "{error}");
        // As many as there may be, each as hard to compare as it gets.
        let half: Vec<_> = (0..limits::PATTERNS).map(pattern).collect();
        let (first, second) = half.split_at(limits::PATTERNS / 2);
        let text = [first, second]
            .map(|names| format!("[[policy]]\nname = {}\nnames = [{}]\n", names[0], names.join(", ")));
        assert_eq!(parse(&text.concat()).unwrap().policies.len(), 2);
    }

    #[test]
    fn policies_that_overlap_in_part_are_both_reached() {
        let text = "[[policy]]\nname = \"a\"\nnames = \"tape-*\"\ngroups = \"g\"\n\
                    [[policy]]\nname = \"b\"\nnames = \"tape-1\"\n\
                    [[policy]]\nname = \"c\"\nalgorithms = [\"EC\"]\n\
                    [[policy]]\nname = \"d\"";
        assert_eq!(parse(text).unwrap().policies.len(), 4);
    }

    #[test]
    fn every_setting_in_force_is_shown_with_where_it_comes_from() {
        let text = "ready-pairs = 3\n\n[[policy]]\nname = \"tape\"\nnames = [\"tape-*\", \"t?\"]\n";
        let config = parse(text).unwrap();
        let settings = config.settings(&PolicyBook::open(&config, None).unwrap());
        let shown = |path: &str| {
            let setting = settings.iter().find(|setting| setting.path == path).unwrap();
            (setting.value.as_str(), setting.origin.as_str())
        };
        assert_eq!(shown("ready-pairs"), ("3", "kms.toml, line 1"));
        assert_eq!(shown("listen"), ("\"127.0.0.1:5696\"", "default"));
        assert_eq!(shown("policy.tape.names"), ("[\"tape-*\", \"t?\"]", "kms.toml, line 5"));
        assert_eq!(shown("policy.tape.deletion-window"), ("\"0s\"", "default"));
    }

    #[test]
    fn policies_changed_while_the_server_runs_lie_over_those_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policies.toml");
        let config = parse(
            "[[policy]]\nname = \"tape\"\nnames = \"tape-*\"\nrotate-every = \"90d\"\n[[policy]]\nname = \"rest\"",
        )
        .unwrap();
        let settings = |json: &str| serde_json::from_str(json).unwrap();
        let mut book = PolicyBook::open(&config, Some(&file)).unwrap();
        book.set("tape", &settings(r#"{"rotate-every": "30d", "offset": "1h"}"#)).unwrap();
        book.set("disk", &settings(r#"{"names": "disk-*"}"#)).unwrap();
        book.remove("rest").unwrap();
        let again = PolicyBook::open(&config, Some(&file)).unwrap();
        for book in [&book, &again] {
            let list = book.policies().list;
            let names: Vec<&str> = list.iter().map(|policy| policy.name.as_str()).collect();
            assert_eq!(names, ["disk", "tape"]);
            assert_eq!(list[1].rotate_every, Some(Period { seconds: 30 * 86_400 }));
            assert_eq!(serde_json::to_value(&list[1].names).unwrap(), "tape-*", "what was not set stays");
        }
        book.set("tape", &settings(r#"{"offset": null}"#)).unwrap();
        assert_eq!(book.policies().list[1].offset, Period::default());
        for (name, json, expected) in [
            ("tape", r#"{"rotate-evry": "1d"}"#, "did you mean `rotate-every`?"),
            ("tape", r#"{"ofset": null}"#, "did you mean `offset`?"),
            ("tape", r#"{"name": "disc"}"#, "keeps its name"),
            ("tape", r#"{"offset": "40d"}"#, "rotates again before"),
            ("tape", r#"{"names": "disk-1"}"#, "never reached"),
            ("tape", r#"{"rotate-every": 7}"#, "invalid type"),
        ] {
            let before = book.policies().list;
            let error = book.set(name, &settings(json)).unwrap_err().to_string();
            assert!(error.contains(expected), "{json}: {error}");
            assert_eq!(book.policies().list, before, "{json}");
        }
        // What a person writes into the file while the server runs is not lost.
        let written = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{written}# by hand\n")).unwrap();
        let error = book.set("tape", &settings(r#"{"offset": "2h"}"#)).unwrap_err().to_string();
        assert!(error.contains("was changed since this server read it"), "{error}");
        assert!(std::fs::read_to_string(&file).unwrap().ends_with("# by hand\n"));
        assert!(book.remove("tap").unwrap_err().to_string().contains("there are: disk, tape"));
        let fixed = PolicyBook::open(&config, None).unwrap().set("tape", &settings("{}"));
        assert!(fixed.unwrap_err().to_string().contains("policy-changes"));
    }

    #[test]
    fn a_change_that_no_longer_fits_the_file_is_named_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policies.toml");
        std::fs::write(&file, "[[policy]]\nname = \"a\"\nnames = \"*\"\n").unwrap();
        let config = parse("[[policy]]\nname = \"tape\"\nnames = \"tape-*\"").unwrap();
        let error = PolicyBook::open(&config, Some(&file)).unwrap_err().to_string();
        assert!(error.contains("kms.toml, line 1: policy \"tape\" is never reached"), "{error}");
        assert!(error.contains("policies.toml, line 1"), "{error}");
        std::fs::write(&file, "[[policy]]\nname = \"a\"\nnmes = \"*\"\n").unwrap();
        let error = PolicyBook::open(&config, Some(&file)).unwrap_err().to_string();
        assert!(error.contains("policies.toml, line 3") && error.contains("`names`"), "{error}");
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
