//! Every place of both schemas, each value alone: refused in words, or answered.

use std::sync::atomic::{AtomicU64, Ordering};

use futures::stream::{self, StreamExt as _};
use kube::core::Status;
use partner_integration_operator::api::CHECK_REQUESTED_AT;
use serde_json::{Value, json};

use crate::cases::{self, Bases, CANARY, Case, Expect};
use crate::ground::Ground;
use crate::rows;
use crate::schema::Kind;
use crate::shapes::WILD;

/// So many objects are tried side by side.
const TOGETHER: usize = 16;

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub leaves: u64,
    pub cases: u64,
    pub refused: AtomicU64,
    pub accepted: AtomicU64,
    /// How many of the accepted ones connected.
    pub connected: AtomicU64,
}

/// Tries all cases, or only that of this number.
pub async fn run(ground: &Ground, bases: &Bases, only: Option<usize>) -> Seen {
    let mut seen = Seen::default();
    let mut all = Vec::new();
    for kind in [Kind::Integration, Kind::Partner] {
        match cases::all(kind, bases) {
            Ok((found, leaves)) => {
                seen.leaves += leaves;
                all.extend(found);
            }
            Err(unknown) => unknown.into_iter().for_each(|problem| ground.violation(problem)),
        }
    }
    seen.cases = all.len() as u64;
    let mut namespaces = Vec::new();
    for _ in 0..TOGETHER {
        namespaces.push(ground.namespace("leaf").await);
    }
    let counts = &seen;
    let namespaces = &namespaces;
    stream::iter(all.iter().enumerate().filter(|(number, _)| only.is_none_or(|only| only == *number)))
        .for_each_concurrent(TOGETHER, |(number, case)| async move {
            let place = Place { ground, bases, namespace: &namespaces[number % TOGETHER], number };
            if let Err(problem) = place.try_it(case, counts).await {
                let Case { kind, path, what, .. } = case;
                ground.violation(format!(
                    "{} {path}, {what}: {problem}\n  again: {}",
                    kind.name(),
                    crate::again("leaves", number)
                ));
            }
        })
        .await;
    seen
}

/// Where one case is tried.
struct Place<'a> {
    ground: &'a Ground,
    bases: &'a Bases,
    namespace: &'a str,
    number: usize,
}

impl Place<'_> {
    async fn try_it(&self, case: &Case, seen: &Seen) -> Result<(), String> {
        let (ground, name) = (self.ground, format!("leaf-{}", self.number));
        match ground.create(case.kind, self.namespace, &name, case.object.clone()).await {
            Err(status) => {
                seen.refused.fetch_add(1, Ordering::Relaxed);
                if case.expect == Expect::Accepted {
                    return Err(format!("it is refused: {}", status.message));
                }
                refusal(case, &status)
            }
            Ok(stored) => {
                seen.accepted.fetch_add(1, Ordering::Relaxed);
                if case.expect == Expect::Refused {
                    return Err("it is accepted".to_owned());
                }
                self.created(case, &name, &stored, seen).await?;
                self.edited(case, &format!("{name}-edit")).await
            }
        }
    }

    /// An object of which the API server took everything at its creation.
    async fn created(&self, case: &Case, name: &str, stored: &Value, seen: &Seen) -> Result<(), String> {
        let ground = self.ground;
        let integration = match case.kind {
            Kind::Integration => stored.clone(),
            Kind::Partner => {
                let region = stored["spec"]["regions"][0]["name"].clone();
                self.integration(name, name, &region).await?
            }
        };
        let found = ground.observed(Kind::Integration, self.namespace, name, &integration).await;
        if case.kind == Kind::Partner {
            self.judged(name, stored).await?;
        }
        let found = found?;
        seen.connected.fetch_add(u64::from(rows::reason(&found, "Connected") == "Connected"), Ordering::Relaxed);
        ground.remove(self.namespace, name).await;
        if case.kind == Kind::Partner {
            ground.delete(Kind::Partner, "", name).await;
        }
        Ok(())
    }

    /// The same as an edit of an object that is connected; the integration answers to a request for a check even so.
    async fn edited(&self, case: &Case, name: &str) -> Result<(), String> {
        let ground = self.ground;
        let said = |status: Box<Status>| format!("an edit is refused: {}", status.message);
        let replace = json!([{"op": "replace", "path": "/spec", "value": case.object["spec"]}]);
        let stored = match case.kind {
            // Immutable, and said so by another test.
            Kind::Integration if case.path == "spec.partner" => return Ok(()),
            Kind::Integration => {
                let base = self.bases.integration.clone();
                let first = ground.create(Kind::Integration, self.namespace, name, base).await.map_err(said)?;
                ground.observed(Kind::Integration, self.namespace, name, &first).await?;
                ground.patch(Kind::Integration, self.namespace, name, &replace).await.map_err(said)?
            }
            Kind::Partner => {
                ground.create(Kind::Partner, "", name, self.bases.partner.clone()).await.map_err(said)?;
                let first = self.integration(name, name, &json!("eu1")).await?;
                ground.observed(Kind::Integration, self.namespace, name, &first).await?;
                let stored = ground.patch(Kind::Partner, "", name, &replace).await.map_err(said)?;
                self.judged(name, &stored).await?;
                first
            }
        };
        let ask = json!({"metadata": {"annotations": {CHECK_REQUESTED_AT: WILD}}});
        ground.patch(Kind::Integration, self.namespace, name, &ask).await.map_err(said)?;
        ground.observed(Kind::Integration, self.namespace, name, &stored).await?;
        ground
            .until(Kind::Integration, self.namespace, name, "answering a request for a check", |object| {
                object["status"]["lastHandledCheckRequest"] == WILD
            })
            .await?;
        ground.remove(self.namespace, name).await;
        if case.kind == Kind::Partner {
            ground.delete(Kind::Partner, "", name).await;
        }
        Ok(())
    }

    async fn integration(&self, name: &str, partner: &str, region: &Value) -> Result<Value, String> {
        let mut object = self.bases.integration.clone();
        object["spec"]["partner"] = json!(partner);
        object["spec"]["region"] = region.clone();
        let created = self.ground.create(Kind::Integration, self.namespace, name, object).await;
        created.map_err(|status| status.message)
    }

    /// A Partner's own status is about its newest spec, and says one of the reasons that there are.
    async fn judged(&self, name: &str, stored: &Value) -> Result<(), String> {
        let found = self.ground.observed(Kind::Partner, "", name, stored).await?;
        let reason = rows::reason(&found, "Ready");
        if ["Valid", "InvalidExpression", "InvalidTrustBundle"].contains(&reason) {
            return Ok(());
        }
        Err(format!("a Partner's status without a reason: {}", found["status"]))
    }
}

/// A refusal names the field, and repeats nothing that may be secret.
pub fn refusal(case: &Case, status: &Status) -> Result<(), String> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let all = causes.fold(status.message.clone(), |all, cause| format!("{all}\n{}: {}", cause.field, cause.message));
    if case.path == "spec.trustBundle" && all.contains(CANARY) {
        return Err(format!("the refusal repeats what may be a key: {all}"));
    }
    if status.code != 422 && status.code != 400 {
        return Err(format!("refused with {}: {all}", status.code));
    }
    // `regions[3]` and `regions[]` are the same place.
    let mut said = String::new();
    let mut rest = all.as_str();
    while let Some((before, after)) = rest.split_once('[') {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        said.push_str(before);
        said.push('[');
        rest = &after[digits..];
    }
    said.push_str(rest);
    let field = case.path.trim_end_matches("[]");
    let (above, name) = field.rsplit_once('.').unwrap_or(("", field));
    let above = above.trim_end_matches("[]");
    // A rule over several fields may stand at the object that holds them.
    if said.contains(field) || (said.contains(above) && said.contains(name)) {
        return Ok(());
    }
    Err(format!("the refusal does not name the field: {all}"))
}
