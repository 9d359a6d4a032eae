//! Which version brought an operation. None was ever dropped.

use crate::Version;
use crate::enums::{Enumeration as _, Operation};

/// The version that brought an operation; the newest one for an operation that this crate does not know.
#[must_use]
pub fn brought_by(operation: Operation) -> Version {
    match operation.value() {
        0x01..=0x1C => Version::V1_0,
        0x1D..=0x1E => Version::V1_1,
        0x1F..=0x29 => Version::V1_2,
        0x2A..=0x2B => Version::V1_4,
        0x2C..=0x35 => Version::V2_0,
        _ => Version::V2_1,
    }
}
