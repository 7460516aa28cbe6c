//! Objects in the store that the schema of today would refuse, among them those that do not decode: they stop nobody else,
//! and those that decode are answered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use partner_integration_operator::api::{Partner, PartnerIntegration};
use serde_json::json;

use crate::cases::{self, Bases, Case, Expect};
use crate::ground::Ground;
use crate::schema::Kind;
use crate::support::controlplane::{install_crds, loosen_crds};
use crate::support::wait_for;

/// So many are stored side by side.
const TOGETHER: usize = 16;
/// Until another schema is in force.
const IN_FORCE: Duration = Duration::from_secs(40);

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub stored: AtomicU64,
    /// Those that the operator cannot read.
    pub unreadable: AtomicU64,
}

/// Stores every value that was to be refused, with the validation switched off, and switches it on again.
pub async fn run(ground: &Ground, bases: &Bases, only: Option<usize>) -> Seen {
    let seen = Seen::default();
    let counts = &seen;
    loosen(ground).await;
    let mut all: Vec<Case> = Vec::new();
    for kind in [Kind::Integration, Kind::Partner] {
        all.extend(cases::all(kind, bases).map(|(cases, _)| cases).unwrap_or_default());
    }
    all.retain(|case| case.expect == Expect::Refused);
    let namespace = &ground.namespace("stored").await;
    stream::iter(all.iter().enumerate().filter(|(number, _)| only.is_none_or(|only| only == *number)))
        .for_each_concurrent(TOGETHER, |(number, case)| async move {
            if let Err(problem) = store(ground, bases, namespace, number, case, counts).await {
                let Case { kind, path, what, .. } = case;
                let again = crate::again("stored", number);
                ground.violation(format!("stored {} {path}, {what}: {problem}\n  again: {again}", kind.name()));
            }
        })
        .await;
    tighten(ground).await;
    seen
}

async fn store(
    ground: &Ground,
    bases: &Bases,
    namespace: &str,
    number: usize,
    case: &Case,
    seen: &Seen,
) -> Result<(), String> {
    let name = format!("stored-{number}");
    let stored = match ground.create(case.kind, namespace, &name, case.object.clone()).await {
        Ok(stored) => stored,
        // Some are no objects at all.
        Err(status) if status.code == 400 || status.code == 422 => return Ok(()),
        Err(status) => return Err(status.message),
    };
    seen.stored.fetch_add(1, Ordering::Relaxed);
    let readable = match case.kind {
        Kind::Partner => serde_json::from_value::<Partner>(stored.clone()).is_ok(),
        Kind::Integration => serde_json::from_value::<PartnerIntegration>(stored.clone()).is_ok(),
    };
    seen.unreadable.fetch_add(u64::from(!readable), Ordering::Relaxed);
    let integration = match case.kind {
        Kind::Integration if readable => stored,
        Kind::Integration => return Ok(()),
        Kind::Partner => {
            let mut object = bases.integration.clone();
            object["spec"]["partner"] = json!(name);
            // Whatever it says of its regions.
            if let Some(region) = stored["spec"]["regions"][0]["name"].as_str() {
                object["spec"]["region"] = json!(region);
            }
            let created = ground.create(Kind::Integration, namespace, &name, object).await;
            created.map_err(|status| status.message)?
        }
    };
    ground.observed(Kind::Integration, namespace, &name, &integration).await.map(drop)
}

/// Switches every validation of both kinds off, and waits until that is in force.
async fn loosen(ground: &Ground) {
    loosen_crds(&ground.client).await.unwrap();
    for kind in [Kind::Partner, Kind::Integration] {
        wait_for("the loosened schema", IN_FORCE, async || accepts_anything(ground, kind).await).await.unwrap();
    }
}

/// Switches the validation on again.
async fn tighten(ground: &Ground) {
    install_crds(&ground.client).await.unwrap();
    for kind in [Kind::Partner, Kind::Integration] {
        wait_for("the schema of before", IN_FORCE, async || !accepts_anything(ground, kind).await).await.unwrap();
    }
}

async fn accepts_anything(ground: &Ground, kind: Kind) -> bool {
    let object = json!({"apiVersion": "integrations.kognitiv.com/v1alpha1", "kind": kind.name(), "spec": {"any": 1}});
    ground.try_create(kind, "default", "any", object).await.is_ok()
}
