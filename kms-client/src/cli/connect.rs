//! How the command line reaches a KMS.

use crate::backup::records::ServerEntry;
use crate::backup::{KeyManagement, KmsError, KmsErrorKind};

/// Connects to a KMS server by KMIP over mutual TLS.
///
/// # Errors
/// When there is no connection that both sides trust.
pub fn connect(server: &ServerEntry) -> Result<Box<dyn KeyManagement>, KmsError> {
    Err(KmsError {
        what: format!(
            "this kms-client was built without its KMIP client and cannot reach {}",
            server.address
        ),
        hint: Some("use a complete build".to_owned()),
        retryable: false,
        kind: KmsErrorKind::Unsupported,
    })
}
