//! The same recipient for other programs: `age` and `rage` encrypt to a key in a KMS, and decrypt with it, through the plugin
//! `age-plugin-kmip` (<https://c2sp.org/age-plugin>).
//!
//! A recipient (`age1kmip1…`) is a line of JSON that names the key, and the public key itself, so that encryption asks no
//! KMS. An identity (`AGE-PLUGIN-KMIP-1…`) says how to reach a KMS: its address and where the certificates are. It is no secret.

use std::collections::{HashMap, HashSet};
use std::io;

use age::{Identity as _, Recipient as _};
use age_core::format::{FileKey, Stanza};
use age_core::primitives::bech32_encode;
use age_plugin::identity::{self, IdentityPluginV1};
use age_plugin::recipient::{self, RecipientPluginV1};
use age_plugin::{Callbacks, PluginHandler, run_state_machine};
use serde::{Deserialize, Serialize};

use super::envelope::{FileKeyIdentity, KeyReference, KeyStanza, KmsRecipient};
use super::kms::{Scheme, WrappedKey};
use super::records::{JobKey, ServerEntry};
use super::unlock::Connect;

const NAME: &str = "kmip";

/// The name of the key, as a recipient has it.
#[derive(Serialize, Deserialize)]
struct Named {
    server: String,
    address: String,
    key: String,
    generation: u32,
    #[serde(rename = "oaep")]
    scheme: Scheme,
}

/// The recipient for a key, as `rage -r` takes it.
///
/// # Errors
/// Never, unless memory lacks.
pub fn recipient(server: &ServerEntry, key: &JobKey) -> io::Result<String> {
    let named = Named {
        server: server.name.clone(),
        address: server.address.clone(),
        key: key.private_id.clone(),
        generation: key.generation,
        scheme: key.scheme,
    };
    let mut bytes = serde_json::to_vec(&named)?;
    bytes.push(b'\n');
    bytes.extend_from_slice(&key.public_key);
    let prefix = bech32::Hrp::parse(&format!("age1{NAME}")).map_err(io::Error::other)?;
    Ok(bech32_encode(prefix, &bytes))
}

/// The identity for a server's keys, as `rage -i` reads it out of a file.
///
/// # Errors
/// When a path is no text.
pub fn identity(server: &ServerEntry) -> io::Result<String> {
    let prefix = bech32::Hrp::parse(&format!("age-plugin-{NAME}-")).map_err(io::Error::other)?;
    Ok(bech32_encode(prefix, &serde_json::to_vec(server)?).to_uppercase())
}

/// Serves an age implementation on the standard streams, as its state machine `machine` says; `connect` reaches a KMS.
///
/// # Errors
/// When the streams fail, or the state machine is unknown.
pub fn run(machine: &str, connect: &'static Connect) -> io::Result<()> {
    run_state_machine(machine, Handler { connect })
}

struct Handler {
    connect: &'static Connect,
}

impl PluginHandler for Handler {
    type RecipientV1 = Recipients;
    type IdentityV1 = Identities;

    fn recipient_v1(self) -> io::Result<Recipients> {
        Ok(Recipients { recipients: Vec::new() })
    }

    fn identity_v1(self) -> io::Result<Identities> {
        Ok(Identities { servers: Vec::new(), connect: self.connect })
    }
}

struct Recipients {
    recipients: Vec<KmsRecipient>,
}

impl RecipientPluginV1 for Recipients {
    fn add_recipient(&mut self, index: usize, name: &str, bytes: &[u8]) -> Result<(), recipient::Error> {
        let failed = |message: String| recipient::Error::Recipient { index, message };
        if name != NAME {
            return Err(failed(format!("a recipient of the plugin {name:?}")));
        }
        let line = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let (named, rest) = bytes.split_at(line);
        let named: Named = serde_json::from_slice(named).map_err(|error| failed(error.to_string()))?;
        let reference = KeyReference {
            server: named.server,
            address: named.address,
            private_id: named.key,
            generation: named.generation,
        };
        let public_key = rest.get(1..).unwrap_or_default();
        let recipient = KmsRecipient::new(reference, named.scheme, public_key)
            .map_err(|error| failed(error.to_string()))?;
        self.recipients.push(recipient);
        Ok(())
    }

    fn add_identity(&mut self, index: usize, _: &str, _: &[u8]) -> Result<(), recipient::Error> {
        let message = "an identity reaches a KMS but names no key: encrypt to a recipient, as `kms-client plugin recipient` prints it";
        Err(recipient::Error::Identity { index, message: message.to_owned() })
    }

    fn labels(&mut self) -> HashSet<String> {
        HashSet::new()
    }

    fn wrap_file_keys(
        &mut self,
        file_keys: Vec<FileKey>,
        _: impl Callbacks<recipient::Error>,
    ) -> io::Result<Result<Vec<Vec<Stanza>>, Vec<recipient::Error>>> {
        let wrap_one = |file_key: &FileKey| {
            let wrapped = self.recipients.iter().enumerate().map(|(index, recipient)| {
                let failed = |_| recipient::Error::Recipient {
                    index,
                    message: "its public key does not encrypt".to_owned(),
                };
                recipient.wrap_file_key(file_key).map(|(stanzas, _)| stanzas).map_err(failed)
            });
            wrapped.collect::<Result<Vec<_>, _>>().map(|all| all.into_iter().flatten().collect())
        };
        Ok(file_keys.iter().map(wrap_one).collect::<Result<_, _>>().map_err(|error| vec![error]))
    }
}

struct Identities {
    servers: Vec<(usize, ServerEntry)>,
    connect: &'static Connect,
}

/// Our first stanza of each file that has one, as a request, and where it stands.
fn ours(
    files: &[Vec<Stanza>],
    errors: &mut HashMap<usize, Vec<identity::Error>>,
) -> Vec<(usize, WrappedKey)> {
    let mut found = Vec::new();
    for (file_index, stanzas) in files.iter().enumerate() {
        let parsed = stanzas.iter().map(KeyStanza::parse).enumerate();
        for (stanza_index, parsed) in parsed.filter_map(|(at, parsed)| Some((at, parsed?))) {
            match parsed {
                Ok(stanza) => found.push((file_index, stanza.wrapped())),
                Err(error) => {
                    let message = error.to_string();
                    let error = identity::Error::Stanza { file_index, stanza_index, message };
                    errors.entry(file_index).or_default().push(error);
                }
            }
        }
    }
    found
}

impl IdentityPluginV1 for Identities {
    fn add_identity(&mut self, index: usize, name: &str, bytes: &[u8]) -> Result<(), identity::Error> {
        let failed = |message: String| identity::Error::Identity { index, message };
        if name != NAME {
            return Err(failed(format!("an identity of the plugin {name:?}")));
        }
        let server = serde_json::from_slice(bytes).map_err(|error| failed(error.to_string()))?;
        self.servers.push((index, server));
        Ok(())
    }

    fn unwrap_file_keys(
        &mut self,
        files: Vec<Vec<Stanza>>,
        _: impl Callbacks<identity::Error>,
    ) -> io::Result<HashMap<usize, Result<FileKey, Vec<identity::Error>>>> {
        let mut errors = HashMap::new();
        let wanted = ours(&files, &mut errors);
        let mut keys: HashMap<usize, FileKey> = HashMap::new();
        for (index, server) in &self.servers {
            let open: Vec<_> = wanted.iter().filter(|(file, _)| !keys.contains_key(file)).cloned().collect();
            if open.is_empty() {
                break;
            }
            let wrapped: Vec<WrappedKey> = open.iter().map(|(_, wrapped)| wrapped.clone()).collect();
            let unwrapped = match (self.connect)(server) {
                Ok(kms) => kms.unwrap_keys(&wrapped),
                Err(error) => wrapped.iter().map(|_| Err(error.clone())).collect(),
            };
            for ((file, stanza), unwrapped) in open.into_iter().zip(unwrapped) {
                match unwrapped {
                    Ok(secret) => keys.extend(file_key(secret).map(|key| (file, key))),
                    Err(error) => {
                        let hint = error.hint.as_deref().unwrap_or("is it a key of this server?");
                        let message = format!(
                            "KMS server {:?} at {}, key {}: {error}; {hint}",
                            server.name, server.address, stanza.private_id
                        );
                        let error = identity::Error::Identity { index: *index, message };
                        errors.entry(file).or_default().push(error);
                    }
                }
            }
        }
        let failed = errors.into_iter().filter(|(file, _)| !keys.contains_key(file)).collect::<Vec<_>>();
        let mut answers: HashMap<_, _> =
            failed.into_iter().map(|(file, errors)| (file, Err(errors))).collect();
        answers.extend(keys.into_iter().map(|(file, key)| (file, Ok(key))));
        Ok(answers)
    }
}

fn file_key(secret: kms_protocol::Secret) -> Option<FileKey> {
    let any = Stanza { tag: String::new(), args: Vec::new(), body: Vec::new() };
    FileKeyIdentity::new(secret)?.unwrap_stanza(&any)?.ok()
}
