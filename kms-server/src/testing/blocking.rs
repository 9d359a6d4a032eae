//! The same for tests that are not async.

use core::ops::Deref;

use super::{TestServer as Server, runtime};
use crate::rotator::Moved;
use crate::seed::Applied;

/// A server inside a test that is not async. It must not be used from async code.
pub struct TestServer(Server);

impl Deref for TestServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl TestServer {
    /// Starts a server as it usually is.
    #[must_use]
    pub fn start() -> Self {
        Self::of(Server::builder())
    }

    /// Starts a server that is particular.
    #[must_use]
    pub fn of(builder: super::Builder) -> Self {
        Self(runtime().block_on(builder.start()))
    }

    /// Ends the server as `kill -9` does; what it had acknowledged stays.
    pub fn kill(&self) {
        runtime().block_on(self.0.kill());
    }

    /// Kills the server if it runs, and starts it again on the same ports with the same keys at the same time.
    pub fn restart(&self) {
        runtime().block_on(self.0.restart());
    }

    /// Makes what a seed in TOML describes.
    pub fn seed(&self, toml: &str) -> Applied {
        runtime().block_on(self.0.seed(toml))
    }

    /// Moves its clock ahead by a duration such as `91d`; what falls due on the way is done and returned.
    pub fn advance(&self, by: &str) -> Moved {
        runtime().block_on(self.0.clock().advance(by))
    }

    /// Moves its clock ahead to a time such as `2027-01-01T00:00:00Z`.
    pub fn set_time(&self, to: &str) -> Moved {
        runtime().block_on(self.0.clock().set(to))
    }
}
