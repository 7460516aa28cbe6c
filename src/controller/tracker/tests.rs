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
