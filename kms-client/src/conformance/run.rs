//! Runs cases.

use core::future::Future;
use core::pin::Pin;
use core::time::Duration;

use kms_protocol::encoding::to_xml;
use kms_protocol::{DateTime, Secret};
use tokio::time::Instant;

use super::bindings::Bindings;
use super::case::parse;
use super::compare::compare;
use super::{Case, Difference, Report, Step, Verdict};
use crate::connection::Connection;
use crate::error::Error;
use crate::tls::{BoxedStream, Connect};

/// How long one exchange may take: the slowest key pair of a case takes seconds.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// What takes a request to a server and brings its response.
pub trait Exchange: Send {
    /// Sends one message and receives its answer.
    ///
    /// # Errors
    /// When there is none.
    fn exchange<'a>(
        &'a mut self,
        request: &'a [u8],
    ) -> Pin<Box<dyn Future<Output = Result<Secret, Error>> + Send + 'a>>;
}

/// A server over TLS, by one connection after another.
pub struct Runner {
    server: Box<dyn Connect>,
    connection: Option<Connection<BoxedStream>>,
}

impl core::fmt::Debug for Runner {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Runner").field("server", &self.server.address()).finish_non_exhaustive()
    }
}

impl Runner {
    /// A runner of cases against that server.
    #[must_use]
    pub fn new(server: Box<dyn Connect>) -> Self {
        Self { server, connection: None }
    }
}

impl Exchange for Runner {
    fn exchange<'a>(
        &'a mut self,
        request: &'a [u8],
    ) -> Pin<Box<dyn Future<Output = Result<Secret, Error>> + Send + 'a>> {
        Box::pin(async move {
            if self.connection.as_mut().is_some_and(|connection| !connection.is_usable()) {
                self.connection = None;
            }
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => Connection::over(self.server.connect().await?, self.server.address())
                    .carried(self.server.https()),
            };
            let answer = connection.exchange(request, Instant::now() + DEADLINE).await?;
            self.connection = Some(connection);
            Ok(answer)
        })
    }
}

impl Report {
    /// Runs cases in their order, since some build on what an earlier one left. `skipped` tells why a case is not run,
    /// `now` the time, and `tell` hears of each verdict.
    ///
    /// # Errors
    /// When the server cannot be reached at all.
    pub async fn of(
        cases: &[Case],
        server: &mut dyn Exchange,
        skipped: &dyn Fn(&str) -> Option<String>,
        now: &dyn Fn() -> DateTime,
        tell: &dyn Fn(&str, &Verdict),
    ) -> Result<Self, Error> {
        let mut report = Self::default();
        let mut bindings = Bindings::of(cases);
        let mut group = "";
        for case in cases {
            bindings.next_case(group == case.group());
            group = case.group();
            let verdict = match skipped(&case.name) {
                Some(reason) => Verdict::Skipped(reason),
                None => match replay(case, server, &mut bindings, now).await {
                    Ok(()) => Verdict::Passed,
                    Err(Stop::Failed { step, difference }) => Verdict::Failed { step, difference },
                    Err(Stop::Unreachable { step, error }) if step == 0 && report.is_empty() => {
                        return Err(error);
                    }
                    Err(Stop::Unreachable { step, error }) => Verdict::Failed {
                        step,
                        difference: Difference {
                            path: "ResponseMessage".to_owned(),
                            expected: "an answer".to_owned(),
                            got: error.to_string(),
                        },
                    },
                },
            };
            tell(&case.name, &verdict);
            report.push(case.name.clone(), verdict);
        }
        Ok(report)
    }
}

enum Stop {
    Failed { step: usize, difference: Difference },
    Unreachable { step: usize, error: Error },
}

async fn replay(
    case: &Case,
    server: &mut dyn Exchange,
    bindings: &mut Bindings,
    now: &dyn Fn() -> DateTime,
) -> Result<(), Stop> {
    for (number, step) in case.steps.iter().enumerate() {
        let failed = |path: &str, expected: &str, got: String| Stop::Failed {
            step: number,
            difference: Difference { path: path.to_owned(), expected: expected.to_owned(), got },
        };
        let Step { request, response } = step;
        let request = bindings
            .fill(request, now())
            .map_err(|name| failed("RequestMessage", "a value that an earlier response showed", name))?;
        let bytes = request
            .to_ttlv()
            .map_err(|error| failed("RequestMessage", "a message of the standard", error.to_string()))?;
        let answer = server
            .exchange(bytes.expose())
            .await
            .map_err(|error| Stop::Unreachable { step: number, error })?;
        let answer = to_xml(answer.expose())
            .map_err(|error| error.to_string())
            .and_then(|xml| parse(core::str::from_utf8(xml.expose()).unwrap_or_default()))
            .map_err(|error| failed("ResponseMessage", "a message", error))?;
        compare(&request, response, &answer, bindings, now())
            .map_err(|difference| Stop::Failed { step: number, difference })?;
    }
    Ok(())
}
