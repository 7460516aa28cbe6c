//! For each place of a schema: valid at its bounds, just beyond them, of another type, absent, null.

use serde_json::{Value, json};

use crate::schema::{self, Kind, Node, Step};
use crate::shapes;

/// What the API server must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    Accepted,
    Refused,
    /// It depends on other fields; whatever it says is judged.
    Either,
}

/// One object.
#[derive(Clone, Debug)]
pub struct Case {
    pub kind: Kind,
    /// The place that is tried.
    pub path: String,
    /// What is tried there.
    pub what: String,
    /// A whole object, without a name.
    pub object: Value,
    pub expect: Expect,
}

/// In every text that may be secret; it must be in no answer of the API server.
pub const CANARY: &str = "canary-c0ffee-of-a-private-key";

/// The objects that all cases change one place of: they connect.
#[derive(Clone, Debug)]
pub struct Bases {
    pub partner: Value,
    pub integration: Value,
}

impl Bases {
    fn of(&self, kind: Kind) -> &Value {
        match kind {
            Kind::Partner => &self.partner,
            Kind::Integration => &self.integration,
        }
    }
}

/// What has to be so for a place to be allowed at all: the one table of rules over several fields.
fn context(path: &str) -> Value {
    if path.starts_with("spec.authentication.basic") || path.starts_with("spec.authentication.bearer") {
        json!({"authentication": {"headers": null}})
    } else if path == "spec.check.body" {
        json!({"check": {"method": "POST"}})
    } else {
        json!({})
    }
}

/// All cases of a kind, and how many leaves they are of.
///
/// # Errors
/// The places for which no valid value can be made.
pub fn all(kind: Kind, bases: &Bases) -> Result<(Vec<Case>, u64), Vec<String>> {
    let root = schema::spec(kind);
    let (mut cases, mut unknown, mut leaves) = (Vec::new(), Vec::new(), 0);
    for node in schema::nodes(kind) {
        leaves += u64::from(node.is_leaf());
        match of(&node, &root, bases) {
            Ok(found) => cases.extend(found),
            Err(problem) => unknown.push(problem),
        }
    }
    if unknown.is_empty() { Ok((cases, leaves)) } else { Err(unknown) }
}

/// What is put into one place: the words for it, the value (`None`: absent), and what the API server must say.
type Try = (String, Option<Value>, Expect);

fn of(node: &Node, root: &Value, bases: &Bases) -> Result<Vec<Case>, String> {
    let path = node.path();
    let mut base = bases.of(node.kind).clone();
    crate::world::merge(&mut base["spec"], &context(&path));
    let mut tries = match node.type_() {
        "string" => strings(node)?,
        "integer" => integers(node)?,
        "array" => arrays(node)?,
        "boolean" => vec![
            ("true".to_owned(), Some(json!(true)), Expect::Accepted),
            ("false".to_owned(), Some(json!(false)), Expect::Accepted),
        ],
        "object" => vec![("empty".to_owned(), Some(json!({})), Expect::Either)],
        other => return Err(format!("{path}: there is no generator for the type {other}")),
    };
    tries.extend(others(node));
    let mut cases = Vec::new();
    for (what, value, expect) in tries {
        let mut object = base.clone();
        schema::put(&mut object, root, &node.steps, value)?;
        cases.push(Case { kind: node.kind, path: path.clone(), what, object, expect });
    }
    if node.type_() == "object" {
        let mut object = base;
        let below = [&node.steps[..], &[Step::Field("unexpected".to_owned())]].concat();
        schema::put(&mut object, root, &below, Some(json!({"deep": [CANARY]})))?;
        // It is pruned; some objects lack what they need even so.
        let (what, expect) = ("a field that nobody knows".to_owned(), Expect::Either);
        cases.push(Case { kind: node.kind, path, what, object, expect });
    }
    Ok(cases)
}

/// Other types, absent and null: of every place.
fn others(node: &Node) -> Vec<Try> {
    let types = [
        ("string", json!(CANARY)),
        ("integer", json!(7)),
        ("number", json!(1.5)),
        ("boolean", json!(true)),
        ("array", json!([CANARY])),
        ("object", json!({"name": CANARY})),
    ];
    let mut tries: Vec<Try> = types
        .into_iter()
        .filter(|(name, _)| *name != node.type_())
        .map(|(name, value)| (format!("{name} instead of {}", node.type_()), Some(value), Expect::Refused))
        .collect();
    let missing = match (node.required, node.mentioned) {
        _ if matches!(node.steps.last(), Some(Step::Item)) => Expect::Either,
        (true, _) => Expect::Refused,
        (false, true) => Expect::Either,
        (false, false) => Expect::Accepted,
    };
    tries.push(("absent".to_owned(), None, missing));
    // A null item stays and is refused; any other is dropped.
    let null = if matches!(node.steps.last(), Some(Step::Item)) { Expect::Refused } else { missing };
    tries.push(("null".to_owned(), Some(Value::Null), null));
    tries
}

fn strings(node: &Node) -> Result<Vec<Try>, String> {
    let path = node.path();
    let mut tries: Vec<Try> = Vec::new();
    if let Some(values) = node.schema["enum"].as_array() {
        tries.extend(values.iter().map(|value| (format!("{value}"), Some(value.clone()), Expect::Accepted)));
        for other in ["", "get", "GET ", "DELETE"] {
            tries.push((format!("{other:?}, which is none of them"), Some(json!(other)), Expect::Refused));
        }
        return Ok(tries);
    }
    let shape = shapes::of(&path, &node.schema)?;
    let most = node.bound("maxLength").ok_or_else(|| format!("{path}: a text without a longest length"))?;
    let most = usize::try_from(most).unwrap_or(0);
    let least = usize::try_from(node.bound("minLength").unwrap_or(0)).unwrap_or(0);
    let shortest = least.max(shapes::shortest(shape));
    for length in [shortest, shortest + 1, most - 1, most] {
        let text = json!(shapes::text(shape, length));
        tries.push((format!("{length} characters"), Some(text), Expect::Accepted));
    }
    let longer = if path == "spec.trustBundle" {
        // A key that was pasted along with it: no answer repeats it.
        let key = format!("-----BEGIN PRIVATE KEY-----\n{CANARY}\n");
        tries.push(("a private key".to_owned(), Some(json!(key.clone())), Expect::Refused));
        format!("{key}{}", "x".repeat(most + 1 - key.len()))
    } else {
        format!("{}{}", shapes::text(shape, most), "0".repeat(most + 1 - shapes::text(shape, most).len()))
    };
    tries.push((format!("{} characters", most + 1), Some(json!(longer)), Expect::Refused));
    if least > 0 {
        tries.push((format!("{} characters", least - 1), Some(json!("x".repeat(least - 1))), Expect::Refused));
    }
    for text in shapes::broken(shape) {
        tries.push((format!("{text:?}"), Some(json!(text)), Expect::Refused));
    }
    for value in shapes::odd(&path, shape) {
        let what: String = value.to_string().chars().take(40).collect();
        tries.push((what, Some(value), Expect::Accepted));
    }
    if matches!(shape, shapes::Shape::Free | shapes::Shape::Line) {
        // Sizes count characters and not bytes.
        tries.push((format!("{most} characters of four bytes"), Some(json!("💥".repeat(most))), Expect::Accepted));
    }
    Ok(tries)
}

fn integers(node: &Node) -> Result<Vec<Try>, String> {
    let path = node.path();
    let bound = |name| node.bound(name).ok_or_else(|| format!("{path}: a number without {name}"));
    let (least, most) = (bound("minimum")?, bound("maximum")?);
    let (lowest, highest) = shapes::range(&path).map_or((least, most), |(_, lowest, highest)| (lowest, highest));
    let mut tries: Vec<Try> = Vec::new();
    for number in [lowest, lowest + 1, highest - 1, highest] {
        tries.push((number.to_string(), Some(json!(number)), Expect::Accepted));
    }
    if (lowest, highest) != (least, most) {
        for number in [least, most] {
            tries.push((number.to_string(), Some(json!(number)), Expect::Either));
        }
    }
    for number in [least - 1, most + 1, -1, 0, i64::from(i32::MAX), i64::MAX, i64::MIN] {
        let expect = if (least..=most).contains(&number) { Expect::Either } else { Expect::Refused };
        tries.push((number.to_string(), Some(json!(number)), expect));
    }
    Ok(tries)
}

fn arrays(node: &Node) -> Result<Vec<Try>, String> {
    let path = node.path();
    let least = usize::try_from(node.bound("minItems").unwrap_or(0)).unwrap_or(0);
    let most = node.bound("maxItems").ok_or_else(|| format!("{path}: a list without a largest size"))?;
    let most = usize::try_from(most).unwrap_or(0);
    let items = |count: usize| -> Result<Value, String> {
        let below = [&node.steps[..], &[Step::Item]].concat();
        (0..count).map(|index| schema::sample(&below, &node.schema["items"], index)).collect()
    };
    let mut tries: Vec<Try> = Vec::new();
    for count in [least, least + 1, most] {
        tries.push((format!("{count} items"), Some(items(count)?), Expect::Accepted));
    }
    tries.push((format!("{} items", most + 1), Some(items(most + 1)?), Expect::Refused));
    if least > 0 {
        tries.push((format!("{} items", least - 1), Some(items(least - 1)?), Expect::Refused));
    }
    let (first, list) = (items(1)?[0].clone(), node.schema["x-kubernetes-list-type"].as_str());
    if list.is_some_and(|list| list == "map" || list == "set") {
        tries.push(("one item twice".to_owned(), Some(json!([first, first])), Expect::Refused));
    }
    Ok(tries)
}
