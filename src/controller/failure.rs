//! What a call to the API server came to when it was no success, by what happens next.

use std::future::Future;
use std::time::Duration;

use kube::core::Status;

use crate::telemetry::spans;

/// No call may take longer; the client's own limits are meant for watches.
const LIMIT: Duration = Duration::from_secs(15);

/// A call that did not succeed. It holds nothing of what was sent or answered but a status code: an answer may quote
/// a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiFailure {
    /// 404: the object is not there.
    #[error("not found (404)")]
    NotFound,
    /// 403: the operator may not.
    #[error("forbidden (403)")]
    Forbidden,
    /// 409: the object is no longer the one that was read.
    #[error("conflict (409)")]
    Conflict,
    /// Any other answer: the request was not carried out.
    #[error("refused ({0})")]
    Refused(u16),
    /// The server failed, or no answer came: the request may have been carried out or not.
    #[error("{0}")]
    Unknown(&'static str),
}

impl ApiFailure {
    /// One word for a span.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::Conflict => "conflict",
            Self::Refused(_) => "refused",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl From<&Status> for ApiFailure {
    fn from(status: &Status) -> Self {
        match status.code {
            404 => Self::NotFound,
            403 => Self::Forbidden,
            409 => Self::Conflict,
            500.. => Self::Unknown("the API server failed (5xx)"),
            code => Self::Refused(code),
        }
    }
}

impl From<&kube::Error> for ApiFailure {
    fn from(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from(&**status),
            kube::Error::SerdeError(_) => Self::Unknown("an answer of the API server could not be decoded"),
            kube::Error::Auth(_) => Self::Unknown("no credentials for the API server"),
            _ => Self::Unknown("the API server cannot be reached"),
        }
    }
}

/// Makes a call, within the time limit.
///
/// # Errors
/// As [`ApiFailure`] says.
pub async fn call<T>(request: impl Future<Output = kube::Result<T>> + Send) -> Result<T, ApiFailure> {
    match tokio::time::timeout(LIMIT, request).await {
        Ok(answer) => answer.map_err(|error| ApiFailure::from(&error)),
        Err(_) => Err(ApiFailure::Unknown("the API server did not answer in time")),
    }
}

/// Makes a call that writes, in a span of its own. `resource` names the subresource too.
///
/// # Errors
/// As of [`call`].
pub async fn write<T>(
    verb: &'static str,
    resource: &'static str,
    namespace: Option<&str>,
    request: impl Future<Output = kube::Result<T>> + Send,
) -> Result<T, ApiFailure> {
    let span = spans::api_write(verb, resource, namespace);
    // Boxed: what surrounds it would hold it several times over.
    spans::writing(span, Box::pin(call(request)), ApiFailure::as_str).await
}
