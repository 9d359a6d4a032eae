//! Tickets (KMIP 2.1 sections 6.1.12, 6.1.30 and 6.1.31): what a login gives out, and what requests that show one may do.
//!
//! They are kept in memory alone: who stops the server ends all logins. Of a ticket only the hash of its value is kept.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use kms_protocol::attribute::UsageLimits;
use kms_protocol::credential::{Credential, Ticket};
use kms_protocol::enums::{Operation, TicketType, UsageLimitsUnit};
use kms_protocol::message::RequestHeader;
use kms_protocol::operation::{Right, Rights};
use kms_protocol::{DateTime, Secret, UniqueIdentifier};

use super::access::Verdict;
use super::model::Object;
use super::refusal::{Reason, Refusal};
use super::{Caller, Context, Kms};
use crate::crypto::{cipher, sha256};
use crate::limits;

/// Bytes of a ticket's value: nobody guesses one.
const VALUE: usize = 32;

/// The SHA-256 of a ticket's value.
pub(super) type TicketId = [u8; 32];

/// All tickets that were given out and are not void.
#[derive(Default)]
pub(super) struct Tickets(HashMap<TicketId, Granted>);

/// What was given out.
#[derive(Clone)]
pub(super) struct Granted {
    /// Whose login it is.
    pub holder: String,
    /// Until when it is good.
    pub until: DateTime,
    /// For how many more requests; for any number where absent.
    pub requests: Option<i32>,
    /// For how much more protection; for any amount where absent.
    pub limits: Option<UsageLimits>,
    /// For what; for everything that its holder may do where absent.
    pub rights: Option<Arc<Vec<Right>>>,
}

impl Kms {
    /// Gives out a ticket.
    ///
    /// # Errors
    /// When the caller has too many, or all have.
    pub(super) fn give_out(&self, granted: Granted, now: DateTime) -> Result<Ticket, Refusal> {
        let value = Secret::new(cipher::random(VALUE)?);
        let mut tickets = self.tickets();
        tickets.0.retain(|_, other| other.until > now);
        let own = tickets.0.values().filter(|other| other.holder == granted.holder).count();
        if own >= limits::TICKETS_EACH || tickets.0.len() >= limits::TICKETS {
            return Err(Refusal::new(
                Reason::Limit,
                format!(
                    "{:?} has {own} tickets, of {} that may be: make one void by Logout, or wait until one expires",
                    granted.holder,
                    limits::TICKETS_EACH
                ),
            ));
        }
        tickets.0.insert(id_of(&value), granted);
        Ok(Ticket { ticket_type: TicketType::Login, value })
    }

    /// Makes a ticket void.
    ///
    /// # Errors
    /// [`Reason::InvalidTicket`] for one that is void already or never was.
    pub(super) fn make_void(&self, ticket: &Ticket, now: DateTime) -> Result<Granted, Refusal> {
        let granted = self.tickets().0.remove(&id_of(&ticket.value));
        granted.filter(|granted| granted.until > now).ok_or_else(invalid)
    }

    /// Who a request comes from: the holder of the ticket that it shows, else whom the transport has proved.
    ///
    /// # Errors
    /// [`Reason::InvalidTicket`] for one that is void, expired, used up or unknown.
    pub(super) fn with_ticket(
        &self,
        header: &RequestHeader,
        caller: &Caller,
        now: DateTime,
    ) -> Result<Option<Caller>, Refusal> {
        let credentials = header.authentication.iter().flat_map(|authentication| &authentication.credentials);
        let mut shown = credentials.filter_map(|credential| match credential {
            Credential::Ticket(credential) => Some(id_of(&credential.ticket.value)),
            _ => None,
        });
        let Some(id) = shown.next() else { return Ok(None) };
        if shown.next().is_some() || !header.protocol_version.is_2x() {
            return Err(Refusal::new(
                Reason::InvalidTicket,
                "a request shows one ticket, in KMIP 2.0 or later",
            ));
        }
        let mut tickets = self.tickets();
        let granted = tickets.0.get_mut(&id).filter(|granted| granted.until > now).ok_or_else(invalid)?;
        if let Some(left) = &mut granted.requests {
            *left = left.checked_sub(1).filter(|left| *left >= 0).ok_or_else(invalid)?;
        }
        Ok(Some(Caller { principal: granted.holder.clone(), ticket: Some(id), ..caller.clone() }))
    }

    /// Whether the caller's ticket, if it has one, is for the operation at hand at all.
    pub(super) fn permitted(&self, context: &Context<'_>) -> Result<(), Refusal> {
        let is_for = |right: &Right| allows(right, context.operation);
        if self.rights(context)?.is_none_or(|rights| rights.iter().any(is_for)) {
            return Ok(());
        }
        Err(Refusal::new(
            Reason::Denied,
            format!("the ticket of this request has no right to {}", context.operation),
        ))
    }

    /// What the caller's ticket, if it has one, lets it do with an object of its holder's.
    pub(super) fn verdict_of_ticket(&self, object: &Object, context: &Context<'_>) -> Verdict {
        match self.rights(context) {
            Ok(None) => Verdict::Allowed,
            Ok(Some(rights)) => {
                let mut verdict = Verdict::Hidden;
                for right in rights.iter().filter(|right| is_on(right, object)) {
                    if allows(right, context.operation) {
                        return Verdict::Allowed;
                    }
                    verdict = Verdict::Denied;
                }
                verdict
            }
            Err(_) => Verdict::Hidden,
        }
    }

    /// Whether the caller's ticket, if it has one, lets it make an object of these groups.
    ///
    /// # Errors
    /// [`Reason::Denied`] where it does not.
    pub(super) fn may_make(&self, groups: &[&str], context: &Context<'_>) -> Result<(), Refusal> {
        let is_for = |right: &Right| {
            let within = right
                .object_groups
                .as_ref()
                .is_none_or(|of| of.object_groups.iter().any(|group| groups.contains(&group.as_str())));
            within && right.objects.is_none() && allows(right, context.operation)
        };
        if self.rights(context)?.is_none_or(|rights| rights.iter().any(is_for)) {
            return Ok(());
        }
        Err(Refusal::new(
            Reason::Denied,
            "the ticket of this request has no right to make such an object: its rights name objects, or other groups",
        ))
    }

    /// Takes the use of a key off the Usage Limits of the caller's ticket, and of the right that it uses.
    ///
    /// # Errors
    /// [`Reason::UsageLimit`] where they leave less.
    pub(super) fn charge_ticket(
        &self,
        object: &Object,
        bytes: usize,
        context: &Context<'_>,
    ) -> Result<(), Refusal> {
        let Some(id) = context.caller.ticket else { return Ok(()) };
        let mut tickets = self.tickets();
        let granted = tickets.0.get_mut(&id).ok_or_else(invalid)?;
        let total = granted.limits.as_ref().map(|limits| less(limits, bytes)).transpose()?;
        if let Some(rights) = &mut granted.rights {
            let mut used = Err(exceeded());
            for right in Arc::make_mut(rights)
                .iter_mut()
                .filter(|one| is_on(one, object) && allows(one, context.operation))
            {
                used = right.usage_limits.as_ref().map(|limits| less(limits, bytes)).transpose();
                if let Ok(left) = &used {
                    right.usage_limits.clone_from(left);
                    break;
                }
            }
            used?;
        }
        granted.limits = total;
        Ok(())
    }

    /// The rights of the caller's ticket; `None` where it shows none, or one for everything.
    fn rights(&self, context: &Context<'_>) -> Result<Option<Arc<Vec<Right>>>, Refusal> {
        let Some(id) = context.caller.ticket else { return Ok(None) };
        self.tickets().0.get(&id).map(|granted| granted.rights.clone()).ok_or_else(invalid)
    }

    fn tickets(&self) -> MutexGuard<'_, Tickets> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rights of a request as they are kept: objects by their identifiers.
///
/// # Errors
/// When there are none or too many, or a placeholder means nothing.
pub(super) fn settled(rights: Rights, context: &Context<'_>) -> Result<Vec<Right>, Refusal> {
    let mut all = rights.rights;
    if all.is_empty() || all.len() > limits::RIGHTS {
        let what = format!("a ticket has 1 to {} rights, and {} are stated", limits::RIGHTS, all.len());
        return Err(Refusal::new(Reason::InvalidField, what));
    }
    for right in &mut all {
        let listed = right.objects.as_ref().map_or(0, |objects| objects.unique_identifiers.len())
            + right.object_groups.as_ref().map_or(0, |groups| groups.object_groups.len())
            + right.operations.as_ref().map_or(0, |operations| operations.operations.len());
        if listed > limits::RIGHT_LISTS {
            let what =
                format!("a right lists at most {} objects, groups and operations", limits::RIGHT_LISTS);
            return Err(Refusal::new(Reason::InvalidField, what));
        }
        for id in right.objects.iter_mut().flat_map(|objects| &mut objects.unique_identifiers) {
            *id = UniqueIdentifier::Text(context.resolve(Some(id))?);
        }
        if let Some(limits) = &mut right.usage_limits {
            limits.count = Some(limits.total);
        }
    }
    Ok(all)
}

fn allows(right: &Right, operation: Operation) -> bool {
    right.operations.as_ref().is_none_or(|all| all.operations.contains(&operation))
}

fn is_on(right: &Right, object: &Object) -> bool {
    let named = |id: &UniqueIdentifier| id.as_text() == Some(object.id.as_str());
    let grouped = |group: &String| object.groups().any(|own| own == group);
    right.objects.as_ref().is_none_or(|objects| objects.unique_identifiers.iter().any(named))
        && right.object_groups.as_ref().is_none_or(|groups| groups.object_groups.iter().any(grouped))
}

fn less(limits: &UsageLimits, bytes: usize) -> Result<UsageLimits, Refusal> {
    let units = match limits.unit {
        UsageLimitsUnit::Byte => i64::try_from(bytes).unwrap_or(i64::MAX),
        _ => 1,
    };
    let left = limits.count.unwrap_or(limits.total).checked_sub(units).filter(|left| *left >= 0);
    Ok(UsageLimits { count: Some(left.ok_or_else(exceeded)?), ..limits.clone() })
}

fn exceeded() -> Refusal {
    Refusal::new(Reason::UsageLimit, "the Usage Limits of the ticket leave less than this: ask for another")
}

fn invalid() -> Refusal {
    Refusal::new(Reason::InvalidTicket, "the ticket is void, expired or used up: log in again")
}

fn id_of(value: &Secret) -> TicketId {
    sha256(value.expose())
}
