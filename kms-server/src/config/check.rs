//! What a policy may say, judged on all of them together.

use std::sync::Arc;

use super::source::Source;
use crate::failure::{Failure, Kind};
use crate::kms::policy::{AfterRotation, Patterns, Policy};
use crate::limits;

/// A policy and where it is written.
#[derive(Clone, PartialEq, Debug)]
pub struct Placed {
    /// The policy.
    pub policy: Policy,
    source: Arc<Source>,
    path: String,
}

impl Placed {
    /// The policy that stands at number `index` of a file.
    #[must_use]
    pub fn new(policy: Policy, source: &Arc<Source>, index: usize) -> Self {
        Self { policy, source: Arc::clone(source), path: format!("policy[{index}]") }
    }

    /// Where a setting of it stands, as in `kms.toml, line 7`; nothing when it has its default.
    #[must_use]
    pub fn stated(&self, key: &str) -> Option<String> {
        self.source.stated(&format!("{}.{key}", self.path))
    }

    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> String {
        self.source.place(&self.path)
    }

    fn wrong(&self, key: &str, what: &str, hint: &str) -> Failure {
        let place = self.source.place(&format!("{}.{key}", self.path));
        Failure::new(Kind::Config, format!("{place}: policy {:?} {what}", self.policy.name)).hint(hint)
    }
}

/// Whether policies make sense, each for itself and in their order.
///
/// # Errors
/// [`Failure`] names each mistake and its line.
pub fn check(policies: &[Placed]) -> Result<(), Failure> {
    Failure::together(mistakes(policies))
}

/// What is wrong with policies, each for itself and in their order.
pub fn mistakes(policies: &[Placed]) -> Vec<Failure> {
    if let Some(beyond) = policies.get(limits::POLICIES) {
        let what = format!("is one too many: there may be {}", limits::POLICIES);
        return vec![beyond.wrong(
            "",
            &what,
            "let one policy govern several names: names = [\"a-*\", \"b-*\"]",
        )];
    }
    let (mut patterns, mut is_comparable) = (0, true);
    let mut wrong = Vec::new();
    for (index, placed) in policies.iter().enumerate() {
        let Policy { names, groups, owners, .. } = &placed.policy;
        patterns += [names, groups, owners].iter().map(|list| list.selecting()).sum::<usize>();
        if patterns > limits::PATTERNS {
            let what =
                format!("has one pattern too many: all policies together may have {}", limits::PATTERNS);
            wrong.push(placed.wrong("names", &what, "let one pattern stand for several names: \"tape-*\""));
            return wrong;
        }
        let earlier = policies.get(..index).unwrap_or_default();
        let long = check_patterns(placed);
        is_comparable &= long.is_ok();
        let checks = [
            long,
            check_name(placed, earlier),
            check_pairs(placed),
            check_rotation(placed),
            check_old(placed),
        ];
        wrong.extend(checks.into_iter().filter_map(Result::err));
        if !is_comparable {
            continue;
        }
        if let Some(first) = earlier.iter().find(|first| covers(&first.policy, &placed.policy)) {
            let (name, place) = (&first.policy.name, first.place());
            let what = format!("is never reached: {name:?} ({place}) governs every key that it would");
            wrong.push(placed.wrong(
                "",
                &what,
                "the first policy that matches counts: put this one before it",
            ));
        }
    }
    wrong
}

fn check_patterns(placed: &Placed) -> Result<(), Failure> {
    let Policy { names, groups, owners, .. } = &placed.policy;
    for (key, list) in [("names", names), ("groups", groups), ("owners", owners)] {
        if let Some((what, hint)) = too_long(list) {
            return Err(placed.wrong(key, &format!("has {what}"), hint));
        }
    }
    Ok(())
}

/// What is wrong with a list of patterns, and what to do.
pub fn too_long(list: &Patterns) -> Option<(String, &'static str)> {
    let begin: String = list.longer_than(limits::PATTERN)?.chars().take(32).collect();
    let what = format!("the pattern \"{begin}…\", which has more than {} characters", limits::PATTERN);
    Some((what, "shorten it: `*` stands for any text"))
}

fn check_name(placed: &Placed, earlier: &[Placed]) -> Result<(), Failure> {
    let name = &placed.policy.name;
    if name.is_empty() {
        return Err(placed.wrong("name", "has no name", "name it, so that logs can tell which policy acted"));
    }
    if name.len() > limits::POLICY_NAME || name.chars().any(char::is_control) {
        let what =
            format!("has a name of more than {} bytes or with control characters", limits::POLICY_NAME);
        return Err(placed.wrong("name", &what, "give it a short name"));
    }
    if earlier.iter().any(|earlier| earlier.policy.name == *name) {
        return Err(placed.wrong("name", "is there twice", "give each policy a name of its own"));
    }
    Ok(())
}

fn check_rotation(placed: &Placed) -> Result<(), Failure> {
    let policy = &placed.policy;
    if let (Some(least), Some(most)) = (policy.least_interval, policy.most_interval)
        && least > most
    {
        let what = "allows no Rotate Interval at all: least-interval is longer than most-interval";
        return Err(placed.wrong("least-interval", what, "exchange them, or leave one out"));
    }
    let Some(every) = policy.rotate_every else {
        if policy.jitter.seconds > 0 {
            let what = "has jitter and never rotates";
            return Err(placed.wrong("jitter", what, "set rotate-every too, or leave jitter out"));
        }
        return Ok(());
    };
    if every.seconds < 1 {
        let hint = "set rotate-every to 1s or more, or leave it out";
        return Err(placed.wrong("rotate-every", "rotates every 0 s", hint));
    }
    if policy.offset >= every {
        let what = "rotates again before the new pair is active";
        return Err(placed.wrong("offset", what, "make `offset` shorter than `rotate-every`"));
    }
    if policy.jitter.seconds >= every.seconds - policy.offset.seconds {
        let what = "may rotate again before the new pair is active: its jitter is as long as the rest of its interval";
        let hint = "make `jitter` shorter than `rotate-every` less `offset`; a tenth of it spreads well";
        return Err(placed.wrong("jitter", what, hint));
    }
    Ok(())
}

fn check_old(placed: &Placed) -> Result<(), Failure> {
    let policy = &placed.policy;
    if policy.after_rotation == AfterRotation::KeepActive && policy.deactivate_after.seconds > 0 {
        let what = "keeps old pairs active and says when to deactivate them";
        return Err(placed.wrong("deactivate-after", what, "set after-rotation = \"deactivate\" too"));
    }
    if policy.destroy_after.is_some_and(|after| after.seconds < 1) {
        let what = "destroys old keys at the moment they go out of use";
        return Err(placed.wrong("destroy-after", what, "leave time to decrypt what they protect: 30d"));
    }
    Ok(())
}

/// Whether a policy for some algorithms allows pairs of them.
fn check_pairs(placed: &Placed) -> Result<(), Failure> {
    let Policy { algorithms, allowed_pairs, .. } = &placed.policy;
    if let Some(pairs) =
        allowed_pairs.iter().find(|pairs| !algorithms.is_empty() && !algorithms.contains(&pairs.algorithm()))
    {
        let what = format!("allows {} pairs, which its algorithms leave to another policy", pairs.name());
        return Err(placed.wrong(
            "allowed-pairs",
            &what,
            "take it out, or add its algorithm to `algorithms`",
        ));
    }
    Ok(())
}

/// Whether `first` governs every key that `second` does.
fn covers(first: &Policy, second: &Policy) -> bool {
    first.names.cover(&second.names)
        && first.groups.cover(&second.groups)
        && first.owners.cover(&second.owners)
        && (first.algorithms.is_empty()
            || (!second.algorithms.is_empty()
                && second.algorithms.iter().all(|algorithm| first.algorithms.contains(algorithm))))
}
