//! Requests to a development server: noted in its journal, and met by what was armed to go wrong.

use std::sync::Arc;

use bytes::Bytes;
use kms_protocol::ttlv::{Content, Reader};
use kms_protocol::{Secret, Tag, Version};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use super::push::Turned;
use super::{End, Line};
use crate::faults::{Ending, Fault, Fired, Moment, Plan, Sending};
use crate::kms::Work;
use crate::limits;
use crate::mock::{self, Answered, Mock};

impl<S: AsyncRead + AsyncWrite + Unpin> Line<'_, S> {
    /// Has a request worked and answered, as far as faults let it; and whether the sides change then.
    pub(super) async fn exchange_faulty(
        &mut self,
        mock: &Arc<Mock>,
        request: Bytes,
    ) -> Result<Option<Turned>, End> {
        let begun = Instant::now();
        self.unless_stopped(mock.running()).await?;
        let now = self.shared.clock.now();
        let kms = Arc::clone(&self.shared.service).kms();
        let seen = mock.look(&request, kms.as_deref(), now);
        let plan = mock.faults.plan(&self.caller.principal, &seen);
        if !plan.delay.is_zero() {
            self.unless_stopped(sleep(plan.delay)).await?;
        }
        if let Some((Moment::AfterReading, ending)) = plan.ending {
            let mut exchange = mock::unanswered(&self.caller, now, &seen);
            exchange.faults.clone_from(&plan.fired);
            mock.note(exchange, &request, None);
            return Err(self.end(mock, ending, &plan.fired).await);
        }
        let Answered { response, mut exchange } = self.work(mock, &plan, &request).await?;
        self.unless_stopped(mock.running()).await?;
        exchange.took_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        exchange.faults.clone_from(&plan.fired);
        mock.note(exchange, &request, Some(response.expose()));
        if let Some((Moment::AfterCommit, ending)) = plan.ending {
            return Err(self.end(mock, ending, &plan.fired).await);
        }
        let turned = Turned::by(&request, response.expose(), self.shared);
        self.send_as(&plan, spoilt(&plan, response)).await?;
        Ok(turned)
    }

    async fn work(&self, mock: &Arc<Mock>, plan: &Plan, request: &Bytes) -> Result<Answered, End> {
        let (service, now) = (Arc::clone(&self.shared.service), self.shared.clock.now());
        let work = service.work(request);
        if work == Work::Inline {
            return Ok(mock.answer(plan, request, &self.caller, now, &service));
        }
        let (mock, plan, request) = (Arc::clone(mock), plan.clone(), request.clone());
        let caller = Arc::clone(&self.caller);
        let job = move || mock.answer(&plan, &request, &caller, now, &service);
        Ok(self.shared.workers.run(work, job).await?)
    }

    async fn send_as(&mut self, plan: &Plan, response: Secret) -> Result<(), End> {
        match plan.sending {
            Sending::Whole => self.send(response.expose()).await,
            Sending::Cut(bytes) => {
                let begun = response.expose().get(..bytes).unwrap_or(response.expose());
                self.send(begun).await?;
                Err(End::Fault(Ending::Closes))
            }
            Sending::Slices(bytes, pause) => {
                for slice in response.expose().chunks(bytes) {
                    self.send(slice).await?;
                    if !pause.is_zero() {
                        self.unless_stopped(sleep(pause)).await?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Ends the connection as a fault says, and where that is a hang, when the fault is disarmed.
    pub(super) async fn end(&mut self, mock: &Mock, ending: Ending, fired: &[Fired]) -> End {
        let hang = fired.iter().find(|fired| matches!(fired.fault, Fault::Hang(_)));
        let Some(hang) = hang.filter(|_| ending == Ending::Hangs) else { return End::Fault(ending) };
        let mut changes = mock.faults.changes();
        let mut ignored = bytes::BytesMut::with_capacity(limits::READ);
        while mock.faults.is_armed(hang.id) {
            ignored.clear();
            tokio::select! {
                () = self.stop.requested() => return End::Stopped,
                _ = changes.changed() => {}
                read = self.stream.read_buf(&mut ignored) => match read {
                    Ok(0) => return End::Closed,
                    Ok(_) => {}
                    Err(error) => return End::Broken(error),
                },
            }
        }
        End::Fault(ending)
    }

    /// Waits, unless the server stops meanwhile.
    async fn unless_stopped(&mut self, wait: impl Future<Output = ()>) -> Result<(), End> {
        tokio::select! {
            () = wait => Ok(()),
            () = self.stop.requested() => Err(End::Stopped),
        }
    }

    /// Writes bytes, in time.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), End> {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match timeout(limits::WRITE, write).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(End::NotReading),
        }
    }
}

/// The answer with what the plan has wrong with it.
pub(super) fn spoilt(plan: &Plan, response: Secret) -> Secret {
    let response = match plan.batch_count {
        Some(count) => counting(&response, count),
        None => response,
    };
    match plan.malformed {
        Some(how) => Secret::new(how.of(response.expose())),
        None => response,
    }
}

/// The answer with another Batch Count.
fn counting(response: &Secret, count: i32) -> Secret {
    let mut bytes = response.expose().to_vec();
    if let Some(at) = batch_count(&bytes)
        && let Some(value) = bytes.get_mut(at..at + 4)
    {
        value.copy_from_slice(&count.to_be_bytes());
    }
    Secret::new(bytes)
}

/// Where the value of the Batch Count stands.
fn batch_count(bytes: &[u8]) -> Option<usize> {
    let mut message = Reader::new(bytes, Version::V2_1);
    let Content::Structure(mut inner) = message.next_item().ok()??.content else { return None };
    let Content::Structure(mut header) = inner.next_item().ok()??.content else { return None };
    let count = header.take(Tag::BATCH_COUNT).ok()??;
    Some(count.offset + kms_protocol::frame::HEADER)
}
