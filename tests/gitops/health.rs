//! Our objects in every state, judged; and that scripts, test data, snippet and documentation say the same.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::judge::{customizations, judge, root};
use crate::stage::{Objects, Seen, Stage};
use crate::states::{INTEGRATIONS, PARTNERS, State};
use crate::testdata;

/// The kinds, each with its states and what was seen of it.
fn kinds(seen: &Seen) -> [(&'static str, &'static [State], &Objects); 2] {
    [("PartnerIntegration", INTEGRATIONS, &seen.integrations), ("Partner", PARTNERS, &seen.partners)]
}

#[tokio::test]
async fn every_state_that_the_real_operator_writes_is_judged_as_the_table_says() {
    let seen = Stage::new().await.play().await;

    let verdicts = judge(&seen.untouched).await.unwrap();
    for (object, verdict) in seen.untouched.iter().zip(verdicts) {
        let name = &object["metadata"]["name"];
        let said = (&*verdict.kstatus.status, &*verdict.flux.status, &*verdict.argocd.status);
        assert_eq!(said, ("InProgress", "InProgress", "Progressing"), "nobody has looked at {name} yet");
    }
    assert!(seen.untouched.len() > 20);

    for (kind, states, objects) in kinds(&seen) {
        for state in states {
            let object = &objects[state.name];
            assert_eq!(ready_reason(object), state.reason, "{kind} {}", state.name);
            assert_eq!(object["status"]["phase"].as_str().unwrap_or_default(), state.phase, "{kind} {}", state.name);
            let verdict = judge(std::slice::from_ref(object)).await.unwrap().remove(0);
            println!(
                "{kind:18} {:24} {:10} {:11}  {}",
                state.name, state.kstatus, state.argocd, verdict.argocd.message
            );
            let said = (&*verdict.kstatus.status, &*verdict.flux.status, &*verdict.argocd.status);
            assert_eq!(said, (state.kstatus, state.kstatus, state.argocd), "{kind} {}: {verdict:#?}", state.name);
        }
    }

    for (kind, states, objects) in kinds(&seen) {
        for state in states {
            testdata::compare(kind, state.name, &objects[state.name], &seen);
        }
    }
}

fn ready_reason(object: &Value) -> &str {
    let conditions = object["status"]["conditions"].as_array();
    let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
    ready.and_then(|condition| condition["reason"].as_str()).unwrap_or_default()
}

#[tokio::test]
async fn an_object_that_is_being_deleted_is_not_current() {
    let object: Value = read("PartnerIntegration/testdata/connected.yaml");
    let mut deleted = object.clone();
    deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let verdicts = judge(&[object, deleted]).await.unwrap();
    assert_eq!((&*verdicts[0].kstatus.status, &*verdicts[1].kstatus.status), ("Current", "Terminating"));
    // Argo CD looks at the timestamp itself, and says Progressing whatever the script says.
    assert_eq!(verdicts[1].argocd, verdicts[0].argocd);
}

fn read(path: &str) -> Value {
    let path = customizations().join("integrations.kognitiv.com").join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_test_files_of_argo_cd_name_every_state_with_the_health_of_the_table() {
    for (kind, states) in [("PartnerIntegration", INTEGRATIONS), ("Partner", PARTNERS)] {
        let tests = read(&format!("{kind}/health_test.yaml"));
        let tests = tests["tests"].as_array().unwrap();
        let said: BTreeSet<(&str, &str)> = tests
            .iter()
            .map(|test| {
                let input = test["inputPath"].as_str().unwrap();
                (input, test["healthStatus"]["status"].as_str().unwrap())
            })
            .collect();
        let names: Vec<String> = states.iter().map(|state| format!("testdata/{}.yaml", state.name)).collect();
        let wanted: BTreeSet<(&str, &str)> =
            names.iter().map(String::as_str).zip(states.iter().map(|s| s.argocd)).collect();
        assert_eq!(said, wanted, "{kind}");
        assert_eq!(tests.len(), states.len(), "{kind}: each once");
    }
}

#[test]
fn the_snippet_for_argocd_cm_embeds_the_scripts_as_they_are() {
    let path = root().join("deploy/gitops/argocd/argocd-cm.yaml");
    let snippet: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let data = snippet["data"].as_object().unwrap();
    let mut keys = 0;
    for kind in ["PartnerIntegration", "Partner"] {
        let script = customizations().join(format!("integrations.kognitiv.com/{kind}/health.lua"));
        let script = std::fs::read_to_string(script).unwrap();
        let key = format!("resource.customizations.health.integrations.kognitiv.com_{kind}");
        assert_eq!(data[&key].as_str(), Some(&*script), "{key}");
        keys += 1;
    }
    assert_eq!(data.len(), keys, "{data:#?}");
}

#[test]
fn the_documentation_has_every_reason_with_what_the_tools_say() {
    let text = std::fs::read_to_string(root().join("docs/gitops.md")).unwrap();
    for (states, first) in [(INTEGRATIONS, "phase"), (PARTNERS, "")] {
        for state in states.iter().filter(|state| !["changed", ""].contains(&state.name) && !state.reason.is_empty()) {
            let row = text.lines().find(|line| {
                let cells: Vec<&str> = line.split('|').map(str::trim).collect();
                let reason = format!("`{}`", state.reason);
                let phase = first.is_empty() || cells.get(2).is_some_and(|cell| cell.contains(state.phase));
                cells.len() > 4 && cells[1].split(", ").any(|cell| cell == reason) && phase
            });
            let row = row.unwrap_or_else(|| panic!("no row for {} {}", state.reason, state.phase));
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            assert_eq!((cells[cells.len() - 3], cells[cells.len() - 2]), (state.kstatus, state.argocd), "{row}");
        }
    }
}
