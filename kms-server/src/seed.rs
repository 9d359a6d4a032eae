//! Seeds: what a development server begins with. One file, TOML or YAML, says which clients there are, which pairs they have
//! had for how long, what other objects, and what goes wrong.

mod objects;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kms_protocol::DateTime;
use kms_protocol::enums::{LinkType, State};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Builder;

use crate::clock;
use crate::config;
use crate::crypto::KeySpec;
use crate::failure::{Failure, Kind};
use crate::faults::{Faults, Rule, enumerated};
use crate::kms::planted::{Generation, Planted, PlantedObject};
use crate::kms::{Kms, Order, Refusal};
use crate::limits;
use crate::period::Period;

pub use objects::{Held, Split};

/// A whole seed.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Seed {
    /// Clients that get certificates.
    #[serde(rename = "client", skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<Client>,
    /// Key pairs.
    #[serde(rename = "pair", skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<Pair>,
    /// Objects that are no pairs.
    #[serde(rename = "object", skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<Held>,
    /// Faults that are armed.
    #[serde(rename = "fault", skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Rule>,
}

/// A client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Client {
    /// The name in its certificate, and of the certificate's files.
    pub name: String,
}

/// A pair and its earlier generations.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pair {
    /// The client that it belongs to.
    pub owner: String,
    /// `RSA-2048`, `RSA-3072`, `RSA-4096` or `P-256`.
    pub kind: String,
    /// The Name of the private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_name: Option<String>,
    /// The Name of the public key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_name: Option<String>,
    /// Object Groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Custom attributes: texts, by names without `x-`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: BTreeMap<String, String>,
    /// Rotate Interval, the client's own wish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_interval: Option<Period>,
    /// Links of the newest generation beside those between its halves and to other generations.
    #[serde(rename = "link", default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// Its generations, oldest first; one that is Active and made at the start where absent.
    #[serde(rename = "generation", default, skip_serializing_if = "Vec::is_empty")]
    pub generations: Vec<Made>,
}

/// A Link.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Link {
    /// Its Link Type, by KMIP's name.
    #[serde(rename = "type")]
    pub link_type: String,
    /// The Unique Identifier that it leads to.
    pub to: String,
    /// Which half of a pair has it: `private` (where absent) or `public`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half: Option<String>,
}

/// A generation of a pair.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Made {
    /// The private key's Unique Identifier; follows from owner, Names and generation where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_id: Option<String>,
    /// The public key's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_id: Option<String>,
    /// When: a time, or how long ago (`91d ago`); now where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Its State: `active` (where absent), `pre-active`, `deactivated`, `compromised`, `destroyed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// What applying a seed did.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Applied {
    /// Pairs and other objects that were made.
    pub made: usize,
    /// Those that were there already.
    pub known: usize,
    /// Faults that were armed.
    pub faults: usize,
}

impl Seed {
    /// Reads a file; its ending says whether it is TOML or YAML.
    ///
    /// # Errors
    /// [`Failure`] says where what is wrong.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let wrong = |what: String| Failure::new(Kind::Config, format!("{}: {what}", file.display()));
        let text = config::read_bounded(file, "seed", limits::SEED)?;
        let is_yaml = file.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        let seed = if is_yaml { Self::from_yaml(&text) } else { Self::from_toml(&text) };
        seed.map_err(|what| wrong(what).hint("docs/seed.schema.json says what a seed can say"))
    }

    /// Reads TOML.
    ///
    /// # Errors
    /// Says where what is wrong.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// Reads YAML.
    ///
    /// # Errors
    /// Says where what is wrong.
    pub fn from_yaml(text: &str) -> Result<Self, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    /// What it says, as the core takes it, with everything wrong with it.
    ///
    /// # Errors
    /// [`Failure`] tells all mistakes.
    pub fn planted(&self, now: DateTime) -> Result<(Vec<Planted>, Vec<PlantedObject>), Failure> {
        let mut wrong = Vec::new();
        let mut planted = Vec::with_capacity(self.pairs.len());
        let mut ids = BTreeSet::new();
        for (at, pair) in self.pairs.iter().enumerate() {
            let mistake = |what: String| {
                Failure::new(Kind::Config, format!("pair {} of {:?}: {what}", at + 1, pair.owner))
                    .hint("docs/mock.md tells what a seed can say")
            };
            match pair.planted(now) {
                Ok(one) => {
                    let own = one
                        .generations
                        .iter()
                        .flat_map(|one| [one.private_id.clone(), one.public_id.clone()]);
                    for id in own {
                        if !ids.insert(id.clone()) {
                            wrong.push(mistake(format!("the identifier {id} is another object's too")));
                        }
                    }
                    planted.push(one);
                }
                Err(what) => wrong.push(mistake(what)),
            }
        }
        let mut objects = Vec::with_capacity(self.objects.len());
        for (at, held) in self.objects.iter().enumerate() {
            let mistake = |what: String| {
                Failure::new(Kind::Config, format!("object {} of {:?}: {what}", at + 1, held.owner))
                    .hint("docs/mock.md tells what a seed can say")
            };
            match held.planted(now) {
                Ok(one) if !ids.insert(one.id.clone()) => {
                    let what =
                        format!("the identifier {} is another object's too: state names or an id", one.id);
                    wrong.push(mistake(what));
                }
                Ok(one) => objects.push(one),
                Err(what) => wrong.push(mistake(what)),
            }
        }
        let faults = Faults::default();
        for rule in &self.faults {
            if let Err(error) = faults.add(rule.clone()) {
                let what = format!("fault {}: {error}", rule.fault);
                wrong.push(Failure::new(Kind::Config, what).hint("docs/mock.md tells what faults can do"));
            }
        }
        Failure::together(wrong)?;
        Ok((planted, objects))
    }

    /// Makes what is not there yet and arms its faults. Applied again it makes nothing more; faults that are armed already
    /// are left alone.
    ///
    /// # Errors
    /// [`Failure`] tells what is wrong with it, or what the store said.
    pub fn apply(&self, kms: &Kms, faults: &Faults, order: &Order) -> Result<Applied, Failure> {
        let mut applied = Applied::default();
        let (pairs, objects) = self.planted(order.now)?;
        let failed = |what: &str, owner: &str, refusal: Refusal| {
            let what = format!("{what} of {owner:?} cannot be made: {}", refusal.message);
            Failure::new(Kind::Config, what).hint("begin with an empty store, or mend the seed")
        };
        for pair in &pairs {
            let is_new = kms.plant(pair, order).map_err(|why| failed("a pair", &pair.owner, why))?;
            if is_new { applied.made += 1 } else { applied.known += 1 }
        }
        for object in &objects {
            let is_new =
                kms.plant_object(object, order).map_err(|why| failed("an object", &object.owner, why))?;
            if is_new { applied.made += 1 } else { applied.known += 1 }
        }
        let armed: Vec<Rule> = faults.list().into_iter().map(|listed| listed.rule).collect();
        for rule in self.faults.iter().filter(|rule| !armed.contains(rule)) {
            faults.add(rule.clone()).map_err(|error| Failure::new(Kind::Config, error.to_string()))?;
            applied.faults += 1;
        }
        Ok(applied)
    }

    /// What a server has, as a seed that would make it again, with other key material.
    ///
    /// # Errors
    /// [`Failure`] when the store cannot be read.
    pub fn of(kms: &Kms, faults: &Faults, now: DateTime) -> Result<Self, Failure> {
        let described = kms.described(now);
        let (pairs, objects) =
            described.map_err(|refusal| Failure::new(Kind::State, refusal.message.into_owned()))?;
        let owners = pairs.iter().map(|pair| &pair.owner).chain(objects.iter().map(|object| &object.owner));
        let owners: BTreeSet<&String> = owners.collect();
        let clients = owners.into_iter().map(|name| Client { name: name.clone() }).collect();
        let faults = faults.list().into_iter().map(|listed| listed.rule).collect();
        let pairs = pairs.iter().map(Pair::from).collect();
        Ok(Self { clients, pairs, objects: objects.iter().map(Held::from).collect(), faults })
    }
}

impl Pair {
    fn planted(&self, now: DateTime) -> Result<Planted, String> {
        let alone = [Made::default()];
        let made = if self.generations.is_empty() { &alone[..] } else { &self.generations };
        let generations: Vec<Generation> =
            (0..).zip(made).map(|(at, made)| self.generation(at, made, now)).collect::<Result<_, _>>()?;
        if !generations.is_sorted_by_key(|one| one.created) {
            return Err("its generations are to be listed oldest first".to_owned());
        }
        let is_public = |link: &&Link| link.half.as_deref() == Some("public");
        let (public, private): (Vec<_>, Vec<_>) = self.links.iter().partition(is_public);
        if let Some(link) =
            private.iter().find(|link| !matches!(link.half.as_deref(), None | Some("private")))
        {
            return Err(format!(
                "half = {:?} is neither private nor public",
                link.half.as_deref().unwrap_or("")
            ));
        }
        Ok(Planted {
            owner: self.owner.clone(),
            spec: spec(&self.kind)?,
            private_name: self.private_name.clone(),
            public_name: self.public_name.clone(),
            groups: self.groups.clone(),
            custom: self.custom.clone(),
            links: links(private)?,
            public_links: links(public)?,
            rotate_interval: self
                .rotate_interval
                .map(|wish| {
                    u32::try_from(wish.seconds).map_err(|_| "its rotate-interval is too long".to_owned())
                })
                .transpose()?,
            generations,
        })
    }

    fn generation(&self, at: usize, made: &Made, now: DateTime) -> Result<Generation, String> {
        let state = made.state.as_deref().unwrap_or("active");
        let id = |half: &str, stated: &Option<String>| stated.clone().unwrap_or_else(|| self.id(at, half));
        Ok(Generation {
            private_id: id("private", &made.private_id),
            public_id: id("public", &made.public_id),
            created: made.created.as_deref().map_or(Ok(now), |text| time(text, now))?,
            state: enumerated::<State>(state).ok_or_else(|| format!("there is no state {state:?}"))?,
        })
    }

    /// The identifier of a half that states none: the same whenever the seed is read.
    fn id(&self, generation: usize, half: &str) -> String {
        let mut hash = Sha256::new();
        for part in [
            &self.owner,
            self.private_name.as_deref().unwrap_or(""),
            self.public_name.as_deref().unwrap_or(""),
            half,
        ] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        hash.update(generation.to_be_bytes());
        identifier(hash)
    }
}

/// The kind of pair that has this name.
fn spec(kind: &str) -> Result<KeySpec, String> {
    KeySpec::ALL.into_iter().find(|spec| spec.to_string() == kind).ok_or_else(|| {
        let all: Vec<String> = KeySpec::ALL.iter().map(ToString::to_string).collect();
        format!("there is no kind {kind:?}; there are {}", all.join(", "))
    })
}

/// An identifier that follows from what was hashed.
fn identifier(hash: Sha256) -> String {
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
    Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

fn links<'a>(links: impl IntoIterator<Item = &'a Link>) -> Result<Vec<(LinkType, String)>, String> {
    let known = |link: &Link| {
        let known = enumerated::<LinkType>(&link.link_type);
        known
            .map(|known| (known, link.to.clone()))
            .ok_or_else(|| format!("there is no Link Type {:?}", link.link_type))
    };
    links.into_iter().map(known).collect()
}

impl Link {
    fn all(links: &[(LinkType, String)], half: Option<&str>) -> Vec<Self> {
        let one = |(link_type, to): &(LinkType, String)| Self {
            link_type: kebab(&link_type.to_string()),
            to: to.clone(),
            half: half.map(str::to_owned),
        };
        links.iter().map(one).collect()
    }
}

/// A name of KMIP's as a seed writes it.
fn kebab(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

impl From<&Planted> for Pair {
    fn from(planted: &Planted) -> Self {
        let made = |one: &Generation| Made {
            private_id: Some(one.private_id.clone()),
            public_id: Some(one.public_id.clone()),
            created: Some(clock::text(one.created)),
            state: Some(kebab(&one.state.to_string())),
        };
        Self {
            owner: planted.owner.clone(),
            kind: planted.spec.to_string(),
            private_name: planted.private_name.clone(),
            public_name: planted.public_name.clone(),
            groups: planted.groups.clone(),
            custom: planted.custom.clone(),
            rotate_interval: planted.rotate_interval.map(|seconds| Period { seconds: seconds.into() }),
            links: [Link::all(&planted.links, None), Link::all(&planted.public_links, Some("public"))]
                .concat(),
            generations: planted.generations.iter().map(made).collect(),
        }
    }
}

/// A time, or how long ago.
fn time(text: &str, now: DateTime) -> Result<DateTime, String> {
    let time = match text.strip_suffix(" ago") {
        Some(period) => clock::parse_duration(period).map(|seconds| now.plus(-seconds)),
        None => clock::parse_time(text),
    };
    time.map_err(|error| format!("{error}; write it like 91d ago or 2027-01-01T00:00:00Z"))
}
