//! The generated files are those that the types give.

use std::path::Path;

use partner_integration_operator::api;

#[path = "../../examples/generate/chart.rs"]
mod chart;
#[path = "../../examples/generate/files.rs"]
mod files;
#[path = "../../examples/generate/reference.rs"]
mod reference;

#[test]
fn generated_files_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, text) in files::all().unwrap() {
        let found = std::fs::read_to_string(root.join(&name)).unwrap_or_default();
        assert!(
            found == text,
            "{name} differs from what it is made from: run `make generate` (cargo run --example generate)"
        );
    }
}

#[test]
fn the_crds_folder_holds_the_two_crds_and_nothing_else() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["partnerintegrations.yaml", "partners.yaml"]);
}

#[test]
fn the_printed_crds_are_those_in_the_folder() {
    let printed: Vec<serde_json::Value> = serde_saphyr::from_multiple(&api::crd_yaml().unwrap()).unwrap();
    assert_eq!(printed.len(), 2);
    for (name, text) in files::all().unwrap().into_iter().filter(|(name, _)| name.starts_with("crds/")) {
        let crd: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert!(printed.contains(&crd), "{name}");
    }
}

#[test]
fn no_rule_stands_in_a_keyword_whose_message_prints_an_expression() {
    let text = api::crd_yaml().unwrap();
    for keyword in ["pattern:", "minProperties:", "maxProperties:", "nullable:", "uint"] {
        assert!(!text.contains(keyword), "{keyword}");
    }
}

#[test]
fn every_rule_has_a_message_that_names_a_field_and_every_field_is_described() {
    fn walk(path: &str, schema: &serde_json::Value) {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let message = rule["message"].as_str().unwrap_or_default();
            assert!(
                ["spec.", "status.", "metadata."].iter().any(|field| message.starts_with(field)),
                "{path}: {message}"
            );
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            assert!(property["description"].as_str().is_some_and(|text| text.ends_with('.')), "{path}.{name}");
            walk(&format!("{path}.{name}"), property);
        }
        if schema["items"].is_object() {
            walk(&format!("{path}[]"), &schema["items"]);
        }
    }
    for crd in api::crds() {
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        walk(&crd.spec.names.kind, &schema["openAPIV3Schema"]);
    }
}
