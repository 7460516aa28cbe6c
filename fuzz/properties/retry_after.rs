// Included by the fuzz target of this name, and by the unit test that runs the kept corpus.

use std::time::Duration;

use http::header::{HeaderMap, HeaderValue, RETRY_AFTER, SERVER};
use jiff::Timestamp;
use partner_integration_operator::check::fuzzing::retry_after;

/// Whatever a partner puts into Retry-After, it asks for one second to one hour, or for nothing.
pub fn property(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    // 1994-11-06T08:49:00Z, near the date that the corpus begins with.
    let now = Timestamp::from_second(784_111_740).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(RETRY_AFTER, value.clone());
    let asked = retry_after(&headers, now);
    if let Some(asked) = asked {
        assert!((Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&asked), "{value:?}: {asked:?}");
    }
    // Numbers are seconds, whatever their length.
    if let Ok(text) = value.to_str()
        && let digits = text.trim()
        && !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        let seconds = digits.trim_start_matches('0');
        let expected = if seconds.len() > 4 { 3600 } else { seconds.parse().unwrap_or(0).clamp(1, 3600) };
        assert_eq!(asked, Some(Duration::from_secs(expected)), "{value:?}");
    }
    // The same a moment later is no longer a wait, and other headers do not matter, whatever their order.
    let later = retry_after(&headers, now + jiff::SignedDuration::from_secs(1));
    assert!(later <= asked || asked.is_none(), "{value:?}: {asked:?}, then {later:?}");
    let mut others = HeaderMap::new();
    others.insert(SERVER, value.clone());
    others.insert(RETRY_AFTER, value.clone());
    // Of several the first counts.
    others.append(RETRY_AFTER, HeaderValue::from_static("77"));
    assert_eq!(retry_after(&others, now), asked, "{value:?}");
}
