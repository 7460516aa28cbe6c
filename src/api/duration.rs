//! Durations as in the Gateway API (GEP-2257): `^([0-9]{1,5}(h|m|s|ms)){1,4}$`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A span of time that a user wrote, kept as written.
///
/// The spelling is kept so that a status or a spec that is written back is the one that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duration {
    text: String,
    value: std::time::Duration,
}

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a duration is one to four numbers of at most five digits, each with a unit h, m, s or ms, e.g. 1h30m")]
pub struct DurationError;

impl Duration {
    /// A whole number of seconds.
    #[must_use]
    pub fn from_secs(seconds: u64) -> Self {
        Self { text: format!("{seconds}s"), value: std::time::Duration::from_secs(seconds) }
    }

    /// A whole number of minutes.
    #[must_use]
    pub fn from_mins(minutes: u64) -> Self {
        Self { text: format!("{minutes}m"), value: std::time::Duration::from_secs(minutes.saturating_mul(60)) }
    }

    /// The span itself.
    #[must_use]
    pub fn get(&self) -> std::time::Duration {
        self.value
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let mut rest = text;
        let mut value = std::time::Duration::ZERO;
        let mut parts = 0;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            parts += 1;
            if !(1..=5).contains(&digits) || parts > 4 {
                return Err(DurationError);
            }
            let number: u64 = number.parse().map_err(|_| DurationError)?;
            let (unit, tail) = if let Some(tail) = tail.strip_prefix("ms") {
                (std::time::Duration::from_millis(number), tail)
            } else if let Some(tail) = tail.strip_prefix('s') {
                (std::time::Duration::from_secs(number), tail)
            } else if let Some(tail) = tail.strip_prefix('m') {
                (std::time::Duration::from_secs(number * 60), tail)
            } else if let Some(tail) = tail.strip_prefix('h') {
                (std::time::Duration::from_secs(number * 3600), tail)
            } else {
                return Err(DurationError);
            };
            value += unit;
            rest = tail;
        }
        if parts == 0 { Err(DurationError) } else { Ok(Self { text: text.to_owned(), value }) }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_as_the_gateway_api_says() {
        for (text, milliseconds) in [
            ("0s", 0),
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("24h", 86_400_000),
            ("1h1m1s1ms", 3_661_001),
            ("99999h99999h99999h99999h", 4 * 99_999 * 3_600_000),
            ("1ms1m", 60_001),
        ] {
            let duration: Duration = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(duration.get().as_millis(), milliseconds, "{text}");
            assert_eq!(duration.to_string(), text);
        }
        for text in ["", "10", "s", "10 s", "-1s", "+1s", ".5m", "1.5m", "1d", "100000s", "1s1s1s1s1s", "1s\n", "٣s"] {
            assert_eq!(text.parse::<Duration>(), Err(DurationError), "{text:?}");
        }
    }

    #[test]
    fn the_defaults_are_written_as_people_write_them() {
        assert_eq!(Duration::from_secs(10).to_string(), "10s");
        assert_eq!(Duration::from_mins(10), "10m".parse().unwrap_or_else(|error| panic!("{error}")));
    }
}
