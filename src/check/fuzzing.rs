//! A door to what is private in here for the fuzz targets of `fuzz/` and for `benches/core.rs`; there in those and in unit tests
//! only.

#[cfg(test)]
mod tests;

use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;

use super::{CompiledCheck, judge, retry_after, stack};
use crate::core::Verdict;

/// What an answer asks to wait.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    retry_after::retry_after(headers, now)
}

/// What a whole answer is judged to be; `None` if judging panicked.
#[must_use]
pub fn judged(
    check: &CompiledCheck,
    code: u16,
    headers: &HeaderMap,
    body: Option<&[u8]>,
    now: Timestamp,
) -> Option<Verdict> {
    let by_code = check.by_code(code);
    let wait = retry_after(headers, now);
    let body = body.filter(|_| check.needs_body_of(by_code));
    let (rejected, success) = check.asked(by_code);
    let said = || judge::said(rejected.as_ref(), success.as_ref(), code, body);
    let (rejected, success) = stack::run_blocking(said)?;
    Some(judge::verdict(code, by_code, rejected, success, wait))
}
