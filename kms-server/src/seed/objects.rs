//! Objects of a seed that are no pairs.

use std::collections::BTreeMap;

use kms_protocol::attribute::CryptographicUsageMask;
use kms_protocol::enums::{
    CryptographicAlgorithm, Enumeration, ObjectType, SecretDataType, SplitKeyMethod, State,
};
use kms_protocol::{DateTime, Secret};
use rustls_pki_types::pem::{PemObject as _, SectionKind};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Link, identifier, kebab, links, spec, time};
use crate::clock;
use crate::faults::enumerated;
use crate::kms::planted::{self, PlantedObject};

/// An object that is no pair.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Held {
    /// The client that it belongs to.
    pub owner: String,
    /// Its Object Type, by KMIP's name: `symmetric-key`, `secret-data`, `opaque-object`, `certificate`, …
    #[serde(rename = "type")]
    pub object_type: String,
    /// Its Unique Identifier; follows from owner, type and Names where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its Names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Its Cryptographic Algorithm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// Its Cryptographic Length, in bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<i32>,
    /// What kind of pair it is half of, where it is, as a pair's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What it may be used for: the names in its Cryptographic Usage Mask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Vec<String>>,
    /// What it holds, in hexadecimal digits; made anew where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What it holds, as text: a password, or PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its Secret Data Type: `password` (where absent) or `seed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_data_type: Option<String>,
    /// When: a time, or how long ago (`91d ago`); now where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Its State, as a generation's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Object Groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Custom attributes: texts, by names without `x-`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: BTreeMap<String, String>,
    /// What part it is, of a Split Key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// Links.
    #[serde(rename = "link", skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
}

/// A part of a split key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Split {
    /// How many parts there are.
    pub parts: i32,
    /// Which one this is, from 1 on.
    pub part: i32,
    /// How many make the key again.
    pub threshold: i32,
    /// The Split Key Method, by KMIP's name; `xor` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

fn known<E: Enumeration>(name: &str) -> Result<E, String> {
    enumerated::<E>(name).ok_or_else(|| format!("there is no {} {name:?}", E::NAME))
}

impl Held {
    pub(super) fn planted(&self, now: DateTime) -> Result<PlantedObject, String> {
        if self.owner.is_empty() || self.object_type.is_empty() {
            return Err("it needs an owner and a type".to_owned());
        }
        let split = self.split.as_ref().map(|split| {
            let method = split.method.as_deref().map_or(Ok(SplitKeyMethod::Xor), known)?;
            let Split { parts, part, threshold, .. } = *split;
            Ok::<_, String>(planted::Split { parts, part, threshold, method })
        });
        let planted = PlantedObject {
            id: self.id.clone().unwrap_or_else(|| self.identifier()),
            owner: self.owner.clone(),
            object_type: Some(known::<ObjectType>(&self.object_type)?),
            names: self.names.clone(),
            groups: self.groups.clone(),
            custom: self.custom.clone(),
            links: links(&self.links)?,
            algorithm: self.algorithm.as_deref().map(known::<CryptographicAlgorithm>).transpose()?,
            length: self.length,
            spec: self.kind.as_deref().map(spec).transpose()?,
            usage: self.usage.as_ref().map(|names| mask(names)).transpose()?,
            value: self.bytes()?.map(Secret::new),
            secret_data_type: self.secret_data_type.as_deref().map(known::<SecretDataType>).transpose()?,
            split: split.transpose()?,
            created: self.created.as_deref().map_or(Ok(now), |text| time(text, now))?,
            state: self.state.as_deref().map(known::<State>).transpose()?,
        };
        planted.check().map_err(|refusal| refusal.message.into_owned())?;
        Ok(planted)
    }

    fn bytes(&self) -> Result<Option<Vec<u8>>, String> {
        match (&self.value, &self.text) {
            (Some(_), Some(_)) => Err("it has a value and a text: state one of them".to_owned()),
            (Some(digits), None) => hex::decode(digits)
                .map(Some)
                .map_err(|_| "its value is not written in hexadecimal digits".to_owned()),
            (None, Some(text)) if text.trim_start().starts_with("-----BEGIN ") => {
                let (_, der) = <(SectionKind, Vec<u8>)>::from_pem_slice(text.as_bytes())
                    .map_err(|error| format!("its text begins as PEM and is none: {error}"))?;
                Ok(Some(der))
            }
            (None, text) => Ok(text.as_ref().map(|text| text.as_bytes().to_vec())),
        }
    }

    /// The identifier of an object that states none: the same whenever the seed is read.
    fn identifier(&self) -> String {
        let mut hash = Sha256::new();
        for part in [&self.owner, &kebab(&self.object_type)].into_iter().chain(&self.names) {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        identifier(hash)
    }
}

fn mask(names: &[String]) -> Result<CryptographicUsageMask, String> {
    names.iter().try_fold(CryptographicUsageMask::default(), |mask, name| {
        let bit = CryptographicUsageMask::TABLE.iter().find(|(_, known)| kebab(known) == kebab(name));
        let (bit, _) = bit.ok_or_else(|| format!("no Cryptographic Usage Mask has {name:?}"))?;
        Ok(mask.with(CryptographicUsageMask(*bit)))
    })
}

impl From<&PlantedObject> for Held {
    fn from(planted: &PlantedObject) -> Self {
        let usage = |mask: CryptographicUsageMask| {
            let has = CryptographicUsageMask::TABLE.iter().filter(move |(bit, _)| mask.0 & bit == *bit);
            has.map(|(_, name)| kebab(name)).collect()
        };
        Self {
            owner: planted.owner.clone(),
            object_type: planted.object_type.map_or_else(String::new, |what| kebab(&what.to_string())),
            id: Some(planted.id.clone()),
            names: planted.names.clone(),
            algorithm: planted.algorithm.map(|algorithm| algorithm.to_string()),
            length: planted.length,
            kind: planted.spec.map(|spec| spec.to_string()),
            usage: planted.usage.map(usage),
            value: planted.value.as_ref().map(|value| hex::encode(value.expose())),
            text: None,
            secret_data_type: planted.secret_data_type.map(|what| kebab(&what.to_string())),
            created: Some(clock::text(planted.created)),
            state: planted.state.map(|state| kebab(&state.to_string())),
            groups: planted.groups.clone(),
            custom: planted.custom.clone(),
            split: planted.split.map(|split| Split {
                parts: split.parts,
                part: split.part,
                threshold: split.threshold,
                method: Some(split.method.to_string()),
            }),
            links: Link::all(&planted.links, None),
        }
    }
}
