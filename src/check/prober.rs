//! Making one check: from a place and a key to a verdict.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Response;
use tokio::time::{Instant, timeout_at};

use crate::core::{Failure, Reason, Verdict};

use super::client::Clients;
use super::compiled::CompiledCheck;
use super::credential::Credential;
use super::guard::Guard;
use super::judge::{ByCode, said, verdict};
use super::no_answer;
use super::resolver::Resolver;
use super::retry_after::retry_after;
use super::stack::DeepThreads;

/// The most of a body that is read.
pub const MAX_BODY: usize = 64 * 1024;

/// How long a body that nobody needs may take to end, so that its connection can be used again.
const DRAIN: Duration = Duration::from_millis(100);

/// Expressions evaluated at once.
const EVALUATIONS: usize = 4;

/// Makes checks. It holds the pooled clients: one for the process.
pub struct Prober {
    guard: Guard,
    clients: Clients,
    threads: DeepThreads,
}

impl Prober {
    /// A prober that dials what `guard` permits among what `resolver` answers.
    #[must_use]
    pub fn new(guard: Guard, resolver: Resolver) -> Self {
        let clients = Clients::new(guard.clone(), resolver);
        Self { guard, clients, threads: DeepThreads::new(EVALUATIONS) }
    }

    /// Sends the request once, with `credential`, to `endpoint`, and judges the answer as section 6 says.
    ///
    /// It ends within the check's timeout, whatever the partner does. Dropping the future cancels the check. The
    /// verdict is never [`Verdict::NotMade`]. Nothing of the answer but the status code leaves this function.
    pub async fn prove(&self, check: &CompiledCheck, endpoint: &str, credential: Credential) -> Verdict {
        let deadline = Instant::now() + check.timeout;
        // Boxed: tens of thousands of these futures may exist, and few of them are at work.
        let attempt = Box::pin(self.attempt(check, endpoint, credential));
        match timeout_at(deadline, attempt).await {
            Ok(Ok(Judged { verdict, unread })) => {
                // After judging, so that a body that nobody needs cannot turn the outcome into a timeout.
                if let Some(response) = unread {
                    Box::pin(drain(response, deadline)).await;
                }
                verdict
            }
            Ok(Err(reason)) => failed(reason),
            Err(_) => failed(Reason::Timeout),
        }
    }

    async fn attempt(&self, check: &CompiledCheck, endpoint: &str, credential: Credential) -> Result<Judged, Reason> {
        // The client asks no resolver about IP literals, so they are judged here, before it sees them.
        if self.guard.forbids_literal(endpoint) {
            return Err(Reason::EndpointForbidden);
        }
        let fixed = &check.request;
        let address = fixed.address(endpoint).ok_or(Reason::EndpointForbidden)?;
        let mut request = reqwest::Request::new(fixed.method.clone(), address);
        request.headers_mut().clone_from(&fixed.headers);
        credential.into_headers(request.headers_mut());
        if fixed.method == http::Method::POST {
            *request.body_mut() = Some(fixed.body.clone().into());
        }
        let client = self.clients.get(&check.roots)?;
        let response = client.execute(request).await.map_err(|error| no_answer::reason(&error))?;
        self.judge(check, response).await
    }

    async fn judge(&self, check: &CompiledCheck, response: Response) -> Result<Judged, Reason> {
        let code = response.status().as_u16();
        let by_code = check.by_code(code);
        let wait = retry_after(response.headers(), Timestamp::now());
        let (body, unread) =
            if check.needs_body_of(by_code) { (read(response).await?, None) } else { (None, Some(response)) };
        let (rejected, success) = self.expressions(check, code, by_code, body).await;
        Ok(Judged { verdict: verdict(code, by_code, rejected, success, wait), unread })
    }

    /// What the two expressions say, as far as they are asked: an absent one says what changes nothing.
    async fn expressions(
        &self,
        check: &CompiledCheck,
        code: u16,
        by_code: ByCode,
        body: Option<Vec<u8>>,
    ) -> (bool, bool) {
        let (rejected, success) = check.asked(by_code);
        if rejected.is_none() && success.is_none() {
            return (false, true);
        }
        let judge = move || said(rejected.as_ref(), success.as_ref(), code, body.as_deref());
        // An evaluator that panics, or has no thread, has not said that the key is good.
        self.threads.run(judge).await.unwrap_or((false, false))
    }
}

/// An answer that was judged, and its body where judging did not need it.
struct Judged {
    verdict: Verdict,
    unread: Option<Response>,
}

fn failed(reason: Reason) -> Verdict {
    Verdict::Failed(Failure::from(reason))
}

/// The whole body, or `None` when it is longer than [`MAX_BODY`]. Counted over what arrives, whatever was announced;
/// the rest is not read, and the connection is given up with it.
async fn read(mut response: Response) -> Result<Option<Vec<u8>>, Reason> {
    if response.content_length().is_some_and(|length| length > MAX_BODY as u64) {
        return Ok(None);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| no_answer::reason(&error))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// Takes a small body off the connection, so that the next check can use it. What does not end at once is dropped,
/// and the connection with it. It changes no outcome.
async fn drain(mut response: Response, deadline: Instant) {
    if response.content_length().is_some_and(|length| length > MAX_BODY as u64) {
        return;
    }
    let end = async {
        let mut length = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            length += chunk.len();
            if length > MAX_BODY {
                break;
            }
        }
    };
    // Ending in time or not is all the same.
    let _ = timeout_at(deadline.min(Instant::now() + DRAIN), end).await;
}
