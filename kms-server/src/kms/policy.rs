//! What the operator has decided about keys: which rotate when, what becomes of old ones, what may leave.
//!
//! A policy is written the same way in `kms.toml`, in the file of policies changed on a running server, and in the admin
//! API. Pure: which policy a key is filed under is decided here and kept in the key's record.

use kms_protocol::DateTime;
use kms_protocol::enums::CryptographicAlgorithm;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wildmatch::WildMatch;

use super::access::Access;
use super::credentials::User;
use super::model::Object;
use super::refusal::{Reason, Refusal};
use super::rotation::Pair;
use crate::period::Period;

/// Under what the pairs are filed whose client asked for rotation itself (2.1 Rotate Interval and Rotate Automatic).
pub const OWN_WISH: &str = "";

/// One policy. What is left out has the value of [`Policy::default`].
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Policy {
    /// Its name; unique.
    pub name: String,
    /// Which keys it governs: those with such a Name, on either half.
    pub names: Patterns,
    /// And with such an Object Group.
    pub groups: Patterns,
    /// And of such an owner.
    pub owners: Patterns,
    /// And of such an algorithm; of any where empty.
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Vec::is_empty")]
    pub algorithms: Vec<Algorithm>,
    /// The kinds of pair that may be made; any where empty.
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Vec::is_empty")]
    pub allowed_pairs: Vec<Pairs>,
    /// How old a pair becomes before it is rotated; never rotated where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotate_every: Option<Period>,
    /// From a new pair's Initial Date to its Activation Date.
    pub offset: Period,
    /// By how much a rotation may come early, so that pairs made together do not rotate together.
    pub jitter: Period,
    /// What becomes of the old pair.
    pub after_rotation: AfterRotation,
    /// How long after its successor's Activation the old pair is Deactivated.
    pub deactivate_after: Period,
    /// How long after it went out of use an old generation is destroyed; never where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destroy_after: Option<Period>,
    /// How long destroyed key material can still be brought back by the operator.
    pub deletion_window: Period,
    /// Whether private keys may leave the server.
    pub private_keys_may_leave: MayLeave,
    /// Whether a Deactivated or Compromised key still decrypts.
    pub decrypt_when_deactivated: Decision,
    /// The shortest Rotate Interval that a client may ask for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least_interval: Option<Period>,
    /// The longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_interval: Option<Period>,
}

/// What becomes of the old pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterRotation {
    /// It stays Active.
    #[default]
    KeepActive,
    /// It is Deactivated, no earlier than at its successor's Activation Date.
    Deactivate,
}

/// Whether Get returns a private key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MayLeave {
    /// Yes.
    #[default]
    Allow,
    /// Not once it is Deactivated or Compromised.
    RefuseWhenDeactivated,
    /// No.
    Never,
}

/// Yes or no.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Yes.
    #[default]
    Allow,
    /// No.
    Refuse,
}

/// The algorithms that a policy can tell apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Algorithm {
    /// RSA.
    #[serde(rename = "RSA")]
    Rsa,
    /// Elliptic curves, Ed25519 among them.
    #[serde(rename = "EC")]
    Ec,
}

/// A kind of pair, as a policy writes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Pairs {
    /// RSA of 2048 bits.
    #[serde(rename = "RSA-2048")]
    Rsa2048,
    /// RSA of 3072 bits.
    #[serde(rename = "RSA-3072")]
    Rsa3072,
    /// RSA of 4096 bits.
    #[serde(rename = "RSA-4096")]
    Rsa4096,
    /// The curve P-256.
    #[serde(rename = "P-256")]
    P256,
    /// The curve P-384.
    #[serde(rename = "P-384")]
    P384,
    /// The curve P-521.
    #[serde(rename = "P-521")]
    P521,
    /// The curve secp256k1.
    #[serde(rename = "secp256k1")]
    Secp256k1,
    /// Ed25519.
    #[serde(rename = "Ed25519")]
    Ed25519,
    /// X25519.
    #[serde(rename = "X25519")]
    X25519,
}

impl Pairs {
    /// Of which algorithm it is.
    #[must_use]
    pub fn algorithm(self) -> Algorithm {
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => Algorithm::Rsa,
            _ => Algorithm::Ec,
        }
    }

    /// What the cryptography calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rsa2048 => "RSA-2048",
            Self::Rsa3072 => "RSA-3072",
            Self::Rsa4096 => "RSA-4096",
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::Secp256k1 => "secp256k1",
            Self::Ed25519 => "Ed25519",
            Self::X25519 => "X25519",
        }
    }
}

impl Policy {
    /// Whether it governs a pair (or a lone key) of these objects.
    fn governs(&self, objects: &[&Object]) -> bool {
        self.names.match_any(objects.iter().flat_map(|object| object.all_names()))
            && self.groups.match_any(objects.iter().flat_map(|object| object.groups()))
            && self.owners.match_any(objects.iter().map(|object| object.owner.as_str()))
            && (self.algorithms.is_empty()
                || objects.iter().any(|object| {
                    object.algorithm().is_some_and(|algorithm| self.algorithms.contains(&family(algorithm)))
                }))
    }

    /// By how much the rotation of the pair of this private key comes early: always the same for a pair, and spread
    /// evenly from nothing to `jitter` over all pairs.
    #[must_use]
    pub fn jitter_of(&self, private: &str) -> i64 {
        // FNV-1a: identifiers end at random, so this only has to be the same on every server and every day.
        let hash = private.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        let width = u64::try_from(self.jitter.seconds).unwrap_or(0).saturating_add(1);
        i64::try_from((hash ^ (hash >> 32)) % width).unwrap_or(0)
    }

    /// When a pair rotates whose interval counts from this date ([`Object::interval_start`]).
    #[must_use]
    pub fn due(&self, start: DateTime) -> Option<DateTime> {
        self.rotate_every.map(|every| start.plus(every.seconds))
    }

    /// How long after its successor's Activation the old pair is Deactivated, where it is.
    #[must_use]
    pub fn retire_after(&self) -> Option<i64> {
        (self.after_rotation == AfterRotation::Deactivate).then_some(self.deactivate_after.seconds)
    }

    /// Whether a pair of this kind may be made.
    ///
    /// # Errors
    /// [`Reason::Denied`], naming those that may.
    pub fn check_pair(&self, kind: &str) -> Result<(), Refusal> {
        let names: Vec<&str> = self.allowed_pairs.iter().map(|pairs| pairs.name()).collect();
        if names.is_empty() || names.contains(&kind) {
            return Ok(());
        }
        Err(Refusal::new(
            Reason::Denied,
            format!(
                "policy {:?} does not allow {kind} pairs here; it allows {}",
                self.name,
                names.join(", ")
            ),
        ))
    }
}

/// Whether a client may ask for this Rotate Interval; `least` counts where no policy says.
fn check_interval(policy: Option<&Policy>, seconds: i64, least: Period) -> Result<(), Refusal> {
    let most = policy.and_then(|policy| policy.most_interval);
    let least = most.map_or(least, |most| least.min(most));
    let least = policy.and_then(|policy| policy.least_interval).unwrap_or(least);
    if seconds >= least.seconds && most.is_none_or(|most| seconds <= most.seconds) {
        return Ok(());
    }
    let who = policy.map_or_else(|| "this server".into(), |policy| format!("policy {:?}", policy.name));
    let asked = Period { seconds };
    let most = most.map_or_else(String::new, |most| format!(" and at most {most}"));
    let what =
        format!("{who} does not allow a Rotate Interval of {asked}: it has to be at least {least}{most}");
    Err(Refusal::new(Reason::Denied, what))
}

/// A list that says something: an empty one reads like "none", and would mean "all".
fn not_empty<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    let list = Vec::deserialize(from)?;
    match list.is_empty() {
        true => Err(D::Error::custom("an empty list selects nothing; leave the setting out to select all")),
        false => Ok(list),
    }
}

/// What is in force: policies, of which the first that matches counts, and who may do what.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    /// The policies, in their order.
    pub list: Vec<Policy>,
    /// Who may do what.
    pub access: Access,
    /// Who may prove himself by a password.
    pub users: Vec<User>,
    /// What becomes of the seeds that clients give.
    pub random_seeds: Seeding,
    /// Whether private keys decrypt by PKCS#1 v1.5.
    pub pkcs1_decryption: bool,
    /// What clients are let do that the specification does not.
    pub compatibility: Compatibility,
}

/// What clients are let do, or are shown, that the specification has otherwise: for those that were written for a server that
/// takes it less strictly.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Compatibility {
    /// Several objects of one owner may have the same Name, which is to be unique (1.4 section 3.2).
    pub shared_names: bool,
    /// Get says of a destroyed object that there is none, instead of that its attributes are all that is left of it (1.4
    /// section 11.12).
    pub destroyed_not_found: bool,
    /// Derive Key takes Pre-Active objects, which are to be used for nothing (1.4 section 3.22).
    pub derive_from_pre_active: bool,
    /// The first instance of an attribute that may have several states its Attribute Index, 0, which may be left out.
    pub first_attribute_index: bool,
    /// A request may have fields that a later version of its family brought.
    pub newer_request_fields: bool,
    /// A key that is wrapped with No Encoding is the Key Material of a Key Value structure; it is to be the Key Value itself
    /// (1.4 section 2.1.4).
    pub structured_wrapped_keys: bool,
}

/// What becomes of the random bytes that clients give to the server's generator (RNG Seed).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seeding {
    /// They are not needed, and the client is told that none were taken.
    #[default]
    None,
    /// The first half of each seed joins what the generator makes.
    Half,
    /// All of it does.
    All,
    /// It is refused.
    Refused,
}

impl Policies {
    /// The policy that a pair of these objects belongs under.
    #[must_use]
    pub fn matching(&self, objects: &[&Object]) -> Option<&Policy> {
        self.list.iter().find(|policy| policy.governs(objects))
    }

    /// The policy of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Policy> {
        self.list.iter().find(|policy| policy.name == name)
    }

    /// The policy that an object is filed under, while that exists.
    #[must_use]
    pub fn filed(&self, object: &Object) -> Option<&Policy> {
        object.policy.as_deref().and_then(|name| self.named(name))
    }

    /// The policy that governs a pair: the one that it is filed under, or would be.
    #[must_use]
    pub fn of(&self, pair: &Pair) -> Option<&Policy> {
        self.filed(&pair.private).or_else(|| self.matching(&[&pair.private, &pair.public]))
    }

    /// Files the halves of a pair under the policy that they belong under; whether that is another than before.
    pub fn file(&self, private: &mut Object, public: &mut Object) -> bool {
        let policy = self.matching(&[private, public]);
        let early = policy.map_or(0, |policy| policy.jitter_of(&private.id));
        let mut changed = private.early != early;
        private.early = early;
        let policy = policy.map(|policy| policy.name.clone());
        for half in [private, public] {
            if half.policy != policy {
                half.policy.clone_from(&policy);
                half.is_kept = false;
                half.is_left_alone = false;
                changed = true;
            }
        }
        changed
    }

    /// Whether a client may have a new pair so, and have it rotated as it asks: no more often than each `least`, where no
    /// policy says otherwise.
    ///
    /// # Errors
    /// [`Reason::Denied`] by the policy, [`Reason::InvalidField`] for a wish that nobody could fulfil.
    pub fn check_new(&self, pair: &Pair, kind: &str, least: Period) -> Result<(), Refusal> {
        let policy = self.matching(&[&pair.private, &pair.public]);
        policy.map_or(Ok(()), |policy| policy.check_pair(kind))?;
        check_wish(policy, pair, least)
    }

    /// Whether a client may have what it asks for in place of a pair of this kind. One that stays under its policy stays
    /// what it is, whatever that policy allows by now.
    ///
    /// # Errors
    /// As [`Policies::check_new`]'s.
    pub fn check_successor(&self, old: &Pair, new: &Pair, kind: &str, least: Period) -> Result<(), Refusal> {
        let of = |pair: &Pair| self.matching(&[&pair.private, &pair.public]);
        let policy = of(new);
        let stays = of(old).map(|policy| &policy.name) == policy.map(|policy| &policy.name);
        policy.filter(|_| !stays).map_or(Ok(()), |policy| policy.check_pair(kind))?;
        check_wish(policy, new, least)
    }

    /// What decides where a key is filed, which is under a policy and at a date: while it is the same, every key is filed
    /// rightly.
    #[must_use]
    pub fn selection(&self) -> String {
        let parts: Vec<_> = self
            .list
            .iter()
            .map(|policy| {
                let Policy { name, names, groups, owners, algorithms, jitter, .. } = policy;
                (name, names, groups, owners, algorithms, jitter)
            })
            .collect();
        // These types cannot fail to be written; were it otherwise, keys would be filed anew at each start.
        serde_json::to_string(&parts).unwrap_or_default()
    }
}

/// Whether a client may have a pair rotated as it asks, under the policy that governs it.
fn check_wish(policy: Option<&Policy>, pair: &Pair, least: Period) -> Result<(), Refusal> {
    for half in [&pair.private, &pair.public] {
        let Some(interval) = half.rotate_interval() else { continue };
        let seconds = i64::from(interval.0);
        if half.rotate_offset().is_some_and(|offset| offset.0 >= interval.0) {
            return Err(Refusal::new(
                Reason::InvalidField,
                "the Rotate Offset has to be shorter than the Rotate Interval, or no pair would ever be active",
            ));
        }
        // One that is not automatic is a note alone.
        let least = if half.rotate_automatic() == Some(true) { least } else { Period::default() };
        check_interval(policy, seconds, least)?;
    }
    Ok(())
}

fn family(algorithm: CryptographicAlgorithm) -> Algorithm {
    if algorithm == CryptographicAlgorithm::Rsa { Algorithm::Rsa } else { Algorithm::Ec }
}

/// Patterns, any of which may match: `*` stands for any text, `?` for one character.
#[derive(Clone, PartialEq, Debug)]
pub struct Patterns(Vec<WildMatch>);

impl Default for Patterns {
    fn default() -> Self {
        Self(vec![WildMatch::new("*")])
    }
}

impl Patterns {
    /// Whether one of them matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(text))
    }

    /// The first that has more characters than `most`.
    #[must_use]
    pub fn longer_than(&self, most: usize) -> Option<String> {
        let long = self.0.iter().find(|pattern| pattern.pattern_chars().len() > most);
        long.map(|pattern| pattern.pattern())
    }

    /// How many of them select anything: `*` does not.
    #[must_use]
    pub fn selecting(&self) -> usize {
        self.0.iter().filter(|pattern| pattern.pattern_chars() != ['*']).count()
    }

    /// Whether one of them matches one of `texts`; `*` matches even if there is none.
    fn match_any<'a>(&self, mut texts: impl Iterator<Item = &'a str>) -> bool {
        self.0.iter().any(|pattern| pattern.pattern_chars() == ['*']) || texts.any(|text| self.matches(text))
    }

    /// Whether they match everything that `other` matches. It may miss a coincidence, and never sees one that is none.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        other
            .0
            .iter()
            .all(|theirs| self.0.iter().any(|ours| covers(ours.pattern_chars(), theirs.pattern_chars())))
    }
}

/// Whether pattern `a` matches all that pattern `b` does: it does where it matches `b` itself, read as a text in which `*`
/// is a character that only `*` stands for. At most as many steps as both lengths multiplied.
fn covers(a: &[char], b: &[char]) -> bool {
    let (mut own, mut theirs) = (0, 0);
    // Behind the last `*` of `a`, and what of `b` it does not stand for.
    let mut star: Option<(usize, usize)> = None;
    while let Some(character) = b.get(theirs) {
        match a.get(own) {
            Some('*') => {
                star = Some((own + 1, theirs));
                own += 1;
            }
            Some(same) if same == character || (*same == '?' && *character != '*') => {
                (own, theirs) = (own + 1, theirs + 1);
            }
            _ => {
                let Some((behind, from)) = star else { return false };
                star = Some((behind, from + 1));
                (own, theirs) = (behind, from + 1);
            }
        }
    }
    a.iter().skip(own).all(|rest| *rest == '*')
}

impl Serialize for Patterns {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => to.serialize_str(&one.pattern()),
            several => to.collect_seq(several.iter().map(|pattern| pattern.pattern())),
        }
    }
}

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a pattern such as \"tape-*\", or a list of patterns")]
        enum Written {
            One(String),
            Several(Vec<String>),
        }
        let texts = match Written::deserialize(from)? {
            Written::One(text) => vec![text],
            Written::Several(texts) => texts,
        };
        if texts.is_empty() || texts.iter().any(String::is_empty) {
            return Err(D::Error::custom("an empty pattern matches nothing; `*` matches everything"));
        }
        Ok(Self(texts.iter().map(|text| WildMatch::new(text)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Patterns, Period, Policy, WildMatch, covers};

    fn texts() -> impl Strategy<Value = String> {
        "[ab]{0,6}"
    }

    proptest! {
        #[test]
        fn a_covering_pattern_matches_whatever_the_covered_one_does(
            a in "[ab*?]{0,5}", b in "[ab*?]{0,5}", text in texts(),
        ) {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            if covers(&chars(&a), &chars(&b)) && WildMatch::new(&b).matches(&text) {
                prop_assert!(WildMatch::new(&a).matches(&text), "{a} {b} {text}");
            }
        }

        #[test]
        fn every_plain_text_is_covered_by_what_matches_it(a in "[ab*?]{0,5}", text in texts()) {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(covers(&chars(&a), &chars(&text)), WildMatch::new(&a).matches(&text));
        }
    }

    #[test]
    fn patterns_cover() {
        let patterns = |text: &str| serde_json::from_str::<Patterns>(text).unwrap();
        for (ours, theirs, expected) in [
            (r#""*""#, r#""tape-*""#, true),
            (r#""tape-*""#, r#""*""#, false),
            (r#""tape-*""#, r#"["tape-1", "tape-2*"]"#, true),
            (r#""tape-*""#, r#"["tape-1", "disk"]"#, false),
            (r#"["disk", "tape-?"]"#, r#""tape-1""#, true),
            (r#""tape-?""#, r#""tape-*""#, false),
        ] {
            assert_eq!(patterns(ours).cover(&patterns(theirs)), expected, "{ours} {theirs}");
        }
    }

    #[test]
    fn jitter_is_the_same_for_a_pair_and_spread_over_pairs() {
        let policy = Policy { jitter: Period { seconds: 99 }, ..Policy::default() };
        let of = |number: u32| policy.jitter_of(&format!("pair {number}"));
        let all: Vec<i64> = (0..2_000).map(of).collect();
        assert_eq!(all, (0..2_000).map(of).collect::<Vec<_>>());
        assert!(all.iter().all(|jitter| (0..=99).contains(jitter)));
        for ten in 0..10 {
            let share = all.iter().filter(|jitter| **jitter / 10 == ten).count();
            assert!((100..300).contains(&share), "{share} of 2000 in the tens of {ten}");
        }
    }
}
