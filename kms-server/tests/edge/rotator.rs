use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use kms_protocol::{DateTime, Secret};
use kms_server::clock::{Change, Clock};
use kms_server::kms::{Caller, Event, Fired, Round, Work};
use kms_server::limits::CLOCK_STEPS;
use kms_server::rotator::Rotator;
use kms_server::service::Service;
use kms_server::shutdown::{self, Trigger};

/// Keys that rotate: when each is due, and how often.
#[derive(Default)]
struct Keys {
    due: Mutex<BTreeMap<&'static str, (DateTime, i64)>>,
    /// When `run_due` was called.
    asked_at: Mutex<Vec<i64>>,
    is_broken: bool,
    /// How many more events each rotation is accompanied by.
    company: usize,
    /// How many rotate in one round, if not all.
    in_a_round: Option<usize>,
}

impl Keys {
    fn rotating(keys: &[(&'static str, i64, i64)]) -> Self {
        let due = keys.iter().map(|(name, first, every)| (*name, (DateTime(*first), *every))).collect();
        Self { due: Mutex::new(due), ..Self::default() }
    }
}

impl Service for Keys {
    fn work(&self, _request: &[u8]) -> Work {
        Work::Inline
    }

    fn handle(&self, _request: &[u8], _caller: &Caller, _now: DateTime) -> Secret {
        Secret::default()
    }

    fn next_due(&self) -> Option<DateTime> {
        self.due.lock().unwrap().values().map(|(due, _)| *due).min()
    }

    fn run_due(&self, now: DateTime, go_on: &dyn Fn() -> bool) -> Round {
        self.asked_at.lock().unwrap().push(now.0);
        let mut round = Round::default();
        if self.is_broken {
            return round;
        }
        for (name, (due, every)) in self.due.lock().unwrap().iter_mut() {
            if *due <= now {
                let is_enough = self.in_a_round.is_some_and(|most| round.fired.len() >= most);
                if is_enough || !(round.fired.is_empty() || go_on()) {
                    round.is_cut_short = true;
                    break;
                }
                let fire = Fired { at: *due, event: rotated(name) };
                round.fired.extend(std::iter::repeat_n(fire, self.company + 1));
                *due = now.plus(*every);
            }
        }
        round
    }
}

fn rotator(keys: Keys, clock: Clock) -> (Arc<Keys>, Rotator, Trigger) {
    let (trigger, stop) = shutdown::channel();
    let keys = Arc::new(keys);
    let rotator = Rotator::new(Arc::clone(&keys) as Arc<dyn Service>, Arc::new(clock), stop);
    (keys, rotator, trigger)
}

fn advance(by: &str) -> Change {
    Change::Advance(by.into())
}

fn rotated(name: &str) -> Event {
    Event::RotationFailed {
        owner: "a".into(),
        private: name.into(),
        names: Vec::new(),
        reason: "a test".into(),
    }
}

fn told(fired: &[Fired]) -> Vec<(i64, &str)> {
    fired
        .iter()
        .map(|fired| match &fired.event {
            Event::RotationFailed { private, .. } => (fired.at.0, private.as_str()),
            other => panic!("{other}"),
        })
        .collect()
}

#[test]
fn a_moved_clock_steps_through_every_due_time_in_order() {
    let keys = Keys::rotating(&[("daily", 10, 10), ("weekly", 25, 70)]);
    let (keys, rotator, _trigger) = rotator(keys, Clock::frozen_at(DateTime(0)));
    let moved = rotator.move_clock(&advance("35s")).unwrap();
    assert_eq!(moved.now, DateTime(35));
    assert_eq!(told(&moved.fired), [(10, "daily"), (20, "daily"), (25, "weekly"), (30, "daily")]);
    assert_eq!(*keys.asked_at.lock().unwrap(), [10, 20, 25, 30]);
    // What is due at the very time is done, what is due later is not.
    assert_eq!(told(&rotator.move_clock(&advance("5s")).unwrap().fired), [(40, "daily")]);
    assert_eq!(told(&rotator.move_clock(&advance("9s")).unwrap().fired), []);
}

#[test]
fn what_one_round_leaves_is_done_in_the_next() {
    let keys = Keys::rotating(&[("a", 10, 100), ("b", 10, 100), ("c", 10, 100)]);
    let (keys, rotator, trigger) =
        rotator(Keys { in_a_round: Some(1), ..keys }, Clock::frozen_at(DateTime(10)));
    assert_eq!(told(&rotator.catch_up()), [(10, "a"), (10, "b"), (10, "c")]);
    assert_eq!(*keys.asked_at.lock().unwrap(), [10, 10, 10]);
    let moved = rotator.move_clock(&advance("100s")).unwrap();
    assert_eq!(told(&moved.fired), [(110, "a"), (110, "b"), (110, "c")]);
    assert!(!moved.is_cut_short, "rounds are no due times");
    // A server that stops does not begin another.
    drop(rotator.move_clock(&advance("99s")).unwrap());
    trigger.stop();
    let moved = rotator.move_clock(&advance("1s")).unwrap();
    assert_eq!(told(&moved.fired), []);
}

#[test]
fn after_downtime_one_rotation_catches_up() {
    let keys = Keys::rotating(&[("daily", 10, 10)]);
    let (_, rotator, _trigger) = rotator(keys, Clock::frozen_at(DateTime(1_005)));
    assert_eq!(told(&rotator.catch_up()), [(10, "daily")]);
    assert_eq!(told(&rotator.catch_up()), []);
    assert_eq!(told(&rotator.move_clock(&advance("10s")).unwrap().fired), [(1_015, "daily")]);
}

#[test]
fn what_cannot_be_done_holds_up_neither_the_clock_nor_the_server() {
    let keys = Keys { is_broken: true, ..Keys::rotating(&[("daily", 10, 10)]) };
    let (keys, rotator, _trigger) = rotator(keys, Clock::frozen_at(DateTime(0)));
    let moved = rotator.move_clock(&advance("35s")).unwrap();
    assert_eq!((moved.now, moved.fired.len()), (DateTime(35), 0));
    assert_eq!(rotator.catch_up(), []);
    assert_eq!(*keys.asked_at.lock().unwrap(), [10, 35]);
}

#[test]
fn a_move_past_countless_due_times_ends_with_one_step_for_the_rest() {
    let keys = Keys::rotating(&[("often", 1, 1)]);
    let (keys, rotator, _trigger) = rotator(keys, Clock::frozen_at(DateTime(0)));
    let moved = rotator.move_clock(&advance("5200w")).unwrap();
    let end = 5_200 * 7 * 86_400;
    assert_eq!((moved.now, moved.is_cut_short, moved.omitted), (DateTime(end), true, 0));
    assert_eq!(moved.fired.len(), CLOCK_STEPS + 1);
    assert_eq!(keys.asked_at.lock().unwrap().last(), Some(&end));
}

#[test]
fn a_long_list_is_cut_and_counted() {
    let keys = Keys { company: 7_999, ..Keys::rotating(&[("daily", 10, 10)]) };
    let (_, rotator, _trigger) = rotator(keys, Clock::frozen_at(DateTime(0)));
    let moved = rotator.move_clock(&advance("20s")).unwrap();
    assert_eq!((moved.fired.len(), moved.omitted), (10_000, 6_000));
}

#[test]
fn what_is_due_again_at_once_is_left_to_the_next_tick() {
    let keys = Keys::rotating(&[("endless", 10, 0)]);
    let (keys, rotator, _trigger) = rotator(keys, Clock::frozen_at(DateTime(15)));
    assert_eq!(rotator.catch_up().len(), 1);
    assert_eq!(*keys.asked_at.lock().unwrap(), [15]);
    assert_eq!(rotator.move_clock(&advance("1s")).unwrap().fired.len(), CLOCK_STEPS + 1);
}

#[test]
fn a_stop_ends_a_long_move() {
    let keys = Keys::rotating(&[("often", 1, 1)]);
    let (keys, rotator, trigger) = rotator(keys, Clock::frozen_at(DateTime(0)));
    trigger.stop();
    let moved = rotator.move_clock(&advance("52w")).unwrap();
    assert_eq!(moved.now, DateTime(52 * 7 * 86_400));
    assert_eq!(*keys.asked_at.lock().unwrap(), Vec::<i64>::new());
}

#[test]
fn a_refused_move_does_nothing() {
    let keys = Keys::rotating(&[("daily", 10, 10)]);
    let (keys, rotator, _trigger) = rotator(keys, Clock::real());
    assert!(rotator.move_clock(&advance("1d")).is_err());
    assert_eq!(*keys.asked_at.lock().unwrap(), Vec::<i64>::new());
}

#[tokio::test(start_paused = true)]
async fn as_time_passes_what_is_due_is_done_and_a_stop_ends_it() {
    let keys = Keys::rotating(&[("daily", 10, 10)]);
    let (keys, rotator, trigger) = rotator(keys, Clock::frozen_at(DateTime(15)));
    let running = tokio::spawn(Arc::new(rotator).run());
    while keys.asked_at.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(*keys.asked_at.lock().unwrap(), [15]);
    trigger.stop();
    running.await.unwrap();
}
