//! The schema of the CRDs as a list of places, each with what stands there: nothing here knows a field by its name.

use partner_integration_operator::api::crds;
use serde_json::{Map, Value, json};

use crate::shapes;

/// Of which kind an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Partner,
    Integration,
}

impl Kind {
    /// The name of the kind, as manifests say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Partner => "Partner",
            Self::Integration => "PartnerIntegration",
        }
    }

    /// The plural, as paths say it.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Partner => "partners",
            Self::Integration => "partnerintegrations",
        }
    }
}

/// One step below `spec`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Field(String),
    /// The first item of a list.
    Item,
}

/// A place in the schema.
#[derive(Clone, Debug)]
pub struct Node {
    pub kind: Kind,
    pub steps: Vec<Step>,
    pub schema: Value,
    /// The schema above requires it.
    pub required: bool,
    /// A rule above names it: whether it may be absent depends on others.
    pub mentioned: bool,
}

impl Node {
    /// `spec.regions[].endpoint`: as the messages of the rules call it.
    pub fn path(&self) -> String {
        path(&self.steps)
    }

    /// Whether nothing is below it.
    pub fn is_leaf(&self) -> bool {
        self.schema["properties"].is_null() && self.schema["items"].is_null()
    }

    /// The type that the schema says.
    pub fn type_(&self) -> &str {
        self.schema["type"].as_str().unwrap_or_default()
    }

    /// A size or a range of the schema.
    pub fn bound(&self, name: &str) -> Option<i64> {
        number(&self.schema[name])
    }
}

/// The path of these steps.
pub fn path(steps: &[Step]) -> String {
    steps.iter().fold("spec".to_owned(), |path, step| match step {
        Step::Field(name) => format!("{path}.{name}"),
        Step::Item => format!("{path}[]"),
    })
}

/// Ranges are floating-point numbers in the type of a schema.
fn number(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "sizes and ranges of ours are small and whole")]
    value.as_i64().or_else(|| value.as_f64().map(|number| number as i64))
}

/// The schema of the `spec` of a kind.
pub fn spec(kind: Kind) -> Value {
    let crds: Vec<Value> = crds().iter().map(|crd| serde_json::to_value(crd).unwrap()).collect();
    let crd = crds.into_iter().find(|crd| crd["spec"]["names"]["kind"] == kind.name()).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// Every place below the `spec` of a kind, and `spec` itself.
pub fn nodes(kind: Kind) -> Vec<Node> {
    let mut found = Vec::new();
    let node = Node { kind, steps: Vec::new(), schema: spec(kind), required: true, mentioned: false };
    walk(node, &mut Vec::new(), &mut found);
    found
}

fn walk(node: Node, rules: &mut Vec<String>, found: &mut Vec<Node>) {
    let known = rules.len();
    for rule in node.schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        rules.push(rule["rule"].as_str().unwrap_or_default().to_owned());
    }
    let schema = node.schema.clone();
    let (kind, steps) = (node.kind, node.steps.clone());
    found.push(node);
    for (name, child) in schema["properties"].as_object().into_iter().flatten() {
        let required = schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
        let mentioned = rules.iter().any(|rule| mentions(rule, name));
        let steps = [&steps[..], &[Step::Field(name.clone())]].concat();
        walk(Node { kind, steps, schema: child.clone(), required, mentioned }, rules, found);
    }
    if schema["items"].is_object() {
        let steps = [&steps[..], &[Step::Item]].concat();
        let mentioned = true;
        walk(Node { kind, steps, schema: schema["items"].clone(), required: true, mentioned }, rules, found);
    }
    rules.truncate(known);
}

/// Whether a rule has `.name` in it, as a whole word.
fn mentions(rule: &str, name: &str) -> bool {
    let word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    rule.match_indices(&format!(".{name}")).any(|(at, found)| !rule[at + found.len()..].starts_with(word))
}

/// A valid value for a place of this schema: the least that it must hold. `index` tells the items of a list apart.
///
/// # Errors
/// It is not known how a valid one is made; the error says where.
pub fn sample(steps: &[Step], schema: &Value, index: usize) -> Result<Value, String> {
    if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
        return Ok(first.clone());
    }
    match schema["type"].as_str() {
        Some("object") => {
            let mut object = Map::new();
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                let below = [steps, &[Step::Field(name.to_owned())]].concat();
                object.insert(name.to_owned(), sample(&below, &schema["properties"][name], index)?);
            }
            Ok(Value::Object(object))
        }
        Some("array") => {
            let least = usize::try_from(number(&schema["minItems"]).unwrap_or(0)).unwrap_or(0);
            let below = [steps, &[Step::Item]].concat();
            (0..least).map(|index| sample(&below, &schema["items"], index)).collect()
        }
        Some("string") => Ok(json!(shapes::usual(&path(steps), schema, index)?)),
        Some("integer") => Ok(json!(shapes::number(&path(steps), schema, index)?)),
        Some("boolean") => Ok(json!(false)),
        other => Err(format!("{}: there is no generator for the type {other:?}", path(steps))),
    }
}

/// Puts a value into a place of an object; `None` takes out what is there. What is missing above it is made.
///
/// # Errors
/// As of [`sample`].
pub fn put(object: &mut Value, root: &Value, steps: &[Step], value: Option<Value>) -> Result<(), String> {
    let (mut here, mut schema) = (&mut object["spec"], root);
    let Some((last, above)) = steps.split_last() else {
        match value {
            Some(value) => object["spec"] = value,
            None => drop(object.as_object_mut().and_then(|object| object.remove("spec"))),
        }
        return Ok(());
    };
    for (depth, step) in above.iter().enumerate() {
        schema = below(schema, step);
        here = enter(here, step);
        if here.is_null() {
            *here = sample(&steps[..=depth], schema, 0)?;
        }
    }
    match (value, last) {
        (Some(value), step) => *enter(here, step) = value,
        (None, Step::Field(name)) => drop(here.as_object_mut().and_then(|object| object.remove(name))),
        (None, Step::Item) => *here = json!([]),
    }
    Ok(())
}

fn below<'a>(schema: &'a Value, step: &Step) -> &'a Value {
    match step {
        Step::Field(name) => &schema["properties"][name.as_str()],
        Step::Item => &schema["items"],
    }
}

/// What stands at a step; null where there is nothing yet.
fn enter<'a>(here: &'a mut Value, step: &Step) -> &'a mut Value {
    match step {
        Step::Field(name) => &mut here[name.as_str()],
        Step::Item => {
            if here.as_array().is_none_or(Vec::is_empty) {
                *here = json!([null]);
            }
            &mut here[0]
        }
    }
}
