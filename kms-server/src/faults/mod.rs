//! Faults on purpose: which are armed, and what becomes of an exchange that meets them.
//!
//! [`kind`](Fault) says what can go wrong, `rule` when it does, `malform` breaks answers. Nothing here does I/O: the
//! connection asks, and does what it is told.

mod kind;
mod malform;
mod rule;

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kms_protocol::enums::ResultReason;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::limits;
use crate::store::Step;

use kind::Stage;
pub use kind::{FORMS, Fault, Moment, NoFault, enumerated};
pub use malform::Malformation;
use rule::Armed;
pub use rule::{Rule, RuleError, SeenItem, operation_called};

/// The faults of one server. None are armed unless somebody arms them.
#[derive(Debug, Default)]
pub struct Faults {
    state: Mutex<State>,
    changes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    armed: Vec<Armed>,
}

/// An armed fault, as it is listed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Listed {
    /// What it is called.
    pub id: u64,
    /// How often it fired.
    pub fired: u32,
    /// How often it still will; none where that has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<u32>,
    /// What fires when.
    pub rule: Rule,
}

/// A fault that fired.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fired {
    /// What it is called.
    pub id: u64,
    /// What went wrong.
    pub fault: Fault,
}

/// What becomes of a connection at the moment that a fault names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It stays open and nothing comes.
    Hangs,
    /// It ends without goodbye.
    Closes,
    /// It is cut with a TCP reset.
    Resets,
}

/// How an answer is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sending {
    /// As one.
    #[default]
    Whole,
    /// So many bytes, then the connection ends.
    Cut(usize),
    /// In pieces of so many bytes, with a pause between two.
    Slices(usize, Duration),
}

/// What becomes of one request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// Before it is worked.
    pub delay: Duration,
    /// Items that are refused, by their places from 0.
    pub errors: BTreeMap<usize, (ResultReason, String)>,
    /// Where the exchange ends early, and how.
    pub ending: Option<(Moment, Ending)>,
    /// What is wrong with the answer.
    pub malformed: Option<Malformation>,
    /// The Batch Count that it states.
    pub batch_count: Option<i32>,
    /// How it is sent.
    pub sending: Sending,
    /// What fired.
    pub fired: Vec<Fired>,
}

impl Faults {
    /// Arms a rule and says what it is called from now on.
    ///
    /// # Errors
    /// [`RuleError`] when it cannot ever fire as it says, or too many are armed.
    pub fn add(&self, rule: Rule) -> Result<u64, RuleError> {
        rule.check()?;
        let mut state = self.lock();
        if state.armed.len() >= limits::FAULTS {
            return Err(RuleError::TooMany(limits::FAULTS));
        }
        state.last += 1;
        let id = state.last;
        state.armed.push(Armed::new(id, rule));
        drop(state);
        self.changes.send_replace(());
        Ok(id)
    }

    /// All that are armed, those that fire no more included.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        let listed = |armed: &Armed| Listed {
            id: armed.id,
            fired: armed.fired,
            left: armed.left(),
            rule: armed.rule.clone(),
        };
        self.lock().armed.iter().map(listed).collect()
    }

    /// Disarms one, and lets go of what hangs by it; whether there was one.
    pub fn remove(&self, id: u64) -> bool {
        self.keep(|armed| armed.id != id) > 0
    }

    /// Disarms all, and lets go of what hangs.
    pub fn reset(&self) -> usize {
        self.keep(|_| false)
    }

    /// Disarms those of one client, as it was written when they were armed.
    pub fn reset_client(&self, client: &str) -> usize {
        self.keep(|armed| armed.rule.client.as_deref() != Some(client))
    }

    fn keep(&self, keeps: impl Fn(&Armed) -> bool) -> usize {
        let mut state = self.lock();
        let before = state.armed.len();
        state.armed.retain(keeps);
        let gone = before - state.armed.len();
        drop(state);
        self.changes.send_replace(());
        gone
    }

    /// Learns of every change of what is armed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Whether one with this name is still armed: what hangs asks that.
    #[must_use]
    pub fn is_armed(&self, id: u64) -> bool {
        self.lock().armed.iter().any(|armed| armed.id == id)
    }

    /// Whether a new connection, of whom nothing is known or of `principal`, is cut.
    pub fn refuses(&self, principal: Option<&str>) -> Option<Fired> {
        // Those that name a client wait until it is known.
        self.fire(Stage::Connect, |armed| {
            armed.rule.client.is_some() == principal.is_some() && armed.is_about(principal)
        })
    }

    /// Whether a handshake may fail: then no session is resumed, so that every client shows its certificate.
    #[must_use]
    pub fn troubles_handshakes(&self) -> bool {
        self.lock().armed.iter().any(|armed| armed.rule.fault.stage() == Stage::Handshake && !armed.is_over())
    }

    /// Whether the handshake of `principal` fails.
    pub fn fails_handshake(&self, principal: &str) -> Option<Fired> {
        self.fire(Stage::Handshake, |armed| armed.is_about(Some(principal)))
    }

    /// After how long an idle connection of `principal` ends, if it does; nothing fires yet.
    #[must_use]
    pub fn rest(&self, principal: &str) -> Option<Duration> {
        self.lock().armed.iter().find_map(|armed| match armed.rule.fault {
            Fault::Idle(after) if !armed.is_over() && armed.is_about(Some(principal)) => Some(after),
            _ => None,
        })
    }

    /// Whether the connection of `principal` ends, which was idle for as long as [`Faults::rest`] said.
    pub fn ends_rest(&self, principal: &str) -> Option<Fired> {
        self.fire(Stage::Rest, |armed| armed.is_about(Some(principal)))
    }

    /// What becomes of a request of `principal` of which only the first bytes are there.
    pub fn at_first_byte(&self, principal: &str) -> Option<(Ending, Fired)> {
        let fired = self.fire(Stage::FirstByte, |armed| armed.is_about(Some(principal)))?;
        let (_, ending) = ending(&fired.fault)?;
        Some((ending, fired))
    }

    /// What becomes of a commit that has come to `step`.
    pub fn at_store(&self, step: Step) -> Option<Fired> {
        self.fire(Stage::Store, |armed| armed.rule.fault == Fault::Store(step))
    }

    /// Whether any rule asks which keys a request means.
    #[must_use]
    pub fn ask_for_keys(&self) -> bool {
        self.lock().armed.iter().any(|armed| armed.asks_for_key() && !armed.is_over())
    }

    /// What becomes of a request of `principal` with these items. Of two faults that cannot both happen the one that was
    /// armed first does, and the other waits.
    pub fn plan(&self, principal: &str, items: &[SeenItem]) -> Plan {
        let mut plan = Plan::default();
        let mut state = self.lock();
        let concerned = |armed: &&mut Armed| {
            armed.rule.fault.stage() == Stage::Request && armed.is_about(Some(principal)) && !armed.is_over()
        };
        for armed in state.armed.iter_mut().filter(concerned) {
            let covered: Vec<usize> = (0..)
                .zip(items)
                .filter(|(place, item)| armed.covers(*place, item))
                .map(|(place, _)| place)
                .collect();
            if !covered.is_empty() || !armed.has_scope() {
                plan.meet(armed, &covered);
            }
        }
        plan
    }

    fn fire(&self, stage: Stage, fits: impl Fn(&Armed) -> bool) -> Option<Fired> {
        let mut state = self.lock();
        let mut candidates = state.armed.iter_mut().filter(|armed| armed.rule.fault.stage() == stage);
        candidates.find_map(|armed| (fits(armed) && armed.fires()).then(|| armed.told()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Armed {
    fn told(&self) -> Fired {
        Fired { id: self.id, fault: self.rule.fault.clone() }
    }
}

impl Plan {
    fn meet(&mut self, armed: &mut Armed, covered: &[usize]) {
        let fault = armed.rule.fault.clone();
        if let Fault::Error { reason, message } = &fault {
            for place in covered {
                if !self.errors.contains_key(place) && armed.fires() {
                    let said =
                        message.clone().unwrap_or_else(|| "a fault that was armed on purpose".to_owned());
                    self.errors.insert(*place, (*reason, said));
                    self.fired.push(armed.told());
                }
            }
            return;
        }
        if self.is_taken(&fault) || !armed.fires() {
            return;
        }
        match fault {
            Fault::Delay { by, jitter } => self.delay += armed.spread(by, jitter),
            Fault::Cut(bytes) => self.sending = Sending::Cut(bytes),
            Fault::Slices { bytes, pause } => self.sending = Sending::Slices(bytes, pause),
            Fault::Malformed(how) => self.malformed = Some(how),
            Fault::BatchCount(count) => self.batch_count = Some(count),
            other => self.ending = ending(&other),
        }
        self.fired.push(armed.told());
    }

    /// Whether another fault holds the place of this one.
    fn is_taken(&self, fault: &Fault) -> bool {
        match fault {
            Fault::Delay { .. } | Fault::Error { .. } => false,
            Fault::Malformed(_) => self.malformed.is_some() || self.ending.is_some(),
            Fault::BatchCount(_) => self.batch_count.is_some() || self.ending.is_some(),
            Fault::Cut(_) | Fault::Slices { .. } => self.sending != Sending::Whole || self.ending.is_some(),
            _ => self.ending.is_some(),
        }
    }
}

fn ending(fault: &Fault) -> Option<(Moment, Ending)> {
    match fault {
        Fault::Hang(moment) => Some((*moment, Ending::Hangs)),
        Fault::Close(moment) => Some((*moment, Ending::Closes)),
        Fault::Reset(moment) => Some((*moment, Ending::Resets)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use kms_protocol::enums::Operation;

    use super::{Ending, Faults, Moment, Plan, Rule, RuleError, SeenItem};

    fn rule(fault: &str) -> Rule {
        Rule::new(fault.parse().expect("a fault"))
    }

    fn item(operation: Operation, key: &str) -> SeenItem {
        SeenItem { operation, keys: vec![key.to_owned()] }
    }

    fn plan(faults: &Faults, principal: &str) -> Plan {
        faults.plan(principal, &[item(Operation::Decrypt, "a"), item(Operation::Get, "b")])
    }

    #[test]
    fn scopes_narrow_each_other() {
        for (rule, fires) in [
            (rule("hang"), true),
            (rule("hang").client("veeam"), true),
            (rule("hang").client("vee*"), true),
            (rule("hang").client("other"), false),
            (rule("hang").operation(Operation::Get), true),
            (rule("hang").operation(Operation::Get).key("b"), true),
            (rule("hang").operation(Operation::Get).key("a"), false),
            (rule("hang").operation(Operation::Decrypt).item(1), true),
            (rule("hang").operation(Operation::Decrypt).item(2), false),
            (rule("hang").operation(Operation::Destroy), false),
        ] {
            let faults = Faults::default();
            faults.add(rule.clone()).expect("armed");
            assert_eq!(plan(&faults, "veeam").ending.is_some(), fires, "{rule:?}");
        }
    }

    #[test]
    fn a_rule_fires_as_often_as_it_says_after_what_it_skips() {
        let faults = Faults::default();
        faults.add(rule("reset:after-commit").after(1).times(2)).expect("armed");
        let fired: Vec<bool> = (0..5).map(|_| plan(&faults, "a").ending.is_some()).collect();
        assert_eq!(fired, [false, true, true, false, false]);
        assert_eq!((faults.list()[0].fired, faults.list()[0].left), (2, Some(0)));
    }

    #[test]
    fn errors_count_items_and_leave_others_alone() {
        let faults = Faults::default();
        faults.add(rule("error:Item Not Found").operation(Operation::Get).times(1)).expect("armed");
        assert_eq!(plan(&faults, "a").errors.into_keys().collect::<Vec<_>>(), [1]);
        assert_eq!(plan(&faults, "a"), Plan::default());
    }

    #[test]
    fn the_same_seed_gives_the_same_row_and_about_the_share_asked_for() {
        let row = |seed| -> Vec<bool> {
            let faults = Faults::default();
            faults.add(rule("close").probability(0.3, seed)).expect("armed");
            (0..1_000).map(|_| plan(&faults, "a").ending.is_some()).collect()
        };
        assert_eq!(row(7), row(7));
        assert_ne!(row(7), row(8));
        let share = row(7).into_iter().filter(|fired| *fired).count();
        assert!((250..350).contains(&share), "{share}");
    }

    #[test]
    fn of_two_that_exclude_each_other_the_first_happens_and_the_other_waits() {
        let faults = Faults::default();
        faults.add(rule("close:after-commit").times(1)).expect("armed");
        faults.add(rule("reset").times(1)).expect("armed");
        assert_eq!(plan(&faults, "a").ending, Some((Moment::AfterCommit, Ending::Closes)));
        assert_eq!(plan(&faults, "a").ending, Some((Moment::AfterReading, Ending::Resets)));
    }

    #[test]
    fn a_reset_is_for_one_client_or_for_all() {
        let faults = Faults::default();
        for client in ["a", "b"] {
            faults.add(rule("tls").client(client)).expect("armed");
        }
        assert_eq!(faults.reset_client("a"), 1);
        assert!(faults.fails_handshake("a").is_none() && faults.fails_handshake("b").is_some());
        assert_eq!(faults.reset(), 1);
        assert!(!faults.troubles_handshakes());
    }

    #[test]
    fn what_could_never_fire_is_refused() {
        let faults = Faults::default();
        let unknown = |rule| matches!(faults.add(rule), Err(RuleError::NotKnownYet { .. }));
        assert!(unknown(rule("tls").operation(Operation::Get)));
        assert!(unknown(rule("close:before-reading").key("a")));
        assert!(unknown(rule("store:apply").client("a")));
        assert_eq!(faults.add(rule("hang").probability(1.5, 0)), Err(RuleError::Probability));
        assert_eq!(faults.add(rule("hang").item(0)), Err(RuleError::Item));
        for _ in 0..crate::limits::FAULTS {
            faults.add(rule("hang")).expect("armed");
        }
        assert!(matches!(faults.add(rule("hang")), Err(RuleError::TooMany(_))));
    }
}
