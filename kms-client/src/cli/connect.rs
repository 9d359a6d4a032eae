//! How the command line reaches a KMS.

use crate::backup::kmip::Kmip;
use crate::backup::records::ServerEntry;
use crate::backup::{KeyManagement, KmsError};

/// Prepares to talk to a KMS server by KMIP over mutual TLS.
///
/// # Errors
/// When its certificates cannot be read or used.
pub fn connect(server: &ServerEntry) -> Result<Box<dyn KeyManagement>, KmsError> {
    Ok(Box::new(Kmip::new(server)?))
}
