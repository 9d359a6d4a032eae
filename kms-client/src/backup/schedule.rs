//! When the system job runs next.

use sha2::{Digest, Sha256};

/// How often the system job runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// Seconds between two runs.
    pub period: u64,
    /// By how many seconds at most a run comes later, so that many installations do not ask at the same moment.
    pub jitter: u64,
}

impl Schedule {
    /// When the run after the one at `last` is due, in seconds since 1970. A run that was missed is due at once, and once
    /// only, however many were missed. A last run in the future was noted while the clock was wrong: it says nothing, and the
    /// next one is due at once.
    ///
    /// `installation` decides how much later: another time for each, and for each run.
    #[must_use]
    pub fn due(&self, installation: &str, last: Option<i64>, now: i64) -> i64 {
        let Some(last) = last.filter(|last| *last <= now) else { return now };
        let later = match self.jitter {
            0 => 0,
            jitter => spread(installation, last) % jitter.saturating_add(1),
        };
        let wait = i64::try_from(self.period.saturating_add(later)).unwrap_or(i64::MAX);
        last.saturating_add(wait)
    }
}

fn spread(installation: &str, last: i64) -> u64 {
    let hash = Sha256::digest(format!("{installation}/{last}").as_bytes());
    hash.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    const DAY: i64 = 86_400;

    #[test]
    fn runs_come_a_period_and_some_jitter_apart_and_missed_ones_at_once() {
        let schedule = Schedule { period: 86_400, jitter: 3600 };
        assert_eq!(schedule.due("a", None, 5), 5, "the first at once");
        let dues: Vec<i64> =
            (0..100).map(|run| schedule.due("a", Some(run * DAY), run * DAY) - run * DAY).collect();
        assert!(dues.iter().all(|due| (DAY..=DAY + 3600).contains(due)), "{dues:?}");
        assert!(dues.iter().max() > dues.iter().min(), "the jitter differs by run");
        assert_ne!(schedule.due("a", Some(0), 0), schedule.due("b", Some(0), 0), "and by installation");
        assert!(schedule.due("a", Some(0), 10 * DAY) <= 10 * DAY, "ten days later it is due");
        assert_eq!(schedule.due("a", Some(10 * DAY), 5), 5, "a clock that was set back");
        assert_eq!(Schedule { period: 1, jitter: 0 }.due("a", Some(7), 7), 8);
        assert_eq!(Schedule { period: u64::MAX, jitter: u64::MAX }.due("a", Some(7), 7), i64::MAX);
    }
}
