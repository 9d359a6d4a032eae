//! What the server does: one file for each operation, each a function from a request to a response or a refusal.

mod activate;
mod create_key_pair;
mod decrypt;
mod derive_key;
mod destroy;
mod discover_versions;
mod encrypt;
mod get;
mod get_attribute_list;
mod get_attributes;
mod locate;
mod query;
mod rekey_key_pair;
mod revoke;
mod sign;
mod signature_verify;

pub(super) use activate::activate;
pub(super) use create_key_pair::create_key_pair;
pub(super) use decrypt::decrypt;
pub(super) use derive_key::derive_key;
pub(super) use destroy::destroy;
pub(super) use discover_versions::discover_versions;
pub(super) use encrypt::encrypt;
pub(super) use get::get;
pub(super) use get_attribute_list::get_attribute_list;
pub(super) use get_attributes::get_attributes;
pub(super) use locate::locate;
pub(super) use query::query;
pub(super) use rekey_key_pair::rekey_key_pair;
pub(super) use revoke::revoke;
pub(super) use sign::sign;
pub(super) use signature_verify::signature_verify;
