//! No answer to judge: what the client's errors mean.

use std::error::Error;
use std::io;

use crate::core::Reason;

use super::resolver::NoAddress;

/// The reason that an error of the client stands for; section 6, "No answer to judge".
///
/// Errors are told apart by type, along the whole chain of causes, never by text. What is none of the known ones
/// (reset, close, HTTP/2 stream error or GOAWAY, malformed or oversized head …) broke off: `ConnectFailed`.
pub(super) fn reason(error: &(dyn Error + 'static)) -> Reason {
    causes(error).find_map(known).unwrap_or(Reason::ConnectFailed)
}

fn known(cause: &(dyn Error + 'static)) -> Option<Reason> {
    if let Some(none) = cause.downcast_ref::<NoAddress>() {
        return Some(match none {
            NoAddress::Lookup => Reason::DnsFailure,
            NoAddress::Forbidden => Reason::EndpointForbidden,
        });
    }
    // Also what comes after the handshake: a server of TLS 1.3 refuses a missing client certificate by an alert then.
    if cause.is::<rustls::Error>() {
        return Some(Reason::TlsFailed);
    }
    // An HTTP/2 ping had no answer (see `http2_keep_alive_timeout` of the client): nobody broke off, nobody answers. The
    // type of it is private to hyper, so reqwest is asked.
    if cause.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_timeout) {
        return Some(Reason::Timeout);
    }
    // The kernel gave up before our deadline: an address that answers nothing (see `TCP_USER_TIMEOUT` of the client).
    let io = cause.downcast_ref::<io::Error>()?;
    (io.kind() == io::ErrorKind::TimedOut).then_some(Reason::Timeout)
}

/// An error and its causes. `io::Error::source` passes over the error that it wraps, so that one is looked at too.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    // Chains are short; a bound all the same, because foreign code makes them.
    std::iter::successors(Some(error), |cause: &&'a (dyn Error + 'static)| cause_of(*cause)).take(32)
}

fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Box<dyn Error + Send + Sync>);

    #[test]
    fn causes_are_found_however_deep_they_are_wrapped() {
        let alert = || rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure);
        for (error, expected) in [
            (Outer(Box::new(io::Error::other(io::Error::new(io::ErrorKind::InvalidData, alert())))), Reason::TlsFailed),
            (Outer(Box::new(Outer(Box::new(alert())))), Reason::TlsFailed),
            (Outer(Box::new(NoAddress::Forbidden)), Reason::EndpointForbidden),
            (Outer(Box::new(NoAddress::Lookup)), Reason::DnsFailure),
            (Outer(Box::new(io::Error::from(io::ErrorKind::TimedOut))), Reason::Timeout),
            (Outer(Box::new(io::Error::from(io::ErrorKind::ConnectionReset))), Reason::ConnectFailed),
            (Outer(Box::new(io::Error::from(io::ErrorKind::UnexpectedEof))), Reason::ConnectFailed),
            (Outer("anything".into()), Reason::ConnectFailed),
        ] {
            assert_eq!(reason(&error), expected, "{error:?}");
        }
    }
}
