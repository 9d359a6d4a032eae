//! Query (KMIP 1.4 section 4.25).

use kms_protocol::enums::{
    ClientRegistrationMethod, DestroyAction, ObjectType, Operation, QueryFunction, RngMode,
};
use kms_protocol::object::exists_in;
use kms_protocol::operation::{CapabilityInformation, DefaultsInformation, QueryRequest, QueryResponse};
use kms_protocol::ttlv::{Bytes, ItemType, RawValue};

use crate::kms::batch::operations_of;
use crate::kms::new_object::generator;
use crate::kms::{Context, Kms, Refusal};

pub(in crate::kms) fn query(
    kms: &Kms,
    request: QueryRequest,
    context: &mut Context<'_>,
) -> Result<QueryResponse, Refusal> {
    let mut response = QueryResponse::default();
    for function in &request.query_functions {
        match function {
            QueryFunction::QueryOperations => {
                response.operations = operations_of(context.version).collect();
            }
            QueryFunction::QueryObjects => {
                response.object_types =
                    OBJECTS.into_iter().filter(|one| exists_in(*one, context.version)).collect();
            }
            QueryFunction::QueryServerInformation => {
                response.vendor_identification =
                    Some(concat!("kms-server ", env!("CARGO_PKG_VERSION")).to_owned());
                // It says no more of itself, and has the field that tells so.
                response.server_information =
                    Some(RawValue { item_type: ItemType::Structure, bytes: Bytes::default() });
            }
            QueryFunction::QueryRngs => response.rng_parameters = vec![generator()],
            QueryFunction::QueryCapabilities => response.capabilities = vec![capabilities()],
            QueryFunction::QueryClientRegistrationMethods => {
                response.client_registration_methods = vec![ClientRegistrationMethod::Unspecified];
            }
            QueryFunction::QueryDefaultsInformation => {
                let rules = kms.rules_for(&context.caller.principal, Operation::SetDefaults)?;
                let of = rules.into_iter().flat_map(|rules| rules.defaults.object_defaults);
                let object_defaults: Vec<_> = of.collect();
                let is_none = object_defaults.is_empty();
                response.defaults_information = (!is_none).then_some(DefaultsInformation { object_defaults });
            }
            // What else can be asked, the server has none of: the answer is an empty list.
            _ => {}
        }
    }
    Ok(response)
}

/// The types of objects that the server manages.
const OBJECTS: [ObjectType; 10] = [
    ObjectType::Certificate,
    ObjectType::SymmetricKey,
    ObjectType::PublicKey,
    ObjectType::PrivateKey,
    ObjectType::SplitKey,
    ObjectType::Template,
    ObjectType::SecretData,
    ObjectType::OpaqueObject,
    ObjectType::PgpKey,
    ObjectType::CertificateRequest,
];

fn capabilities() -> CapabilityInformation {
    CapabilityInformation {
        streaming: Some(true),
        asynchronous: Some(true),
        attestation: Some(false),
        batch_undo: Some(true),
        batch_continue: Some(true),
        destroy_action: Some(DestroyAction::KeyMaterialDeleted),
        rng_mode: Some(RngMode::NonSharedInstantiation),
        ..CapabilityInformation::default()
    }
}
