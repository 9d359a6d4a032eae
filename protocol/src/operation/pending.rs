//! Operations that are pending (KMIP 2.1 sections 7.1, 7.2 and 7.25).

use crate::enums::{Operation, ProcessingStage};
use crate::structure;
use crate::ttlv::{Bytes, DateTimeExtended};

structure! {
    /// Asynchronous Correlation Values (section 7.1).
    #[derive(Eq, Default)]
    pub struct AsynchronousCorrelationValues {
        /// The values.
        pub values: Vec<Bytes> = ASYNCHRONOUS_CORRELATION_VALUE,
    }
}

structure! {
    /// Operations (section 7.25).
    #[derive(Eq, Default)]
    pub struct Operations {
        /// The operations.
        pub operations: Vec<Operation> = OPERATION,
    }
}

structure! {
    /// Asynchronous Request (section 7.2).
    #[derive(Eq)]
    pub struct AsynchronousRequest {
        /// By what it is known.
        pub asynchronous_correlation_value: Bytes = ASYNCHRONOUS_CORRELATION_VALUE,
        /// What was asked.
        pub operation: Operation = OPERATION,
        /// When.
        pub submission_date: DateTimeExtended = SUBMISSION_DATE,
        /// How far it has come.
        pub processing_stage: ProcessingStage = PROCESSING_STAGE,
    }
}
