//! Failures of others that are about time, by their names: what this core does where they went wrong. Those about requests and
//! objects are in `tests/regressions`.

use std::time::Duration;

use super::fixture::{World, answered};
use crate::api::Phase;
use crate::core::{Reason, Verdict};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn refused() -> Verdict {
    answered(Reason::CredentialRejected, 401, None)
}

/// A new integration whose key the partner refuses; how many requests that is in this time.
fn requests_of_a_bad_key(span: Duration) -> usize {
    let mut world = World::new();
    world.step();
    world.run(span, |_, _| refused());
    assert_eq!((world.status().phase, world.reason()), (Phase::Failed, Reason::CredentialRejected));
    world.checks
}

/// external-secrets: a `SecretStore` with a bad key was validated again and again, and the vendor's quota of a day was gone in
/// 20 minutes. <https://github.com/external-secrets/external-secrets/issues/4925>
#[test]
fn external_secrets_4925_a_bad_key_does_not_burn_the_quota_of_a_day_in_twenty_minutes() {
    let requests = requests_of_a_bad_key(20 * MINUTE);
    assert!((2..=3).contains(&requests), "{requests} requests in 20 minutes");
}

/// Kong's operator: a refused token was tried every 3 seconds, for ever: 28,800 times a day.
/// <https://github.com/Kong/kong-operator>
#[test]
fn kong_operator_a_bad_key_is_not_tried_every_three_seconds_for_ever() {
    let requests = requests_of_a_bad_key(DAY);
    assert!((20..=35).contains(&requests), "{requests} requests a day");
}

/// external-secrets: a store went on saying Valid after its token had expired.
/// <https://github.com/external-secrets/external-secrets/issues/5038>
#[test]
fn external_secrets_5038_a_key_that_expires_is_failed_at_the_next_check_within_the_interval() {
    let mut world = World::connected();
    let asked = world.wait_for_check();
    assert!(asked <= 11 * MINUTE, "asked after {asked:?}, the interval is 10 minutes");
    world.end(refused());
    assert_eq!((world.status().phase, world.status().connected), (Phase::Failed, false));
    assert_eq!((world.reason(), world.status().verified.is_none()), (Reason::CredentialRejected, true));
}

/// external-secrets: after one transient error a store stayed as it was until somebody edited it.
/// <https://github.com/external-secrets/external-secrets/issues/2035>
#[test]
fn external_secrets_2035_a_transient_error_is_tried_again_by_itself_and_left_behind() {
    for failures in [1, 5, 30] {
        let mut world = World::new();
        world.step();
        let answer = |_: &_, check: usize| match check {
            check if check <= failures => answered(Reason::PartnerUnavailable, 503, None),
            _ => Verdict::Connected,
        };
        // Full jitter is half of the delay on average; the draw here is a half.
        world.run(DAY, answer);
        assert_eq!((world.status().phase, world.reason()), (Phase::Enabled, Reason::Connected), "{failures}");
        assert_eq!(world.count(), None);
    }
}
