//! Points in time as KMIP states them.

/// A Date Time: seconds since 1970-01-01T00:00:00Z (KMIP 1.4 section 9.1.1.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct DateTime(pub i64);

impl DateTime {
    /// This point moved by `seconds`, staying within what a Date Time can state.
    #[must_use]
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}
