//! What a ticket allows (KMIP 2.1 sections 7.21, 7.34 and 7.35).

use super::constraint::ObjectGroups;
use super::pending::Operations;
use crate::attribute::UsageLimits;
use crate::identifier::UniqueIdentifier;
use crate::structure;

structure! {
    /// Rights (section 7.35).
    #[derive(Default)]
    pub struct Rights {
        /// Each of them.
        pub rights: Vec<Right> = RIGHT,
    }
}

structure! {
    /// Right: what is absent is not restricted (section 7.34).
    #[derive(Default)]
    pub struct Right {
        /// How much.
        pub usage_limits: Option<UsageLimits> = USAGE_LIMITS,
        /// Which operations.
        pub operations: Option<Operations> = OPERATIONS,
        /// On which objects.
        pub objects: Option<Objects> = OBJECTS,
        /// On the objects of which groups.
        pub object_groups: Option<ObjectGroups> = OBJECT_GROUPS, since V2_1,
    }
}

structure! {
    /// Objects (section 7.21).
    #[derive(Eq, Default)]
    pub struct Objects {
        /// The objects.
        pub unique_identifiers: Vec<UniqueIdentifier> = UNIQUE_IDENTIFIER,
    }
}
