//! Two servers with the same keys, one of which fails in every way there is, during a load of decrypts: none fails.
//!
//! So do drills, which do that by plan, and leave nothing behind.
//!
//! A few seconds for each way; `KMS_TEST_SECONDS` says how many (`tests/scripts/fail-over.sh`).

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and these report what they measure"
)]

mod drills;
mod load;
mod namespace;
mod site;
mod takeover;

use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use kms_tests::proxy::{Mode, Proxy};
use load::{Load, Summary, wrapped};
use namespace::{INSIDE, Namespace};
use site::{Server, Site, free_address};

/// What a load that is hedged waits before it asks the other server as well.
const HEDGE: Duration = Duration::from_millis(100);

/// How long each fault is looked at: a quarter before it, a half during it, a quarter after it.
fn length() -> Duration {
    let seconds = std::env::var("KMS_TEST_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(4.0))
}

/// One test at a time: they measure.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Two servers that hold the same keys, one of which stays sound.
struct Two {
    site: Site,
    second: Server,
}

impl Two {
    /// The two, and the one that fails.
    fn start() -> (Self, Server) {
        let mut site = Site::new(&[INSIDE]);
        let (first, second) = (free_address(), free_address());
        site.make_keys(&first);
        let first = site.server("first", &first, "first", "server").start("active");
        let second = site.server("second", &second, "second", "server").start("active");
        (Self { site, second }, first)
    }

    /// A load on a client that prefers `first`, with a fault in its midst.
    fn load(&self, fault: &'static str, first: &str, break_it: impl FnOnce(), heal_it: impl FnOnce()) {
        let builder = self.site.profile(&[first, &self.second.listen]).builder();
        let builder = if fault.contains("hedged") { builder.hedge_after(HEDGE) } else { builder };
        let load = Load::start(builder.build().unwrap(), wrapped(&self.site.keys));
        let quarter = length() / 4;
        thread::sleep(quarter);
        let broken = Instant::now();
        break_it();
        thread::sleep(quarter * 2);
        heal_it();
        thread::sleep(quarter);
        let summary = Summary::new(fault, &load.finish(), broken);
        println!("{summary}");
        assert!(summary.failures.is_empty(), "{fault}: {:?}", summary.failures.first());
        assert!(summary.decrypts > 100, "{fault}: there was a load: {}", summary.decrypts);
    }
}

#[test]
fn no_decrypt_fails_while_one_of_two_servers_does() {
    let _alone = alone();
    let (two, first) = Two::start();
    let listen = first.listen.clone();
    let again = RefCell::new(first);
    let restart = || {
        again.borrow_mut().launch();
        again.borrow_mut().wait_for("active");
    };
    two.load("killed", &listen, || again.borrow_mut().kill(), restart);

    two.load(
        "stopped (SIGSTOP)",
        &listen,
        || again.borrow().signal("STOP"),
        || again.borrow().signal("CONT"),
    );

    let proxy = Proxy::to(&listen);
    two.load("reset", &proxy.address, || proxy.set(Mode::Reset), || proxy.set(Mode::Pass));
    let proxy = Proxy::to(&listen);
    two.load(
        "silent (a proxy that swallows)",
        &proxy.address,
        || proxy.set(Mode::Swallow),
        || proxy.set(Mode::Pass),
    );

    let proxy = Proxy::to(&listen);
    two.load(
        "silent, hedged after 100 ms",
        &proxy.address,
        || proxy.set(Mode::Swallow),
        || proxy.set(Mode::Pass),
    );

    let late = RefCell::new(two.site.server("late", &listen, "first", "late"));
    let expire = || {
        again.borrow_mut().kill();
        late.borrow_mut().launch();
        late.borrow_mut().wait_for("active");
    };
    let renew = || {
        late.borrow_mut().kill();
        again.borrow_mut().launch();
        again.borrow_mut().wait_for("active");
    };
    two.load("expired certificate", &listen, expire, renew);

    again.borrow_mut().kill();
    let Some(namespace) = Namespace::new() else {
        println!(
            "black hole: no network namespaces here (they need root and ip): the swallowing proxy has to do"
        );
        return;
    };
    let mut inside = two.site.server("inside", &format!("{INSIDE}:5696"), "first", "server");
    inside.within = Some(namespace.name.clone());
    let inside = inside.start("active");
    two.load("black hole", &inside.listen, || namespace.break_off(), || namespace.heal());
}
