//! The reference page of the API, from the CRDs: what is on it is what the API server enforces.

use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use partner_integration_operator::api;

const HEAD: &str = "\
<!-- Generated from src/api by `make generate`. Do not edit. -->

# API reference

What stands here is also in the cluster: `kubectl explain partnerintegration.spec --recursive`.
Everything that breaks a rule below is refused by the API server when it is applied; the rule's sentence is the
message. Sizes are in characters. A field without a default that is not required may be left out.
";

const ANNOTATION: &str = "\
Its first 64 characters come back in `status.lastHandledCheckRequest` together with the outcome.";

/// The whole page.
pub fn page(crds: &[CustomResourceDefinition]) -> String {
    let mut text = HEAD.to_owned();
    for crd in crds {
        kind(&mut text, crd);
    }
    text
}

fn kind(text: &mut String, crd: &CustomResourceDefinition) {
    let names = &crd.spec.names;
    let scope = if crd.spec.scope == "Namespaced" { "Namespaced" } else { "Cluster-scoped" };
    for version in &crd.spec.versions {
        let Some(root) = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref()) else {
            continue;
        };
        let _ = write!(text, "\n## {}\n\n`apiVersion: {}/{}`. {scope}.", names.kind, crd.spec.group, version.name);
        let _ = write!(text, " `kubectl get {}`", names.plural);
        for short in names.short_names.iter().flatten() {
            let _ = write!(text, ", short `{short}`");
        }
        for category in names.categories.iter().flatten() {
            let _ = write!(text, ", category `{category}`");
        }
        let _ = writeln!(text, ".\n\n{}", sentence(root));
        rules(text, root);
        let selectable: Vec<_> = version.selectable_fields.iter().flatten().map(|field| &field.json_path).collect();
        if !selectable.is_empty() {
            text.push_str("\nFor `--field-selector`:");
            for (index, path) in selectable.iter().enumerate() {
                let _ = write!(text, "{} `{}`", if index == 0 { "" } else { "," }, path.trim_start_matches('.'));
            }
            text.push_str(".\n");
        }
        columns(text, version);
        if names.kind == "PartnerIntegration" {
            let _ = writeln!(
                text,
                "\nThe annotation `{}` asks for a check now: any new value does. {ANNOTATION}",
                api::CHECK_REQUESTED_AT
            );
        }
        for part in ["spec", "status"] {
            if let Some(schema) = root.properties.as_ref().and_then(|properties| properties.get(part)) {
                object(text, &names.kind, part, schema);
            }
        }
    }
}

fn columns(text: &mut String, version: &CustomResourceDefinitionVersion) {
    text.push_str("\n| column | from | |\n|---|---|---|\n");
    for column in version.additional_printer_columns.iter().flatten() {
        let wide = if column.priority.unwrap_or(0) > 0 { "with `-o wide`. " } else { "" };
        let description = column.description.as_deref().unwrap_or_default();
        let name = column.name.to_uppercase();
        let path = column.json_path.trim_start_matches('.');
        let _ = writeln!(text, "| {name} | `{path}` | {wide}{description} |");
    }
}

/// One object: its fields as a table, then the objects in it, each with a heading of its own.
fn object(text: &mut String, kind: &str, path: &str, schema: &JSONSchemaProps) {
    let _ = writeln!(text, "\n### {kind} `{path}`\n\n{}", sentence(schema));
    if let Some(default) = &schema.default {
        let _ = writeln!(text, "\nUntil it is written: `{}`", default.0);
    }
    rules(text, schema);
    let Some(properties) = &schema.properties else { return };
    if properties.is_empty() {
        return;
    }
    let required = |name: &String| schema.required.as_ref().is_some_and(|required| required.contains(name));
    text.push_str("\n| field | type | | what it is, and its rules |\n|---|---|---|---|\n");
    let mut fields: Vec<_> = properties.iter().collect();
    fields.sort_by_key(|(name, _)| !required(name));
    for (name, field) in &fields {
        let need = match &field.default {
            Some(default) => format!("default `{}`", default.0),
            None if required(name) => "required".to_owned(),
            None => String::new(),
        };
        let _ = writeln!(text, "| `{name}` | {} | {need} | {} |", type_of(field), cell(&description(field)));
    }
    for (name, field) in &fields {
        match &field.items {
            Some(JSONSchemaPropsOrArray::Schema(item)) if item.properties.is_some() => {
                object(text, kind, &format!("{path}.{name}[]"), item);
            }
            _ if field.properties.is_some() => object(text, kind, &format!("{path}.{name}"), field),
            _ => {}
        }
    }
}

/// The rules of an object as a whole.
fn rules(text: &mut String, schema: &JSONSchemaProps) {
    let messages = messages(schema);
    if messages.is_empty() {
        return;
    }
    text.push('\n');
    for message in messages {
        let _ = writeln!(text, "- {}", plain(&message));
    }
}

fn messages(schema: &JSONSchemaProps) -> Vec<String> {
    let rules = schema.x_kubernetes_validations.iter().flatten();
    rules.map(|rule| rule.message.clone().unwrap_or_else(|| rule.rule.clone())).collect()
}

/// What a field is, its values and sizes, and its rules; those of an item of a plain list too.
fn description(field: &JSONSchemaProps) -> String {
    let mut parts = vec![sentence(field)];
    parts.extend(bounds(field));
    parts.extend(list(field).map(str::to_owned));
    if field.properties.is_none() {
        parts.extend(messages(field).into_iter().map(|message| format!("<br>• {}.", plain(&message))));
    }
    parts.retain(|part| !part.is_empty());
    parts.join(" ")
}

fn sentence(schema: &JSONSchemaProps) -> String {
    schema.description.as_deref().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn list(field: &JSONSchemaProps) -> Option<&'static str> {
    match field.x_kubernetes_list_type.as_deref() {
        Some("set") => Some("Each value once."),
        Some("map")
            if field.x_kubernetes_list_map_keys.as_ref().is_some_and(|keys| keys.contains(&"name".to_owned())) =>
        {
            Some("Each `name` once.")
        }
        Some("map") => Some("Each `type` once."),
        _ => None,
    }
}

fn bounds(field: &JSONSchemaProps) -> Option<String> {
    let range = |least: Option<String>, most: Option<String>, unit: &str| match (least, most) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}.")),
        (None, Some(most)) => Some(format!("At most {most}{unit}.")),
        (Some(least), None) => Some(format!("At least {least}{unit}.")),
        (None, None) => None,
    };
    let text = |number: i64| number.to_string();
    range(field.min_length.map(text), field.max_length.map(text), " characters")
        .or_else(|| range(field.min_items.map(text), field.max_items.map(text), " items"))
        .or_else(|| range(field.minimum.map(|n| n.to_string()), field.maximum.map(|n| n.to_string()), ""))
}

fn type_of(field: &JSONSchemaProps) -> String {
    if let Some(values) = &field.enum_ {
        return values.iter().filter_map(|value| value.0.as_str()).collect::<Vec<_>>().join(", ");
    }
    match (&field.type_, &field.items) {
        (_, Some(JSONSchemaPropsOrArray::Schema(item))) => format!("list of {}", type_of(item)),
        (Some(_), _) if field.format.as_deref() == Some("date-time") => "time".to_owned(),
        (Some(name), _) => name.clone(),
        _ => String::new(),
    }
}

/// A message as it is printed, not as Markdown.
fn plain(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for character in message.chars() {
        if matches!(character, '*' | '_' | '`' | '<' | '~' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

/// Text in a table: a bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
