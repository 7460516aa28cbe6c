//! A catalogue entry's check, parsed once into types that leave later steps nothing to fail at.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use url::{Position, Url};

use crate::api::{Authentication, Check, Method, PartnerSpec};
use crate::core::PartnerFault;

use super::expression::Expression;
use super::judge::{ByCode, Codes, by_code};
use super::roots::Roots;

/// The request that proves a key, and how its answer is judged.
pub struct CompiledCheck {
    pub(super) request: Request,
    pub(super) timeout: Duration,
    pub(super) rejected: Judgement,
    pub(super) success: Judgement,
    pub(super) roots: Roots,
}

/// What is the same in each request of a check. The address and the key are added when one is made.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: http::Method,
    path: Box<str>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Status codes and perhaps an expression.
pub(super) struct Judgement {
    pub(super) codes: Codes,
    pub(super) expression: Option<Expression>,
}

impl CompiledCheck {
    /// The method of its request.
    #[must_use]
    pub fn method(&self) -> &str {
        self.request.method.as_str()
    }

    /// Parses what only parsing can tell: expressions and the trust bundle.
    ///
    /// What the CRD refuses may still be stored, from before it did: a request that may not be made (a reserved or
    /// malformed header, a path that is none, a body without POST) is a fault, too. A timeout out of range is clamped.
    ///
    /// # Errors
    /// The first [`PartnerFault`] that is found, in the order success, rejected, trust bundle, request.
    pub fn parse(spec: &PartnerSpec) -> Result<Self, PartnerFault> {
        let check = &spec.check;
        let success = check.success.as_ref();
        let rejected = check.rejected.as_ref();
        let expression =
            |text: Option<&String>, fault| text.map(|text| Expression::parse(text)).transpose().map_err(|_| fault);
        Ok(Self {
            success: Judgement {
                codes: Codes::success(success.and_then(|success| success.status_codes.as_deref())),
                expression: expression(
                    success.and_then(|success| success.expression.as_ref()),
                    PartnerFault::SuccessExpression,
                )?,
            },
            rejected: Judgement {
                codes: Codes::rejected(rejected.and_then(|rejected| rejected.status_codes.as_deref())),
                expression: expression(
                    rejected.and_then(|rejected| rejected.expression.as_ref()),
                    PartnerFault::RejectedExpression,
                )?,
            },
            roots: match &spec.trust_bundle {
                None => Roots::Public,
                Some(pem) => Roots::parse(pem).map_err(|_| PartnerFault::TrustBundle)?,
            },
            request: Request::parse(check, &spec.authentication).ok_or(PartnerFault::Request)?,
            timeout: check.timeout.get().clamp(Duration::from_secs(1), Duration::from_mins(1)),
        })
    }

    /// Whether a check can be sent to this endpoint: false for what the CRD refuses (http, user info, a query).
    #[must_use]
    pub fn can_reach(&self, endpoint: &str) -> bool {
        self.request.address(endpoint).is_some()
    }

    /// Whether some answer's body can change the outcome.
    #[must_use]
    pub fn needs_body(&self) -> bool {
        self.rejected.reads_body() || self.success.reads_body()
    }

    /// The one deadline of a check: DNS, connect, TLS, headers and body.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn by_code(&self, code: u16) -> ByCode {
        by_code(code, &self.rejected.codes, &self.success.codes)
    }

    /// The expressions that are asked about an answer that says this by its code: rejected, success.
    pub(super) fn asked(&self, by_code: ByCode) -> (Option<Expression>, Option<Expression>) {
        (
            self.rejected.expression.clone().filter(|_| by_code != ByCode::Rejected),
            self.success.expression.clone().filter(|_| by_code == ByCode::Succeeds),
        )
    }

    /// Whether judging an answer that says this by its code needs its body.
    pub(super) fn needs_body_of(&self, by_code: ByCode) -> bool {
        match by_code {
            ByCode::Rejected => false,
            ByCode::Fails(_) => self.rejected.reads_body(),
            ByCode::Succeeds => self.needs_body(),
        }
    }
}

impl Judgement {
    fn reads_body(&self) -> bool {
        self.expression.as_ref().is_some_and(Expression::reads_body)
    }
}

impl Request {
    /// `None` for a request that may not be made.
    fn parse(check: &Check, authentication: &Authentication) -> Option<Self> {
        let method = match check.method {
            Method::Get => http::Method::GET,
            Method::Head => http::Method::HEAD,
            Method::Post => http::Method::POST,
        };
        let path_is_sound = check.path.starts_with('/')
            && !check.path.starts_with("//")
            && check.path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#'));
        if !path_is_sound || (!check.body.is_empty() && method != http::Method::POST) {
            return None;
        }
        let mut taken = key_headers(authentication)?;
        let mut headers = HeaderMap::with_capacity(check.headers.len());
        for header in &check.headers {
            let name = usable(&header.name)?;
            // Neither a header that carries the key nor one that was set already.
            if taken.contains(&name) {
                return None;
            }
            taken.push(name.clone());
            headers.insert(name, printable(&header.value)?);
        }
        Some(Self { method, path: check.path.as_str().into(), headers, body: Bytes::from(check.body.clone()) })
    }

    /// The request's address: endpoint and path joined as text, never as URLs (`//evil.example` would win). `None`
    /// when that is no https address, or not one of the endpoint's own host and port.
    pub(super) fn address(&self, endpoint: &str) -> Option<Url> {
        let base = Url::parse(endpoint).ok()?;
        let address = Url::parse(&format!("{endpoint}{}", self.path)).ok()?;
        let sound = base.scheme() == "https"
            && base.username().is_empty()
            && base.password().is_none()
            && base.query().is_none()
            && base.fragment().is_none()
            && base[..Position::BeforePath] == address[..Position::BeforePath]
            && address.path().starts_with(base.path().trim_end_matches('/'));
        sound.then_some(address)
    }
}

/// The names of the headers that carry the key; `None` when the form of authentication cannot be used.
fn key_headers(authentication: &Authentication) -> Option<Vec<HeaderName>> {
    let Authentication { headers, bearer, basic } = authentication;
    match (headers, bearer, basic) {
        (Some(own), None, None) if !own.is_empty() => {
            let mut names = Vec::with_capacity(own.len());
            for header in own {
                let name = usable(&header.name)?;
                printable(header.prefix.as_deref().unwrap_or(""))?;
                if names.contains(&name) {
                    return None;
                }
                names.push(name);
            }
            Some(names)
        }
        (None, Some(_), None) | (None, None, Some(_)) => Some(vec![header::AUTHORIZATION]),
        _ => None,
    }
}

/// Headers that belong to the client, or that would change how the request is framed or where it goes.
const RESERVED: [HeaderName; 10] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::COOKIE,
    header::USER_AGENT,
];

fn usable(name: &str) -> Option<HeaderName> {
    let name: HeaderName = name.parse().ok()?;
    let reserved = RESERVED.contains(&name) || name == header::ACCEPT_ENCODING || name.as_str().starts_with("proxy-");
    (!reserved).then_some(name)
}

/// Visible ASCII and space.
fn printable(value: &str) -> Option<HeaderValue> {
    value.bytes().all(|byte| matches!(byte, b' '..=b'~')).then(|| value.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
