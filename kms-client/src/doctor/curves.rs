//! What a KMS does with keys on P-256. Backups need none of it: what is not there is told, and not counted as missing.

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey as PeerKey, agree};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use kms_protocol::Secret;

use crate::agreement::Agreement;
use crate::client::Client;
use crate::error::Error;
use crate::key_spec::KeySpec;
use crate::keys::{PublicKey, once_visible};

use super::pair::Ids;
use super::record::{Notes, Record};
use super::report::{Check, WORKS};

/// Tries out an agreement and a signature; what is made goes to `made`.
pub(super) async fn examine(record: &mut Record<'_>, client: &Client, name: &str, made: &mut Vec<Ids>) {
    let notes = record.notes();
    let tried = agreed(client, &format!("{name}-agreement"), made, &notes).await;
    record.check(Check::DeriveKey, async { optional(tried, "jobs get RSA keys", &notes) }).await;
    let tried = signed(client, &format!("{name}-signature"), made, &notes).await;
    record.check(Check::Sign, async { optional(tried, "chains are not signed", &notes) }).await;
}

/// What the server says no to is not there, and what it makes of a curve may be another key.
fn optional(tried: Result<(), Error>, means: &str, notes: &Notes) -> Result<(), Error> {
    match tried {
        Err(error) if error.reason().is_some() || matches!(error, Error::Key { .. }) => {
            notes.saw(format!("not here: {means} ({error})"));
            Ok(())
        }
        other => other,
    }
}

async fn active(client: &Client, ids: &Ids) -> Result<PublicKey, Error> {
    for id in [&ids.private, &ids.public] {
        once_visible(|| client.make_active(id)).await?;
    }
    let key = once_visible(|| client.public_key(&ids.public)).await?;
    match key.bits {
        256 => Ok(key),
        bits => {
            let why = format!("asked for a key on P-256, it has one of {bits} bits");
            Err(Error::Key { id: ids.public.clone(), why })
        }
    }
}

async fn agreed(client: &Client, name: &str, made: &mut Vec<Ids>, notes: &Notes) -> Result<(), Error> {
    let (private, public) = client.create_pair(name, name, KeySpec::P256).await?;
    let ids = Ids { private, public };
    made.push(ids.clone());
    let key = active(client, &ids).await?;
    let here = || Error::protocol("no agreement on P-256 can be had here");
    let own = PrivateKey::generate(&ECDH_P256).map_err(|_| here())?;
    let peer: PublicKeyX509Der<'_> =
        own.compute_public_key().and_then(|key| key.as_der()).map_err(|_| here())?;
    let agreement = Agreement { private_id: ids.private.clone(), peer: peer.as_ref().to_vec() };
    let shared = client.agree_there(&[agreement]).await.pop();
    let shared = shared.unwrap_or_else(|| Err(Error::protocol("it answered nothing")))?;
    let theirs = PeerKey::new(&ECDH_P256, key.spki.as_slice());
    let expected = agree(&own, theirs, here(), |shared| Ok(Secret::from(shared)))?;
    if shared != expected {
        return Err(Error::Decryption { id: ids.private });
    }
    notes.saw(format!("an agreement on P-256 by Derive Key{WORKS}"));
    Ok(())
}

async fn signed(client: &Client, name: &str, made: &mut Vec<Ids>, notes: &Notes) -> Result<(), Error> {
    let (private, public) = client.create_signing_pair(name).await?;
    let ids = Ids { private, public };
    made.push(ids.clone());
    let key = active(client, &ids).await?;
    let data = b"signed by the doctor";
    let signature = client.sign_with(&ids.private, data).await?;
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.spki.as_slice());
    if public.verify(data, &signature).is_err() {
        return Err(Error::protocol("what it signed does not verify here"));
    }
    notes.saw(format!("ECDSA on P-256 by Sign{WORKS}"));
    if !client.verify_with(&ids.public, data, &signature).await? {
        return Err(Error::protocol("what it signed does not verify there"));
    }
    notes.saw(format!("Signature Verify{WORKS}"));
    Ok(())
}
