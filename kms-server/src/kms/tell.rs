//! What happens, in the server's own requests to clients: Notify and Put (KMIP 1.4 section 5, 2.1 section 6.2).

use kms_protocol::attribute::{
    Attribute, AttributeKind, AttributeList, AttributeReference, AttributeReferences,
};
use kms_protocol::enums::{ObjectType, Operation, PutFunction, State};
use kms_protocol::message::{RequestBuilder, RequestHeader};
use kms_protocol::operation::{NotifyRequest, PutRequest};
use kms_protocol::ttlv::Bytes;
use kms_protocol::{DateTime, Secret, Version};

use super::access::Verdict;
use super::event::Event;
use super::model::Object;
use super::refusal::Refusal;
use super::{Caller, Context, Kms, attributes, lifecycle, operations};
use crate::audit::{Record, Source};

/// A request to a client, and what it says.
#[derive(Debug)]
pub struct Telling {
    /// The Request Message.
    pub message: Secret,
    /// Its items: each operation and the object that it is about.
    pub items: Vec<(Operation, String)>,
}

/// What an event is to one of its objects.
enum News<'a> {
    /// It is new, and may stand in the place of another.
    New { replaces: Option<&'a str> },
    /// It was replaced; its Names may have moved on.
    Replaced { names_moved: bool },
    /// Its State is another.
    State,
    /// These attributes are others, by their names of 1.x.
    Attributes(&'a [String]),
}

enum Said {
    Notify(NotifyRequest),
    Put(Box<PutRequest>),
}

impl Kms {
    /// Whether an event may be a client's business, told without looking at objects.
    #[must_use]
    pub fn may_concern(&self, event: &Event, principal: &str) -> bool {
        event.owner().is_some_and(|owner| {
            let access = &self.policies.load().access;
            access.judge(principal, owner, Operation::GetAttributes) == Verdict::Allowed
        })
    }

    /// The request that tells `principal` of an event; none where none of its objects are its business.
    ///
    /// An object is shown to whom Get Attributes shows it. Public keys and certificates are handed over (Put), to whom Get
    /// gives them; any other object is announced alone (Notify): key material goes to who asks for it.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn tell(
        &self,
        event: &Event,
        principal: &str,
        version: Version,
        now: DateTime,
    ) -> Result<Option<Telling>, Refusal> {
        let (caller, record) = (Caller::named(principal), self.trail.record(Source::Server, "tell"));
        let context = Context::new(&caller, now, version, &record);
        let mut said = Vec::new();
        for (id, news) in news(event) {
            said.extend(self.say(id, &news, &context)?);
        }
        let mut header = RequestHeader::new(version);
        header.time_stamp = Some(now);
        let mut builder = RequestBuilder::new(header);
        let several = said.len() > 1;
        let mut items = Vec::with_capacity(said.len());
        for (at, one) in said.into_iter().enumerate() {
            let id = several.then(|| Bytes(u32::try_from(at).unwrap_or_default().to_be_bytes().to_vec()));
            match one {
                Said::Notify(request) => {
                    builder.push(&request, id);
                    items.push((Operation::Notify, request.unique_identifier));
                }
                Said::Put(request) => {
                    builder.push(&*request, id);
                    items.push((Operation::Put, request.unique_identifier));
                }
            }
        }
        Ok((!items.is_empty()).then(|| Telling { message: builder.finish(), items }))
    }

    /// Records what was told, and how it was taken.
    pub fn note_told(&self, telling: &Telling, principal: &str, now: DateTime, refused: Option<&str>) {
        for (operation, id) in &telling.items {
            let name = if *operation == Operation::Put { "Put" } else { "Notify" };
            let mut record: Record = self.trail.record(Source::Server, name).at(now);
            record.principal = Some(principal.to_owned());
            record.touch(id);
            self.trail.note(match refused {
                None => record,
                Some(why) => record.refused(why.to_owned()),
            });
        }
    }

    fn say(&self, id: &str, news: &News<'_>, context: &Context<'_>) -> Result<Option<Said>, Refusal> {
        let Some(object) = self.unless_damaged(self.fetch(id))?.flatten() else { return Ok(None) };
        let principal = &context.caller.principal;
        let policies = self.policies.load();
        let may = |operation| policies.access.judge(principal, &object.owner, operation) == Verdict::Allowed;
        if !may(Operation::GetAttributes) {
            return Ok(None);
        }
        let all = attributes::all(&object, context.now);
        let (changed, deleted) = match news {
            News::New { replaces } => {
                if may(Operation::Get)
                    && let Some(request) = self.handed_over(&object, &all, *replaces, context)?
                {
                    return Ok(Some(Said::Put(Box::new(request))));
                }
                (all, Vec::new())
            }
            News::Replaced { names_moved } => {
                let gone = *names_moved && object.names().next().is_none();
                let name = AttributeReference::Standard(AttributeKind::Name);
                let kinds = [AttributeKind::Link, AttributeKind::RotateLatest];
                (only(all, |one| kinds.contains(&one.kind())), gone.then_some(name).into_iter().collect())
            }
            News::State => {
                let kinds = dates_of(lifecycle::state_at(&object, context.now));
                (
                    only(all, |one| one.kind() == AttributeKind::State || kinds.contains(&one.kind())),
                    Vec::new(),
                )
            }
            News::Attributes(names) => {
                let is_named = |one: &Attribute| names.iter().any(|name| *name == name_of(one));
                let gone = names.iter().filter(|name| all.iter().all(|one| name_of(one) != **name));
                let gone = gone.map(|name| reference_of(name)).collect();
                (only(all, is_named), gone)
            }
        };
        Ok(Some(Said::Notify(NotifyRequest {
            unique_identifier: object.id,
            attributes: AttributeList(changed),
            deleted: AttributeReferences(deleted),
        })))
    }

    /// An object that anybody may have, where its own attributes let it go.
    fn handed_over(
        &self,
        object: &Object,
        all: &[Attribute],
        replaces: Option<&str>,
        context: &Context<'_>,
    ) -> Result<Option<PutRequest>, Refusal> {
        let is_public = matches!(object.object_type, ObjectType::PublicKey | ObjectType::Certificate);
        let is_here = object.material.is_some() && object.archive_date().is_none();
        if !is_public || !is_here || operations::may_leave(self, object, context).is_err() {
            return Ok(None);
        }
        Ok(Some(PutRequest {
            unique_identifier: object.id.clone(),
            put_function: if replaces.is_some() { PutFunction::Replace } else { PutFunction::New },
            replaced_unique_identifier: replaces.map(str::to_owned),
            object: self.content(object, None)?,
            attributes: AttributeList(all.to_vec()),
        }))
    }
}

fn news(event: &Event) -> Vec<(&str, News<'_>)> {
    let new = |replaces| News::New { replaces };
    match event {
        Event::Created { new: pair, .. } => {
            vec![(&pair.private, new(None)), (&pair.public, new(None))]
        }
        Event::Made { id, .. } => vec![(id, new(None))],
        Event::Replaced { old, id, names, .. } => {
            vec![(old, News::Replaced { names_moved: !names.is_empty() }), (id, new(Some(old)))]
        }
        Event::Rotated { old, new: pair, names, .. } => {
            let names_moved = !names.is_empty();
            vec![
                (&old.private, News::Replaced { names_moved }),
                (&old.public, News::Replaced { names_moved }),
                (&pair.private, new(Some(&old.private))),
                (&pair.public, new(Some(&old.public))),
            ]
        }
        Event::StateChanged { id, .. } | Event::Destroyed { id, .. } | Event::Undeleted { id, .. } => {
            vec![(id, News::State)]
        }
        Event::AttributesChanged { id, attributes, .. } => vec![(id, News::Attributes(attributes))],
        // No attribute changes with these.
        Event::Purged { .. }
        | Event::RotationFailed { .. }
        | Event::StoreReadOnly { .. }
        | Event::StoreWritable
        | Event::CertificateExpires { .. } => Vec::new(),
    }
}

/// What changes with the change to a State.
fn dates_of(state: State) -> &'static [AttributeKind] {
    match state {
        State::Active => &[AttributeKind::ActivationDate],
        State::Deactivated => &[AttributeKind::DeactivationDate, AttributeKind::RevocationReason],
        State::Compromised => &[
            AttributeKind::CompromiseDate,
            AttributeKind::CompromiseOccurrenceDate,
            AttributeKind::RevocationReason,
        ],
        State::Destroyed | State::DestroyedCompromised => &[AttributeKind::DestroyDate],
        _ => &[],
    }
}

/// Those that are meant, and Last Change Date, which every Notify has.
fn only(all: Vec<Attribute>, is_meant: impl Fn(&Attribute) -> bool) -> Vec<Attribute> {
    let is_told = |one: &Attribute| is_meant(one) || one.kind() == AttributeKind::LastChangeDate;
    all.into_iter().filter(is_told).collect()
}

fn name_of(attribute: &Attribute) -> String {
    match attribute {
        Attribute::Custom(custom) => custom.name_in_1x(),
        other => other.kind().name().to_owned(),
    }
}

fn reference_of(name: &str) -> AttributeReference {
    match (AttributeKind::from_name(name), name.split_once('-')) {
        (Some(kind), _) => AttributeReference::Standard(kind),
        (None, Some((vendor, name))) => {
            AttributeReference::Custom { vendor: vendor.to_owned(), name: name.to_owned() }
        }
        (None, None) => AttributeReference::Unknown(name.to_owned()),
    }
}
