//! The life of a key pair: made, used, rotated, revoked, destroyed.

use core::time::Duration;

use kms_protocol::attribute::{Attribute, Name};
use kms_protocol::enums::{LinkType, ObjectType, State};
use tokio::time::sleep;
use uuid::Uuid;

use crate::client::Client;
use crate::decrypt::{WrappedKey, decrypt_with};
use crate::error::Error;
use crate::key_spec::KeySpec;
use crate::keys::{
    IssuedKey, PUBLIC_FORMATS, PUBLIC_SUFFIX, PublicKey, View, get_request, locate_by, once_visible,
};
use crate::rotation::{Finding, KnownKey};

use super::curves;
use super::oaep;
use super::record::{Notes, Record};
use super::report::{Check, WORKS};
use super::retire;

/// A pair by its identifiers.
#[derive(Clone)]
pub(super) struct Ids {
    pub(super) private: String,
    pub(super) public: String,
}

/// How what was encrypted is opened.
#[derive(Clone)]
pub(super) enum Way {
    /// The server decrypts.
    There(WrappedKey),
    /// The private key is fetched.
    Here(WrappedKey),
}

/// What the examination works with.
struct Patient<'a> {
    client: &'a Client,
    name: String,
    spec: KeySpec,
}

/// Looks without changing anything.
pub(super) async fn look_only(record: &mut Record<'_>, client: &Client) {
    let why = "it would change something";
    record.skip(Check::after(Check::Query).filter(|check| *check < Check::Locate), why);
    let notes = record.notes();
    let nobodys = format!("doctor-{}", Uuid::new_v4());
    record.check(Check::Locate, finds_nothing(client, &nobodys, &notes)).await;
    record.skip(Check::after(Check::Locate), why);
}

/// Leads a pair through its life. Whatever was made is destroyed at the end.
pub(super) async fn examine(record: &mut Record<'_>, client: &Client, spec: KeySpec) {
    let patient = Patient { client, name: format!("doctor-{}", Uuid::new_v4()), spec };
    let mut made: Vec<Ids> = Vec::new();
    let way = patient.live(record, &mut made).await;
    retire::examine(record, client, &patient.name, &made, way).await;
}

impl Patient<'_> {
    async fn live(&self, record: &mut Record<'_>, made: &mut Vec<Ids>) -> Option<Way> {
        let (client, name, notes) = (self.client, &self.name, record.notes());
        let first = record.check(Check::CreateKeyPair, self.create(name, &notes)).await;
        let Some(first) = first else {
            // It may have been made although nobody said so.
            if let Ok(Some((private, public))) = client.pair_named(name, self.spec).await {
                made.push(Ids { private, public });
            }
            let why = "there is no key pair";
            record.skip(Check::after(Check::CreateKeyPair).filter(|check| *check < Check::Revoke), why);
            return None;
        };
        made.push(first.clone());
        record.check(Check::Activate, activate(client, &first, &notes)).await;
        let key = record.check(Check::GetPublicKey, self.public_key(&first, &notes)).await;
        record.check(Check::GetAttributes, self.attributes(&first, &notes)).await;
        record.check(Check::Locate, self.locate(&first, &notes)).await;
        let way = match key.map(|key| oaep::encrypt_all(&key)) {
            Some(Ok(wrapped)) => self.open(record, &wrapped).await,
            Some(Err(_)) | None => {
                let why = "there is no public key to encrypt with";
                record.skip([Check::Decrypt, Check::GetPrivateKey], why);
                None
            }
        };
        curves::examine(record, client, name, made).await;
        let second = record.check(Check::RekeyKeyPair, self.rekey(&first, made, &notes)).await;
        let successor = match second {
            Some(ids) => Some(ids),
            None => self.stand_in(made).await,
        };
        match successor {
            Some(next) => {
                let look = self.discover(&first, &next, &notes);
                record.check(Check::RotationDiscovery, look).await;
            }
            None => record.skip([Check::RotationDiscovery], "there is no newer pair"),
        }
        match &way {
            Some(way) => {
                let look = open_one(client, way, &notes);
                record.check(Check::DecryptWithOld, look).await;
            }
            None => record.skip([Check::DecryptWithOld], "nothing could be decrypted before"),
        }
        way
    }

    async fn create(&self, name: &str, notes: &Notes) -> Result<Ids, Error> {
        let (private, public) = self.client.create_pair(name, &self.name, self.spec).await?;
        notes.saw(format!("{} as {private} (private) and {public} (public)", self.spec));
        Ok(Ids { private, public })
    }

    /// Where there is no Re-key Key Pair: a new pair in the same Object Group, which is the way that remains.
    async fn stand_in(&self, made: &mut Vec<Ids>) -> Option<Ids> {
        // Initial Dates are whole seconds; the newer pair has to be newer by them.
        sleep(Duration::from_millis(1100)).await;
        let ids = self.create(&format!("{}-2", self.name), &Notes::default()).await.ok()?;
        made.push(ids.clone());
        // Whether it is Active is seen by what discovery makes of it.
        let _ = activate(self.client, &ids, &Notes::default()).await;
        Some(ids)
    }

    async fn public_key(&self, ids: &Ids, notes: &Notes) -> Result<IssuedKey, Error> {
        let mut found: Option<PublicKey> = None;
        let mut last = Error::protocol("it returned no key");
        for format in PUBLIC_FORMATS {
            let answer = self.client.get(&get_request(&ids.public, format)).await;
            match answer.and_then(|answer| PublicKey::read(&ids.public, &answer)) {
                Ok(key) => {
                    notes.saw(format!("as {format}{WORKS}"));
                    found.get_or_insert(key);
                }
                Err(error) => {
                    notes.saw(format!("as {format}: {error}"));
                    last = error;
                }
            }
        }
        let key = found.ok_or(last)?;
        let bits = self.spec.bits().unsigned_abs();
        if key.bits != bits {
            notes.lacks(format!("a key of {bits} bits, as asked (it has {})", key.bits), "keys are weaker");
        }
        Ok(IssuedKey {
            private_id: ids.private.clone(),
            public_id: ids.public.clone(),
            public_key_spki: key.spki,
            bits: key.bits,
            version: self.client.version().await?,
        })
    }

    async fn attributes(&self, ids: &Ids, notes: &Notes) -> Result<(), Error> {
        let public = self.client.view(&ids.public).await?;
        let private = self.client.view(&ids.private).await?;
        let (state, date) = (shown(public.state), shown(public.initial_date));
        notes.saw(format!("public key: state {state}, Initial Date {date}"));
        notes.saw(format!("private key: state {}", shown(private.state)));
        if public.state.is_none() {
            notes.lacks("the attribute State", "whether a key may still be used is not seen before it fails");
        }
        if public.initial_date.is_none() {
            notes.lacks("the attribute Initial Date", "which of two pairs is the newer one cannot be told");
        }
        if !public.has_name(&format!("{}{PUBLIC_SUFFIX}", self.name)) {
            notes.lacks("the attribute Name as it was given", "keys are not found again by name");
        }
        if !public.has(&Attribute::ObjectGroup(self.name.clone())) {
            notes.lacks(
                "the attribute Object Group as it was given",
                "a newer pair is not found by its group",
            );
        }
        let linked = public.link(LinkType::PrivateKeyLink) == Some(ids.private.as_str())
            && private.link(LinkType::PublicKeyLink) == Some(ids.public.as_str());
        if !linked {
            notes.lacks(
                "Links between the halves of a pair",
                "the private half has to be found by its name; Veeam asks for the Link",
            );
        }
        Ok(())
    }

    async fn locate(&self, ids: &Ids, notes: &Notes) -> Result<(), Error> {
        let name = Attribute::Name(Name::text(format!("{}{PUBLIC_SUFFIX}", self.name)));
        for (by, attribute) in [("Name", name), ("Object Group", Attribute::ObjectGroup(self.name.clone()))] {
            let found = self.client.locate(&locate_by(attribute, ObjectType::PublicKey)).await?;
            let hits = found.unique_identifiers;
            notes.saw(format!("by {by}: {} hit(s)", hits.len()));
            if !hits.contains(&ids.public) {
                notes.lacks(format!("Locate by {by}"), "keys are not found again by it");
            } else if hits.len() > 1 {
                notes.lacks(format!("Locate by {by} and nothing else"), OVER_MATCH);
            }
        }
        finds_nothing(self.client, &format!("{}-nobody", self.name), notes).await
    }

    /// Tries to open what was encrypted, there and here.
    async fn open(&self, record: &mut Record<'_>, wrapped: &[WrappedKey]) -> Option<Way> {
        let notes = record.notes();
        let there = record.check(Check::Decrypt, open_there(self.client, wrapped, &notes));
        let there = there.await.flatten();
        let here =
            record.check(Check::GetPrivateKey, open_here(self.client, wrapped, there.is_some(), &notes));
        let here = here.await.flatten();
        there.map(Way::There).or(here.map(Way::Here))
    }

    async fn rekey(&self, old: &Ids, made: &mut Vec<Ids>, notes: &Notes) -> Result<Ids, Error> {
        let (private, public) = self.client.rekey_pair(&old.private).await?;
        let new = Ids { private, public };
        made.push(new.clone());
        notes.saw(format!("replaced by {} (private) and {} (public)", new.private, new.public));
        activate(self.client, &new, notes).await?;
        for (half, old, new) in
            [("private", &old.private, &new.private), ("public", &old.public, &new.public)]
        {
            let (old_view, new_view) = (self.client.view(old).await?, self.client.view(new).await?);
            if old_view.link(LinkType::ReplacementObjectLink) != Some(new.as_str()) {
                notes.lacks(format!("the Replacement Object Link on the old {half} key"), NO_LINK);
            }
            if new_view.link(LinkType::ReplacedObjectLink) != Some(old.as_str()) {
                notes.lacks(format!("the Replaced Object Link on the new {half} key"), NO_LINK);
            }
            notes.saw(format!("the old {half} key is {} afterwards", shown(old_view.state)));
            if half == "public" && !new_view.has_name(&format!("{}{PUBLIC_SUFFIX}", self.name)) {
                notes.lacks("the old Name on the new public key", "a search by name finds the old key");
            }
        }
        Ok(new)
    }

    async fn discover(&self, old: &Ids, new: &Ids, notes: &Notes) -> Result<(), Error> {
        let known = KnownKey {
            public_id: old.public.clone(),
            private_id: old.private.clone(),
            name: self.name.clone(),
            spec: self.spec,
        };
        let finding = self.client.rotation_info(&[known]).await?.pop();
        let (how, newest) = match finding {
            Some(Finding::Rotated { newest, .. }) => ("by its Links", newest),
            Some(Finding::Moved { newest }) => ("by its Name or Object Group", newest),
            other => {
                notes.saw(format!("what the client makes of the old pair: {other:?}"));
                notes.lack(Check::RotationDiscovery.lack());
                return Ok(());
            }
        };
        notes.saw(format!("the newer pair is found {how}"));
        if newest.public_id != new.public || newest.private_id != new.private {
            notes.lack(Check::RotationDiscovery.lack());
        }
        Ok(())
    }
}

const NO_LINK: &str = "rotations are found by name or group only";
const OVER_MATCH: &str = "it returns what was not asked for: every hit has to be verified";

/// A Locate that nothing fits has to find nothing.
async fn finds_nothing(client: &Client, name: &str, notes: &Notes) -> Result<(), Error> {
    let nobodys = locate_by(Attribute::Name(Name::text(name)), ObjectType::PublicKey);
    let hits = client.locate(&nobodys).await?.unique_identifiers.len();
    notes.saw(format!("by a name that nothing has: {hits} hit(s)"));
    if hits > 0 {
        notes.lacks("Locate's filters", OVER_MATCH);
    }
    Ok(())
}

async fn activate(client: &Client, ids: &Ids, notes: &Notes) -> Result<(), Error> {
    for (half, id) in [("private", &ids.private), ("public", &ids.public)] {
        client.make_active(id).await?;
        let state = view_of_new(client, id, notes).await?.state;
        notes.saw(format!("the {half} key is {}", shown(state)));
        if state.is_some_and(|state| state != State::Active) {
            notes.lacks(format!("an Active {half} key after Activate"), "it cannot be used");
        }
    }
    Ok(())
}

/// What the server says of an object that was made just now. Where it does not know it at once, its reads lag.
async fn view_of_new(client: &Client, id: &str, notes: &Notes) -> Result<View, Error> {
    match client.view(id).await {
        Err(Error::NoSuchKey(_)) => {
            notes.lacks(
                "Reads that show what was just written",
                "whoever reads a new key at once has to ask again until it is there, as this client does",
            );
            once_visible(|| client.view(id)).await
        }
        answer => answer,
    }
}

pub(super) fn shown<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "not told".to_owned(), |value| value.to_string())
}

fn ways(key: &WrappedKey) -> String {
    format!("OAEP {} with a mask of {}", key.hash, key.mask_hash)
}

/// Has the server decrypt each ciphertext; the first that worked.
async fn open_there(
    client: &Client,
    wrapped: &[WrappedKey],
    notes: &Notes,
) -> Result<Option<WrappedKey>, Error> {
    let results = client.decrypt_there(wrapped).await;
    let mut worked = None;
    let mut failure = None;
    let mut lacking = Vec::new();
    for (key, result) in wrapped.iter().zip(results) {
        match result {
            Ok(plaintext) if oaep::is_plaintext(&plaintext) => {
                notes.saw(format!("{}{WORKS}", ways(key)));
                worked.get_or_insert_with(|| key.clone());
            }
            Ok(_) => {
                notes.saw(format!("{}: another plaintext than was encrypted", ways(key)));
                failure.get_or_insert(Error::Decryption { id: key.private_id.clone() });
            }
            Err(error) => {
                notes.saw(format!("{}: {error}", ways(key)));
                lacking.push(format!("Decrypt with {}", ways(key)));
                failure.get_or_insert(error);
            }
        }
    }
    match (worked, failure) {
        (None, Some(error)) => Err(error),
        (worked, _) => {
            for what in lacking {
                notes.lacks(what, "what is encrypted so is restored by fetching the private key only");
            }
            Ok(worked)
        }
    }
}

/// Fetches the private key and decrypts here.
async fn open_here(
    client: &Client,
    wrapped: &[WrappedKey],
    decrypts_there: bool,
    notes: &Notes,
) -> Result<Option<WrappedKey>, Error> {
    let Some(first) = wrapped.first() else { return Ok(None) };
    let key = match client.fetch_private_key(&first.private_id).await {
        Ok(key) => key,
        Err(error) if decrypts_there && error.reason().is_some() => {
            notes.saw(format!("it keeps private keys to itself: {error}"));
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let opened = decrypt_with(&key, first)?;
    if !oaep::is_plaintext(&opened) {
        return Err(Error::Decryption { id: first.private_id.clone() });
    }
    notes.saw("it hands private keys out to whoever holds this certificate; decrypting here works");
    Ok(Some(first.clone()))
}

/// Opens one ciphertext in the way that worked before.
pub(super) async fn open_one(client: &Client, way: &Way, notes: &Notes) -> Result<(), Error> {
    let (wrapped, opened) = match way {
        Way::There(wrapped) => {
            let opened = client.decrypt_there(core::slice::from_ref(wrapped)).await.pop();
            (wrapped, opened.unwrap_or_else(|| Err(Error::protocol("it answered nothing")))?)
        }
        Way::Here(wrapped) => {
            let key = client.fetch_private_key(&wrapped.private_id).await?;
            (wrapped, decrypt_with(&key, wrapped)?)
        }
    };
    if !oaep::is_plaintext(&opened) {
        return Err(Error::Decryption { id: wrapped.private_id.clone() });
    }
    notes.saw(match way {
        Way::There(_) => format!("decrypted there{WORKS}"),
        Way::Here(_) => format!("fetched and decrypted here{WORKS}"),
    });
    Ok(())
}
