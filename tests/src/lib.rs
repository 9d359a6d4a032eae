//! What the end-to-end tests share: the real binaries as processes, and folders compared byte for byte.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

pub mod chance;
pub mod folder;
pub mod keys;
pub mod memory;
pub mod process;
pub mod proxy;
pub mod pykmip;
pub mod repository;
pub mod tls;
pub mod wire;

/// Says that a test was skipped, so that nobody misses it; fails instead where everything is required.
///
/// Continuous integration sets `KMS_TESTS_REQUIRE_ALL`: there a skipped test is a failed one.
pub fn skip(test: &str, reason: &str) {
    assert!(
        std::env::var_os("KMS_TESTS_REQUIRE_ALL").is_none(),
        "{test} is required, and cannot run: {reason}"
    );
    #[allow(clippy::print_stderr, reason = "the tester has to see it")]
    {
        eprintln!("SKIPPED {test}: {reason}");
    }
}
