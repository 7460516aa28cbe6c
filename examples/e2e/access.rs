//! Least privilege, shown: what the operator's account may do, by the roles that the chart bound to it, against what it did,
//! by the API server's audit log. Every verb must have been used, and nothing refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kube::Api;
use kube::api::ListParams;
use serde::Deserialize;

use crate::Result;
use crate::stage::{RELEASE, SYSTEM, Stage, note};

/// One thing that may be done: `resource` has its subresource, and the group behind it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Access {
    resource: String,
    verb: String,
}

impl Display for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.verb, self.resource)
    }
}

impl Access {
    fn new(group: &str, resource: &str, verb: &str) -> Self {
        let group = if group.is_empty() { String::new() } else { format!(".{group}") };
        let (plural, subresource) = resource.split_once('/').map_or((resource, ""), |(plural, sub)| (plural, sub));
        let slash = if subresource.is_empty() { "" } else { "/" };
        Self { resource: format!("{plural}{group}{slash}{subresource}"), verb: verb.to_owned() }
    }
}

pub async fn judge(stage: &mut Stage) -> Result<()> {
    let Some(log) = stage.options.audit_log.clone() else {
        stage.step(
            "Left out: what the operator may do against what it did (this API server's audit log is not at hand)",
        );
        return Ok(());
    };
    stage.step("What the operator may do, against what it did: the audit log");
    let granted = granted(stage).await?;
    let Done { used, refused } = done(&log, stage.began_at)?;
    for access in &granted {
        note(&format!("{:7} times  {access}", used.get(access).copied().unwrap_or_default()));
    }
    let unused: Vec<String> =
        granted.iter().filter(|access| !used.contains_key(access)).map(ToString::to_string).collect();
    let mut findings = Vec::new();
    if !unused.is_empty() {
        findings.push(format!("granted, and never used: {}", unused.join(", ")));
    }
    if !refused.is_empty() {
        findings.push(format!("refused (403): {}", refused.into_iter().collect::<Vec<_>>().join(", ")));
    }
    if used.is_empty() {
        findings.push(format!("nothing of the operator is in {}", log.display()));
    }
    if findings.is_empty() { Ok(()) } else { Err(findings.join("\n").into()) }
}

/// What the roles grant that are bound to the operator's account.
async fn granted(stage: &Stage) -> Result<BTreeSet<Access>> {
    let client = || stage.cluster.client.clone();
    let mut rules = Vec::new();
    for binding in Api::<ClusterRoleBinding>::all(client()).list(&ListParams::default()).await?.items {
        if binds_us(binding.subjects.as_deref()) {
            rules.extend(rules_of(stage, &binding.role_ref, None).await?);
        }
    }
    for binding in Api::<RoleBinding>::all(client()).list(&ListParams::default()).await?.items {
        if binds_us(binding.subjects.as_deref()) {
            rules.extend(rules_of(stage, &binding.role_ref, binding.metadata.namespace.as_deref()).await?);
        }
    }
    Ok(rules.iter().flat_map(accesses).collect())
}

fn binds_us(subjects: Option<&[Subject]>) -> bool {
    subjects.unwrap_or_default().iter().any(|subject| {
        subject.kind == "ServiceAccount" && subject.name == RELEASE && subject.namespace.as_deref() == Some(SYSTEM)
    })
}

async fn rules_of(stage: &Stage, role: &RoleRef, namespace: Option<&str>) -> Result<Vec<PolicyRule>> {
    let client = stage.cluster.client.clone();
    let rules = match namespace.filter(|_| role.kind == "Role") {
        Some(namespace) => Api::<Role>::namespaced(client, namespace).get(&role.name).await?.rules,
        None => Api::<ClusterRole>::all(client).get(&role.name).await?.rules,
    };
    Ok(rules.unwrap_or_default())
}

fn accesses(rule: &PolicyRule) -> Vec<Access> {
    let groups = rule.api_groups.as_deref().unwrap_or_default();
    let resources = rule.resources.as_deref().unwrap_or_default();
    let mut all = Vec::new();
    for (group, resource) in groups.iter().flat_map(|group| resources.iter().map(move |resource| (group, resource))) {
        all.extend(rule.verbs.iter().map(|verb| Access::new(group, resource, verb)));
    }
    all
}

/// What the audit log tells of the operator's account.
#[derive(Default)]
struct Done {
    used: BTreeMap<Access, u32>,
    refused: BTreeSet<String>,
}

/// The parts of an audit event that count here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    user: User,
    object_ref: Option<ObjectRef>,
    response_status: Option<ResponseStatus>,
    request_received_timestamp: jiff::Timestamp,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectRef {
    #[serde(default)]
    api_group: String,
    #[serde(default)]
    resource: String,
    #[serde(default)]
    subresource: String,
}

#[derive(Deserialize)]
struct ResponseStatus {
    code: Option<u32>,
}

fn done(log: &Path, since: jiff::Timestamp) -> Result<Done> {
    let us = format!("system:serviceaccount:{SYSTEM}:{RELEASE}");
    let mut done = Done::default();
    let file = std::fs::File::open(log).map_err(|error| format!("{}: {error}", log.display()))?;
    for line in BufReader::new(file).lines() {
        // The last line may be half written.
        let Ok(event) = serde_json::from_str::<Event>(&line?) else { continue };
        let Some(object) = event.object_ref else { continue };
        if event.user.username != us || event.request_received_timestamp < since {
            continue;
        }
        let slash = if object.subresource.is_empty() { "" } else { "/" };
        let resource = format!("{}{slash}{}", object.resource, object.subresource);
        let access = Access::new(&object.api_group, &resource, &event.verb);
        if event.response_status.and_then(|status| status.code) == Some(403) {
            done.refused.insert(access.to_string());
        } else {
            *done.used.entry(access).or_default() += 1;
        }
    }
    Ok(done)
}
