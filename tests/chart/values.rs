//! Every value of the chart: what it changes, and what is refused.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::helm::{ROOT, rendered, values_of};
use crate::manifests::{differences, leaves, objects};

/// A row of `values.yaml` beside this file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What is set.
    set: Value,
    /// What is given before and after, where a value counts only with others.
    #[serde(default)]
    given: Value,
}

fn merged(base: &Value, over: &Value) -> Value {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            let mut merged = base.clone();
            for (name, value) in over {
                merged
                    .insert(name.clone(), base.get(name).map_or_else(|| value.clone(), |old| self::merged(old, value)));
            }
            Value::Object(merged)
        }
        (base, Value::Null) => base.clone(),
        _ => over.clone(),
    }
}

fn cases() -> Vec<Case> {
    serde_saphyr::from_str(&std::fs::read_to_string(format!("{ROOT}/tests/chart/values.yaml")).unwrap()).unwrap()
}

/// Rendering takes a moment each; two at a time are enough for a machine that also builds.
fn all_rendered(wanted: &[Value]) -> Vec<String> {
    let half = wanted.len().div_ceil(2);
    std::thread::scope(|scope| {
        let parts: Vec<_> = wanted
            .chunks(half)
            .map(|part| {
                scope.spawn(move || {
                    let texts =
                        part.iter().map(|values| rendered(values).unwrap_or_else(|said| panic!("{values}: {said}")));
                    texts.collect::<Vec<_>>()
                })
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

/// The table, in `snapshots/`: what each value changes in the rendered manifests, and nothing else does.
#[test]
fn every_value_changes_what_the_table_says_and_nothing_else() {
    let cases = cases();
    let base = |case: &Case| if case.given.is_null() { json!({}) } else { case.given.clone() };
    let mut wanted: Vec<Value> = cases.iter().flat_map(|case| [base(case), merged(&base(case), &case.set)]).collect();
    wanted.dedup();
    let texts = all_rendered(&wanted);
    let of = |values: &Value| objects(&texts[wanted.iter().position(|each| each == values).unwrap()]);
    let mut table = String::new();
    for case in &cases {
        let changed = differences(&of(&base(case)), &of(&merged(&base(case), &case.set)));
        assert!(!changed.is_empty(), "{} changes nothing", case.set);
        let given = if case.given.is_null() { String::new() } else { format!(" (given {})", case.given) };
        let _ = writeln!(table, "{}{given}\n  {}\n", case.set, changed.join("\n  "));
    }
    // A release must not change it.
    let table = table.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    insta::assert_snapshot!("values", table);
}

#[test]
fn every_value_has_a_case() {
    let tried: Vec<String> = cases().iter().flat_map(|case| leaves(&case.set).into_keys()).collect();
    let within = |whole: &str, part: &str| {
        part.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let missing: Vec<_> = leaves(&values_of("values.yaml"))
        .into_keys()
        .filter(|value| !tried.iter().any(|path| within(value, path) || within(path, value)))
        .collect();
    assert!(missing.is_empty(), "add a case to tests/chart/values.yaml for {missing:?}");
}

#[test]
fn every_value_has_a_comment_in_the_readme() {
    let readme = std::fs::read_to_string(format!("{}/README.md", crate::helm::CHART)).unwrap();
    let missing: Vec<_> = leaves(&values_of("values.yaml"))
        .into_keys()
        // Of a map with entries the map is documented.
        .filter(|path| !readme.contains(&format!("| `{path}` | ")))
        .filter(|path| path.rsplit_once('.').is_none_or(|(map, _)| !readme.contains(&format!("| `{map}` | `"))))
        .collect();
    assert!(missing.is_empty(), "say in a comment of values.yaml what these do, then `make generate`: {missing:?}");
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_path() {
    let table = [
        (json!({"replica": 1}), "additional properties 'replica' not allowed"),
        (json!({"metrics": {"podMonitor": {"on": true}}}), "additional properties 'on' not allowed"),
        (json!({"replicas": "two"}), "'/replicas'"),
        (json!({"replicas": 2, "leaderElection": {"enabled": false}}), "'/replicas': maximum"),
        (json!({"secretWatch": "all"}), "'/secretWatch'"),
        (json!({"log": {"level": "verbose"}}), "'/log/level'"),
        (json!({"image": {"digest": "sha256:short"}}), "'/image/digest'"),
        (json!({"allowNetworks": ["ten"]}), "'/allowNetworks/0'"),
        (json!({"watchNamespaces": ["Shop"]}), "'/watchNamespaces/0'"),
        (json!({"leaderElection": {"leaseDuration": "15"}}), "'/leaderElection/leaseDuration'"),
        (json!({"policies": {"regionIsOffered": {"action": "Audit"}}}), "'/policies/regionIsOffered/action'"),
        (json!({"commonLabels": {"app.kubernetes.io/name": "x"}}), "app.kubernetes.io/name"),
        (json!({"metrics": {"prometheusRule": {"checksStalledAfter": "1h30m"}}}), "checksStalledAfter"),
    ];
    let mut wrong = Vec::new();
    for (values, says) in table {
        match rendered(&values) {
            Ok(_) => wrong.push(format!("{values} is accepted")),
            Err(said) if !said.contains(says) => wrong.push(format!("{values}: {said}")),
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_chart_has_the_version_of_the_operator() {
    let chart = values_of("Chart.yaml");
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}
