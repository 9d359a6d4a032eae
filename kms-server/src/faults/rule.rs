//! When a fault fires: its scope, how often, and with what probability. Pure.

use core::time::Duration;

use kms_protocol::enums::{Enumeration as _, Operation};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wildmatch::WildMatch;

use super::kind::{Fault, Stage, enumerated};

/// A fault and when it fires. What is not said does not matter.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rule {
    /// What goes wrong.
    pub fault: Fault,
    /// Where this operation is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "operation")]
    pub operation: Option<Operation>,
    /// Where this principal asks; `*` and `?` stand for what they usually do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Where this key is meant: its Unique Identifier or one of its Names, wildcards as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// At this place of the batch, the first being 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<usize>,
    /// After so many that fit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skip: u32,
    /// So many times; without end where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// With this probability, of 0 to 1; always where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// What probability and jitter follow from: the same seed, the same requests, the same faults.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seed: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Operations by KMIP's names.
mod operation {
    use super::{Deserialize, Deserializer, Operation, Serializer};
    use serde::de::Error as _;

    #[expect(clippy::ref_option, reason = "serde asks for it")]
    pub fn serialize<S: Serializer>(value: &Option<Operation>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(operation) => to.collect_str(operation),
            None => to.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Operation>, D::Error> {
        let name = Option::<String>::deserialize(from)?;
        name.map(|name| super::operation_called(&name).map_err(D::Error::custom)).transpose()
    }
}

/// The operation that KMIP gives this name.
///
/// # Errors
/// When there is none, with a word on which there are.
pub fn operation_called(name: &str) -> Result<Operation, String> {
    enumerated(name).ok_or_else(|| {
        let all: Vec<String> = Operation::ALL.iter().map(ToString::to_string).collect();
        format!("there is no operation {name:?}; there are {}", all.join(", "))
    })
}

/// Why a rule cannot be armed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// It is scoped by what is not known yet where its fault strikes.
    #[error("{fault} strikes before anybody knows {what}: leave that out")]
    NotKnownYet {
        /// The fault.
        fault: Fault,
        /// What is not known.
        what: &'static str,
    },
    /// A probability is of 0 to 1.
    #[error("a probability is of 0 to 1")]
    Probability,
    /// The first item of a batch is 1.
    #[error("the first item of a batch is 1")]
    Item,
    /// Too many are armed.
    #[error("{0} faults are armed, which is all that are kept: reset some")]
    TooMany(usize),
}

impl Rule {
    /// A rule that always fires.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            operation: None,
            client: None,
            key: None,
            item: None,
            skip: 0,
            count: None,
            probability: None,
            seed: 0,
        }
    }

    /// Only where `operation` is asked for.
    #[must_use]
    pub fn operation(self, operation: Operation) -> Self {
        Self { operation: Some(operation), ..self }
    }

    /// Only where `client` asks.
    #[must_use]
    pub fn client(self, client: impl Into<String>) -> Self {
        Self { client: Some(client.into()), ..self }
    }

    /// Only where the key with this Unique Identifier or Name is meant.
    #[must_use]
    pub fn key(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// Only at this place of the batch, the first being 1.
    #[must_use]
    pub fn item(self, place: usize) -> Self {
        Self { item: Some(place), ..self }
    }

    /// Only so many times.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self { count: Some(count), ..self }
    }

    /// Only after so many that fit.
    #[must_use]
    pub fn after(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    /// Only with this probability, as it follows from `seed`.
    #[must_use]
    pub fn probability(self, probability: f64, seed: u32) -> Self {
        Self { probability: Some(probability), seed, ..self }
    }

    pub(super) fn check(&self) -> Result<(), RuleError> {
        let unknown = |what| Err(RuleError::NotKnownYet { fault: self.fault.clone(), what });
        let stage = self.fault.stage();
        if stage == Stage::Store && self.client.is_some() {
            return unknown("whose commit it is");
        }
        if stage != Stage::Request && (self.operation.is_some() || self.key.is_some() || self.item.is_some())
        {
            return unknown("what is asked");
        }
        if self.probability.is_some_and(|probability| !(0.0..=1.0).contains(&probability)) {
            return Err(RuleError::Probability);
        }
        if self.item == Some(0) { Err(RuleError::Item) } else { Ok(()) }
    }
}

/// A rule in force.
#[derive(Debug)]
pub(super) struct Armed {
    pub id: u64,
    pub rule: Rule,
    /// How often it fired.
    pub fired: u32,
    skipped: u32,
    client: Option<WildMatch>,
    key: Option<WildMatch>,
    chance: u64,
}

/// An item of a request as rules look at it.
#[derive(Clone, Debug)]
pub struct SeenItem {
    /// Its operation.
    pub operation: Operation,
    /// Identifiers and Names that it says, and those of the objects that it means.
    pub keys: Vec<String>,
}

impl Armed {
    pub fn new(id: u64, rule: Rule) -> Self {
        let client = rule.client.as_deref().map(WildMatch::new);
        let key = rule.key.as_deref().map(WildMatch::new);
        let chance = u64::from(rule.seed);
        Self { id, rule, fired: 0, skipped: 0, client, key, chance }
    }

    pub fn left(&self) -> Option<u32> {
        self.rule.count.map(|count| count.saturating_sub(self.fired))
    }

    pub fn is_over(&self) -> bool {
        self.left() == Some(0)
    }

    /// Whether it looks into requests.
    pub fn has_scope(&self) -> bool {
        self.rule.operation.is_some() || self.rule.key.is_some() || self.rule.item.is_some()
    }

    pub fn asks_for_key(&self) -> bool {
        self.key.is_some()
    }

    /// Whether it is about `principal`; of nobody it is only where it names nobody.
    pub fn is_about(&self, principal: Option<&str>) -> bool {
        match (&self.client, principal) {
            (None, _) => true,
            (Some(client), Some(principal)) => client.matches(principal),
            (Some(_), None) => false,
        }
    }

    pub fn covers(&self, place: usize, item: &SeenItem) -> bool {
        self.rule.operation.is_none_or(|operation| operation == item.operation)
            && self.rule.item.is_none_or(|wanted| wanted == place + 1)
            && self.key.as_ref().is_none_or(|key| item.keys.iter().any(|known| key.matches(known)))
    }

    /// Whether it fires, now that it fits.
    pub fn fires(&mut self) -> bool {
        if self.is_over() {
            return false;
        }
        if self.skipped < self.rule.skip {
            self.skipped += 1;
            return false;
        }
        let fires = self.rule.probability.is_none_or(|probability| self.chance() < probability);
        self.fired += u32::from(fires);
        fires
    }

    /// A duration of `by` and up to `jitter` more.
    pub fn spread(&mut self, by: Duration, jitter: Duration) -> Duration {
        by + jitter.mul_f64(self.chance())
    }

    /// The next of a row of numbers from 0 up to 1 that follows from the seed (SplitMix64).
    fn chance(&mut self) -> f64 {
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let high = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(u32::MAX);
        f64::from(high) / (f64::from(u32::MAX) + 1.0)
    }
}
