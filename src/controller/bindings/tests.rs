use super::*;
use serde_json::{Value, json};

const DATA: [&str; 2] = ["api-key", "uri"];

fn integration() -> Key {
    Key::new("shop", "datadog")
}

fn secret() -> Key {
    Key::new("shop", "binding")
}

/// A binding as the operator of this version writes it, with this JSON merged over the metadata.
fn meta(version: &str, changes: &Value) -> ObjectMeta {
    let mut meta = json!({
        "name": "binding", "namespace": "shop", "uid": "s", "resourceVersion": version,
        "labels": {"app.kubernetes.io/managed-by": "partner-integration-operator"},
        "annotations": {
            "integrations.kognitiv.com/verified": "v1:d/k/1", "integrations.kognitiv.com/region": "eu1",
        },
        "ownerReferences": [{
            "apiVersion": "integrations.kognitiv.com/v1alpha1", "kind": "PartnerIntegration",
            "name": "datadog", "uid": "uid-1",
        }],
        "managedFields": [managed(FIELD_MANAGER, &DATA)],
    });
    for (name, value) in changes.as_object().unwrap() {
        meta[name] = value.clone();
    }
    serde_json::from_value(meta).unwrap()
}

fn managed(manager: &str, entries: &[&str]) -> Value {
    let entries: serde_json::Map<_, _> = entries.iter().map(|name| (format!("f:{name}"), json!({}))).collect();
    json!({
        "manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": entries, "f:metadata": {"f:labels": {}}},
    })
}

fn asked(bindings: &Bindings, name: Option<&str>) -> (NamedSecret, Vec<Held>) {
    let key = integration();
    bindings.of(&Wanted { integration: &key, uid: "uid-1", name, entries: DATA.into() })
}

fn named(changes: &Value) -> NamedSecret {
    let bindings = Bindings::new(true);
    bindings.seen(&secret(), &meta("5", changes), true);
    asked(&bindings, Some("binding")).0
}

fn whole(seen: &NamedSecret) -> Option<bool> {
    match seen {
        NamedSecret::Ours(own) => Some(own.whole),
        NamedSecret::Absent | NamedSecret::Foreign | NamedSecret::Earlier => None,
    }
}

#[test]
fn whose_a_secret_is_follows_from_its_owner_references_alone() {
    assert_eq!(whole(&named(&json!({}))), Some(true));
    let owner = |group: &str, kind: &str, name: &str, uid: &str| json!({"ownerReferences": [{"apiVersion": format!("{group}/v1"), "kind": kind, "name": name, "uid": uid}]});
    let table = [
        (json!({"ownerReferences": null}), NamedSecret::Foreign),
        (owner(GROUP, "PartnerIntegration", "datadog", "uid-0"), NamedSecret::Earlier),
        (owner(GROUP, "PartnerIntegration", "other", "uid-0"), NamedSecret::Foreign),
        (owner("example.com", "PartnerIntegration", "datadog", "uid-1"), NamedSecret::Foreign),
        (owner(GROUP, "Partner", "datadog", "uid-1"), NamedSecret::Foreign),
    ];
    for (changes, expected) in table {
        assert_eq!(named(&changes), expected, "{changes}");
    }
    assert_eq!(asked(&Bindings::new(true), Some("binding")).0, NamedSecret::Absent);
}

#[test]
fn what_somebody_else_wrote_is_seen_in_the_managed_fields() {
    let ours = managed(FIELD_MANAGER, &DATA);
    let table = [
        (json!([ours, managed("backup", &[])]), true, "a label of somebody else"),
        (json!([ours, managed("kubectl-edit", &["api-key"])]), false, "a value of somebody else"),
        (json!([ours, managed("kubectl-edit", &["extra"])]), false, "an entry of somebody else"),
        (json!([managed(FIELD_MANAGER, &["uri"])]), false, "somebody took one out"),
        (json!([managed(FIELD_MANAGER, &["uri"]), managed(FIELD_MANAGER, &["api-key"])]), true, "two entries of ours"),
        (Value::Null, false, "somebody took all of it out"),
    ];
    for (managers, expected, why) in table {
        assert_eq!(whole(&named(&json!({"managedFields": managers}))), Some(expected), "{why}");
    }
    assert_eq!(whole(&named(&json!({"labels": null}))), Some(false), "without its label");
}

#[test]
fn a_write_of_this_process_is_whole_until_somebody_writes_after_it() {
    let bindings = Bindings::new(true);
    let shared = json!({"managedFields": [managed(FIELD_MANAGER, &DATA), managed("kubectl-edit", &["api-key"])]});
    bindings.wrote(&secret(), &meta("7", &shared));
    assert_eq!(bindings.seen(&secret(), &meta("7", &shared), true), None, "the watch shows the write");
    assert_eq!(bindings.seen(&secret(), &meta("6", &shared), true), None, "the watch is behind");
    assert_eq!(whole(&asked(&bindings, Some("binding")).0), Some(true));
    assert_eq!(bindings.seen(&secret(), &meta("8", &shared), true), Some(vec![integration(), integration()]));
    assert_eq!(whole(&asked(&bindings, Some("binding")).0), Some(false));
}

#[test]
fn those_of_ours_under_another_name_are_strays_and_others_are_not() {
    let bindings = Bindings::new(true);
    bindings.seen(&secret(), &meta("5", &json!({})), false);
    bindings.seen(&Key::new("shop", "unlabelled"), &meta("6", &json!({"labels": null})), false);
    bindings.seen(&Key::new("shop", "foreign"), &meta("7", &json!({"ownerReferences": null})), false);
    let version = SecretVersion { uid: "s".into(), resource_version: "5".into() };
    assert_eq!(
        asked(&bindings, Some("new")),
        (NamedSecret::Absent, vec![Held { name: "binding".into(), version: version.clone() }])
    );
    assert!(!bindings.knows(&Key::new("shop", "foreign")), "nobody names it");
    assert_eq!(asked(&bindings, Some("binding")).1, [], "it is the one that is wanted");
    assert_eq!(bindings.deleted(&secret(), &version), Some(vec![integration()]));
    assert_eq!(asked(&bindings, None).1, []);
}

#[test]
fn a_new_list_forgets_what_it_does_not_hold_and_a_deletion_of_an_earlier_one_is_none() {
    let bindings = Bindings::new(true);
    bindings.seen(&secret(), &meta("5", &json!({})), true);
    let earlier = SecretVersion { uid: "old".into(), resource_version: "4".into() };
    assert_eq!(bindings.deleted(&secret(), &earlier), None);
    assert!(bindings.retain(None, &[secret()].into()).is_empty());
    assert_eq!(bindings.retain(None, &HashSet::new()), [(secret(), vec![integration()])]);
    assert!(!bindings.knows(&secret()));
}

#[test]
fn nothing_is_kept_without_bindings() {
    let bindings = Bindings::new(false);
    assert_eq!(bindings.seen(&secret(), &meta("5", &json!({})), true), None);
    assert!(!bindings.knows(&secret()));
}
