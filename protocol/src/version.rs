//! Protocol versions.

use core::fmt;

use crate::structure;

structure! {
    /// Protocol Version (KMIP 1.4 section 6.1).
    #[derive(Copy, Eq, PartialOrd, Ord, Hash)]
    pub struct Version {
        /// The family: 1 or 2.
        pub major: i32 = PROTOCOL_VERSION_MAJOR,
        /// The member of the family.
        pub minor: i32 = PROTOCOL_VERSION_MINOR,
    }
}

impl Version {
    /// KMIP 1.0.
    pub const V1_0: Self = Self { major: 1, minor: 0 };
    /// KMIP 1.1.
    pub const V1_1: Self = Self { major: 1, minor: 1 };
    /// KMIP 1.2.
    pub const V1_2: Self = Self { major: 1, minor: 2 };
    /// KMIP 1.3.
    pub const V1_3: Self = Self { major: 1, minor: 3 };
    /// KMIP 1.4.
    pub const V1_4: Self = Self { major: 1, minor: 4 };
    /// KMIP 2.0.
    pub const V2_0: Self = Self { major: 2, minor: 0 };
    /// KMIP 2.1.
    pub const V2_1: Self = Self { major: 2, minor: 1 };

    /// Whether attributes travel in Attributes structures (2.x) and not as Attribute name, index and value (1.x).
    #[must_use]
    pub fn is_2x(self) -> bool {
        self >= Self::V2_0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
