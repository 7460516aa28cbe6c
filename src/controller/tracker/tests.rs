use super::*;

fn object(uid: &str) -> PartnerIntegration {
    let integration = serde_json::json!({
        "apiVersion": "integrations.kognitiv.com/v1alpha1",
        "kind": "PartnerIntegration",
        "metadata": {"namespace": "shop", "name": "it", "uid": uid},
        "spec": {"partner": "datadog"},
    });
    serde_json::from_value(integration).unwrap()
}

#[tokio::test]
async fn a_request_that_is_under_way_when_a_deletion_is_seen_takes_no_further_step() {
    let (tracker, key) = (Tracker::default(), Key::new("shop", "it"));
    tracker.seen(&object("old"));
    assert_eq!(tracker.while_kept(&key, "old", async { 1 }).await, Some(1));
    let work = async {
        tracker.seen(&object("new"));
        tokio::task::yield_now().await;
        panic!("a step after the deletion was seen");
    };
    assert_eq!(tracker.while_kept(&key, "old", work).await, None::<()>);
    assert_eq!(tracker.while_kept(&key, "old", async { panic!("not even begun") }).await, None::<()>);
    let mut deleted = object("new");
    deleted.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::now()));
    tracker.seen(&deleted);
    assert_eq!(tracker.while_kept(&key, "new", async { panic!("it is being deleted") }).await, None::<()>);
}

#[test]
fn what_was_written_is_known_until_the_watch_has_shown_it_also_after_a_further_round() {
    let (tracker, key) = (Tracker::default(), Key::new("shop", "it"));
    let of_version = |version: &str| {
        let mut integration = object("uid");
        integration.metadata.resource_version = Some(version.into());
        Arc::new(integration)
    };
    let version = |object: Arc<PartnerIntegration>| object.resource_version().unwrap();
    tracker.seen(&of_version("3"));
    tracker.ahead(&key, "uid", of_version("7"));
    assert_eq!(version(tracker.newest(&key, of_version("7"), false)), "7", "a further round, over what was written");
    assert_eq!(version(tracker.newest(&key, of_version("3"), true)), "7", "the watch is still behind");
    assert_eq!(version(tracker.newest(&key, of_version("7"), true)), "7", "it has caught up");
    assert_eq!(version(tracker.newest(&key, of_version("6"), true)), "6", "and nothing is kept");
}

/// A tracker in office with an open check that began with `began_with`.
fn checking(began_with: Fingerprint) -> (Tracker, Key) {
    let (tracker, key) = (Tracker::default(), Key::new("shop", "it"));
    tracker.seen(&object("uid"));
    tracker.take_office(Term::FIRST);
    let plan = Plan { tuple: tuple(), proved: false, request: None, began_with };
    tracker.start(&key, "uid", Term::FIRST, &plan, |_, _| AbortOnDropHandle::new(tokio::spawn(std::future::pending())));
    (tracker, key)
}

fn tuple() -> Tuple {
    let secret = crate::core::SecretVersion { uid: "s".into(), resource_version: "1".into() };
    Tuple { digest: "d".into(), secret }
}

/// The only check so far ends; which status its outcome belongs to.
fn ends(tracker: &Tracker, key: &Key) -> Fingerprint {
    let (began_with, at) = (Fingerprint::of(None), jiff::Timestamp::now());
    let ended = Ended { tuple: tuple(), request: None, began_with, verdict: crate::core::Verdict::Connected, at };
    tracker.ended(key, "uid", 1, Some(ended));
    belongs_to(tracker, key)
}

fn belongs_to(tracker: &Tracker, key: &Key) -> Fingerprint {
    let Check::Ended(ended) = tracker.view(key, "uid").unwrap().check else { panic!("no outcome") };
    ended.began_with
}

/// Fingerprints of three different statuses.
fn statuses() -> [Fingerprint; 3] {
    [1, 2, 3].map(|observed_generation| {
        let status = crate::api::PartnerIntegrationStatus { observed_generation, ..Default::default() };
        Fingerprint::of(Some(&status))
    })
}

#[tokio::test]
async fn an_outcome_belongs_to_the_status_that_its_check_began_with_and_to_what_we_made_of_it() {
    let [first, second, third] = statuses();
    let (tracker, key) = checking(first);
    tracker.rebase(&key, "uid", Term::FIRST, first, second);
    assert_eq!(ends(&tracker, &key), second, "our own write, while it ran");
    tracker.rebase(&key, "uid", Term::FIRST, second, third);
    assert_eq!(belongs_to(&tracker, &key), third, "and after it had ended, before it was taken up");
}

#[tokio::test]
async fn a_write_over_what_somebody_else_has_written_does_not_make_an_outcome_belong_to_it() {
    let [first, anothers, ours] = statuses();
    let (tracker, key) = checking(first);
    tracker.rebase(&key, "uid", Term::FIRST, anothers, ours);
    assert_eq!(ends(&tracker, &key), first, "while it ran");
    tracker.rebase(&key, "uid", Term::FIRST, anothers, ours);
    assert_eq!(belongs_to(&tracker, &key), first, "after it had ended");
}
