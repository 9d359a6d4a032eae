//! Tells in good time which certificates of the server's own expire.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::warn;

use crate::audit::Source;
use crate::clock;
use crate::kms::Event;
use crate::limits;
use crate::service::Service;
use crate::shutdown::Stop;
use crate::tls::ServerTls;

/// How often those who follow are told.
const DAY: Duration = Duration::from_secs(86_400);

/// Looks each day, by the real time, until `stop`.
pub async fn watch(tls: Arc<ServerTls>, service: Arc<dyn Service>, mut stop: Stop) {
    let mut day = tokio::time::interval(DAY);
    loop {
        tokio::select! {
            () = stop.requested() => return,
            _ = day.tick() => {}
        }
        let notice = i64::try_from(limits::CERTIFICATE_NOTICE.as_secs()).unwrap_or(i64::MAX);
        let soon = clock::system_now().plus(notice);
        for certificate in tls.certificates().into_iter().filter(|certificate| certificate.not_after < soon) {
            let not_after = Timestamp::from_second(certificate.not_after.0).unwrap_or(Timestamp::MAX);
            let event = Event::CertificateExpires { subject: certificate.subject, not_after };
            warn!("{event}");
            if let Some(trail) = service.trail() {
                trail.note(trail.record(Source::Server, "certificate").with(event));
            }
        }
    }
}
