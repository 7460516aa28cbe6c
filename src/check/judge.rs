//! Judging an answer: section 6's order, as one pure function.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::core::{Failure, Reason, Verdict};

use super::expression::Expression;

/// A set of status codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Codes {
    Range(RangeInclusive<u16>),
    Listed(Box<[u16]>),
}

impl Codes {
    /// 200 to 299 where `listed` is absent.
    pub(super) fn success(listed: Option<&[u16]>) -> Self {
        listed.map_or(Self::Range(200..=299), |codes| Self::Listed(codes.into()))
    }

    /// 401 and 403 where `listed` is absent.
    pub(super) fn rejected(listed: Option<&[u16]>) -> Self {
        Self::Listed(listed.unwrap_or(&[401, 403]).into())
    }

    pub(super) fn contains(&self, code: u16) -> bool {
        match self {
            Self::Range(range) => range.contains(&code),
            Self::Listed(codes) => codes.contains(&code),
        }
    }
}

/// What a code says before any expression is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByCode {
    /// A rejected code. No expression can say otherwise.
    Rejected,
    /// This failure, unless `rejected.expression` is true.
    Fails(Reason),
    /// Connected, if `success.expression` says so too, and unless `rejected.expression` is true.
    Succeeds,
}

/// Reads the code, in the order of section 6.
pub(super) fn by_code(code: u16, rejected: &Codes, success: &Codes) -> ByCode {
    match code {
        _ if rejected.contains(code) => ByCode::Rejected,
        429 => ByCode::Fails(Reason::RateLimited),
        300..=399 => ByCode::Fails(Reason::RedirectRefused),
        408 | 425 | 500..=599 => ByCode::Fails(Reason::PartnerUnavailable),
        _ if success.contains(code) => ByCode::Succeeds,
        _ => ByCode::Fails(Reason::UnexpectedResponse),
    }
}

/// What the two expressions say of an answer; an absent one says what changes nothing. It may take a while and it
/// recurses: only within [`DeepThreads`](super::stack::DeepThreads).
pub(super) fn said(
    rejected: Option<&Expression>,
    success: Option<&Expression>,
    code: u16,
    body: Option<&[u8]>,
) -> (bool, bool) {
    // No JSON: invalid UTF-8, HTML, nothing at all. The parser bounds how deep it goes. A body may repeat the key; it is
    // freed by the caller, and cannot be zeroed, because neither its chunks nor the parsed form are ours.
    let json = body.and_then(|bytes| serde_json::from_slice(bytes).ok());
    let is_rejected = rejected.is_some_and(|expression| expression.holds(code, json.as_ref()));
    (is_rejected, success.is_none_or(|expression| expression.holds(code, json.as_ref())))
}

/// The outcome. `rejected` and `success` are what the expressions say; an absent `rejected` is false, an absent
/// `success` true. `retry_after` is what the answer asked for; it counts on 429 and 503 only.
pub(super) fn verdict(
    code: u16,
    by_code: ByCode,
    rejected: bool,
    success: bool,
    retry_after: Option<Duration>,
) -> Verdict {
    let reason = match by_code {
        ByCode::Rejected => Reason::CredentialRejected,
        _ if rejected => Reason::CredentialRejected,
        ByCode::Fails(reason) => reason,
        ByCode::Succeeds if success => return Verdict::Connected,
        ByCode::Succeeds => Reason::UnexpectedResponse,
    };
    let waits = matches!((reason, code), (Reason::RateLimited, _) | (Reason::PartnerUnavailable, 503));
    Verdict::Failed(Failure { reason, code: Some(code), retry_after: retry_after.filter(|_| waits) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each code once, with the defaults, and with what an expression can change about it.
    #[test]
    fn codes_are_judged_in_the_order_of_the_design() {
        let (rejected, success) = (Codes::rejected(None), Codes::success(None));
        for code in 100..=999_u16 {
            let expected = match code {
                401 | 403 => ByCode::Rejected,
                429 => ByCode::Fails(Reason::RateLimited),
                408 | 425 => ByCode::Fails(Reason::PartnerUnavailable),
                _ => match code / 100 {
                    2 => ByCode::Succeeds,
                    3 => ByCode::Fails(Reason::RedirectRefused),
                    5 => ByCode::Fails(Reason::PartnerUnavailable),
                    _ => ByCode::Fails(Reason::UnexpectedResponse),
                },
            };
            assert_eq!(by_code(code, &rejected, &success), expected, "{code}");
        }
    }

    #[test]
    fn listed_codes_take_the_place_of_the_defaults() {
        let (rejected, success) = (Codes::rejected(Some(&[400, 500])), Codes::success(Some(&[204, 404])));
        for (code, expected) in [
            (400, ByCode::Rejected),
            (500, ByCode::Rejected),
            (401, ByCode::Fails(Reason::UnexpectedResponse)),
            (204, ByCode::Succeeds),
            (404, ByCode::Succeeds),
            (200, ByCode::Fails(Reason::UnexpectedResponse)),
            (501, ByCode::Fails(Reason::PartnerUnavailable)),
        ] {
            assert_eq!(by_code(code, &rejected, &success), expected, "{code}");
        }
        // Refused at apply, but stored by an older schema: the order still decides.
        let (rejected, success) = (Codes::rejected(Some(&[200])), Codes::success(Some(&[200, 302, 429, 503])));
        for (code, expected) in [
            (200, ByCode::Rejected),
            (302, ByCode::Fails(Reason::RedirectRefused)),
            (429, ByCode::Fails(Reason::RateLimited)),
            (503, ByCode::Fails(Reason::PartnerUnavailable)),
        ] {
            assert_eq!(by_code(code, &rejected, &success), expected, "{code}");
        }
    }

    #[test]
    fn expressions_change_what_section_6_lets_them_change() {
        let reason = |code, by_code, rejected, success| match verdict(code, by_code, rejected, success, None) {
            Verdict::Failed(failure) => {
                assert_eq!(failure.code, Some(code));
                failure.reason
            }
            Verdict::Connected => Reason::Connected,
            Verdict::NotMade(reason) => reason,
        };
        let unavailable = ByCode::Fails(Reason::PartnerUnavailable);
        for (code, by_code, rejected, success, expected) in [
            (200, ByCode::Succeeds, false, true, Reason::Connected),
            (200, ByCode::Succeeds, false, false, Reason::UnexpectedResponse),
            (200, ByCode::Succeeds, true, true, Reason::CredentialRejected),
            (401, ByCode::Rejected, false, true, Reason::CredentialRejected),
            (500, unavailable, false, true, Reason::PartnerUnavailable),
            (500, unavailable, true, true, Reason::CredentialRejected),
            (302, ByCode::Fails(Reason::RedirectRefused), true, false, Reason::CredentialRejected),
        ] {
            assert_eq!(reason(code, by_code, rejected, success), expected, "{code} {by_code:?} {rejected} {success}");
        }
    }

    #[test]
    fn retry_after_counts_on_429_and_503_only() {
        let asked = Some(Duration::from_secs(7));
        for (code, by_code, kept) in [
            (429, ByCode::Fails(Reason::RateLimited), asked),
            (503, ByCode::Fails(Reason::PartnerUnavailable), asked),
            (500, ByCode::Fails(Reason::PartnerUnavailable), None),
            (302, ByCode::Fails(Reason::RedirectRefused), None),
            (404, ByCode::Fails(Reason::UnexpectedResponse), None),
            (401, ByCode::Rejected, None),
        ] {
            match verdict(code, by_code, false, true, asked) {
                Verdict::Failed(failure) => assert_eq!(failure.retry_after, kept, "{code}"),
                other => panic!("{code}: {other:?}"),
            }
        }
    }
}
