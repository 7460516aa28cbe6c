//! Manifests by name, and what differs between two sets of them.

use std::collections::BTreeMap;

use serde_json::Value;

/// Objects by `Kind/namespace/name`, or `Kind/name` where there is no namespace.
pub type Objects = BTreeMap<String, Value>;

/// The objects of a stream of YAML documents.
pub fn objects(yaml: &str) -> Objects {
    let documents: Vec<Option<Value>> = serde_saphyr::from_multiple(yaml).unwrap();
    let mut objects = Objects::new();
    for object in documents.into_iter().flatten() {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let name = [text("/kind"), text("/metadata/namespace"), text("/metadata/name")];
        let name = name.into_iter().flatten().collect::<Vec<_>>().join("/");
        assert!(objects.insert(name.clone(), object).is_none(), "two objects are {name}");
    }
    objects
}

/// Each leaf by its path. A list of plain values and whatever is empty are leaves.
pub fn leaves(value: &Value) -> BTreeMap<String, Value> {
    fn walk(path: &str, value: &Value, leaves: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (name, field) in fields {
                    walk(&if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, field, leaves);
                }
            }
            Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
                for (number, item) in items.iter().enumerate() {
                    walk(&format!("{path}[{number}]"), item, leaves);
                }
            }
            _ => drop(leaves.insert(path.to_owned(), value.clone())),
        }
    }
    let mut found = BTreeMap::new();
    walk("", value, &mut found);
    found
}

/// A line for each leaf that one has and the other has not, or has otherwise; an object that is gone is one line. One that has
/// another name than before is compared with what it was.
pub fn differences(before: &Objects, after: &Objects) -> Vec<String> {
    let mut lines: Vec<String> =
        before.keys().filter(|name| !after.contains_key(*name)).map(|name| format!("- {name}")).collect();
    for (name, object) in after {
        let old = before.get(name).or_else(|| {
            let gone = before.iter().filter(|(name, old)| !after.contains_key(*name) && old["kind"] == object["kind"]);
            let gone: Vec<_> = gone.map(|(_, old)| old).collect();
            gone.first().copied().filter(|_| gone.len() == 1)
        });
        let (old, new) = (old.map(leaves).unwrap_or_default(), leaves(object));
        let changes = |sign: &str, some: &BTreeMap<String, Value>, others: &BTreeMap<String, Value>| {
            let changed = some.iter().filter(|(path, value)| others.get(*path) != Some(value));
            let changed = changed.filter(|(path, _)| sign == "+" || !others.contains_key(*path));
            changed.map(|(path, value)| format!("{sign} {name} {path}: {value}")).collect::<Vec<_>>()
        };
        lines.extend(changes("-", &old, &new));
        lines.extend(changes("+", &new, &old));
    }
    lines
}
