// Included by the fuzz target of this name, and by the unit test that runs the kept corpus.

use std::sync::LazyLock;

use partner_integration_operator::api::Duration;
use regex::Regex;

/// The rule of the CRD, and one of its parts.
static WHOLE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\A([0-9]{1,5}(h|m|s|ms)){1,4}\z").unwrap());
static PART: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"([0-9]{1,5})(ms|h|m|s)").unwrap());

/// A duration is what the Gateway API's pattern says, and is worth what its parts are worth.
pub fn property(text: &str) {
    let parsed = text.parse::<Duration>();
    assert_eq!(parsed.is_ok(), WHOLE.is_match(text), "{text:?}");
    let Ok(duration) = parsed else { return };
    let worth = PART.captures_iter(text).map(|part| {
        let number: u128 = part[1].parse().unwrap();
        number * match &part[2] {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1000,
            _ => 1,
        }
    });
    assert_eq!(duration.get().as_millis(), worth.sum::<u128>(), "{text:?}");
    assert_eq!(duration.to_string(), text);
    let json = serde_json::to_string(&duration).unwrap();
    assert_eq!(serde_json::from_str::<Duration>(&json).unwrap(), duration);
}
