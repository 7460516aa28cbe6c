//! The header `Retry-After` (RFC 9110, 10.2.3).

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(1);

/// How long the answer asks to wait, clamped to 1 s … 1 h. `None` where it does not ask, or nothing that can be read.
///
/// Of the three date formats only the one that may still be generated (IMF-fixdate) is read.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are still a number of seconds, and a large one.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let then = DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok()?;
        // A date that has passed asks for the shortest wait.
        Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO)
    };
    Some(wait.clamp(SHORTEST, LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read_and_clamped() {
        let now: Timestamp = "1994-11-06T08:49:00Z".parse().unwrap();
        for (text, seconds) in [
            ("0", Some(1)),
            ("1", Some(1)),
            ("120", Some(120)),
            (" 120 ", Some(120)),
            ("3600", Some(3600)),
            ("3601", Some(3600)),
            ("99999999999999999999999999", Some(3600)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(1)),
            ("Sun, 06 Nov 2094 08:49:37 GMT", Some(3600)),
            ("", None),
            ("-1", None),
            ("+5", None),
            ("1.5", None),
            ("soon", None),
            ("1h", None),
            ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
        let bytes = http::HeaderValue::from_bytes(b"\xff1").unwrap();
        assert_eq!(retry_after(&HeaderMap::from_iter([(RETRY_AFTER, bytes)]), now), None);
    }
}
