//! Whether an operator kept its promises S1 to S6, from what the proxy and the partner have seen; and what is left in the end.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};

use crate::facts::History;
use crate::objects::{condition, is_status_write, version};
use crate::stage::Stage;
use crate::support::Result;
use crate::support::partner::Logged;
use crate::support::proxy::{Exchange, Journal};

/// How long after the operator was shown that an integration has gone a write that was under way may still come.
const UNDER_WAY: Duration = Duration::from_secs(2);
/// The annotation of a binding that names its T.
const VERIFIED: &str = "integrations.kognitiv.com/verified";

/// Everything that was seen.
pub struct Evidence<'a> {
    pub journal: &'a Journal,
    pub requests: &'a [Logged],
    pub history: &'a History,
    /// Whether reads were never answered as they were before.
    pub fresh: bool,
    /// Whether a write of a binding arrived when its process was gone: S2 leaves that to the next leader, and the end shows it.
    pub late: bool,
}

fn committed(journal: &Journal, is: impl Fn(&Exchange) -> bool) -> Vec<&Exchange> {
    let mut writes: Vec<_> = journal.exchanges().iter().filter(|it| it.is_committed() && is(it)).collect();
    writes.sort_by_key(|it| revision(it));
    writes
}

fn revision(exchange: &Exchange) -> u64 {
    version(&exchange.answer).1.parse().unwrap_or_default()
}

fn writes_secret(exchange: &Exchange) -> bool {
    exchange.asked.path.contains("/secrets") && exchange.asked.method != "GET"
}

fn publishes(exchange: &Exchange) -> bool {
    writes_secret(exchange) && exchange.asked.method != "DELETE"
}

fn verified(status: &Value) -> Option<String> {
    let part = |name: &str| status["verified"][name].as_str();
    Some(format!("{}/{}/{}", part("digest")?, part("secretUID")?, part("secretResourceVersion")?))
}

impl Evidence<'_> {
    /// Every promise that was broken, in words.
    pub fn violations(&self) -> Vec<String> {
        [self.s1(), self.s2(), self.s3(), self.s4(), self.s5(), self.s6()].concat()
    }

    /// `connected` turns true, or names another T, only after the partner has accepted the key of that T, at the endpoint that
    /// the status names; and each write carries the version that was read.
    fn s1(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let sent = self.journal.exchanges().iter().filter(|it| is_status_write(it));
        for write in sent.filter(|it| version(&it.body).0.is_empty() || version(&it.body).1.is_empty()) {
            broken.push(format!("S1: a status write without uid or resourceVersion: {}", write.body));
        }
        let mut before: HashMap<String, Option<String>> = HashMap::new();
        for write in committed(self.journal, is_status_write) {
            let (status, uid) = (&write.answer["status"], version(&write.answer).0);
            let now = if status["connected"] == true { verified(status) } else { None };
            if status["connected"] == true && now.is_none() {
                broken.push(format!("S1: connected, and nothing is verified: {status}"));
            }
            let was = before.insert(uid, now.clone()).flatten();
            if now.is_some() && now != was && !self.was_accepted(status, write.sent) {
                broken.push(format!("S1: connected, and the partner has not accepted that key there: {status}"));
            }
        }
        broken
    }

    fn was_accepted(&self, status: &Value, by: Option<Instant>) -> bool {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let of = (text(&status["verified"]["secretUID"]), text(&status["verified"]["secretResourceVersion"]));
        let Some(key) = self.history.keys.get(&of) else { return false };
        let endpoint = text(&status["endpoint"]);
        self.requests.iter().any(|request| {
            request.key.as_ref() == Some(key)
                && request.region.as_deref().is_some_and(|region| endpoint.ends_with(&format!("/{region}")))
                && by.is_some_and(|by| request.at <= by)
                && self.history.accepts(key, request.at)
        })
    }

    /// A binding is written only while its integration is connected, from the T that the status names then, with its key; and it
    /// is gone before the status says that the integration is connected no more, or has none.
    fn s2(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if self.late {
            return broken;
        }
        let statuses = committed(self.journal, is_status_write);
        for write in committed(self.journal, publishes) {
            let owner = write.answer["metadata"]["ownerReferences"][0]["uid"].as_str().unwrap_or_default();
            let then =
                statuses.iter().rev().find(|it| revision(it) < revision(write) && version(&it.answer).0 == owner);
            let status = then.map(|it| &it.answer["status"]);
            if status.is_none_or(|status| status["connected"] != true) {
                broken.push(format!("S2: published while not connected: {status:?}"));
                continue;
            }
            let made_from = write.answer["metadata"]["annotations"][VERIFIED].as_str().map(str::to_owned);
            if made_from.is_none() || made_from != status.and_then(verified) {
                broken.push(format!("S2: published from {made_from:?}, not from what is verified: {status:?}"));
            }
            let key =
                write.body["data"]["api-key"].as_str().map(|key| base64::engine::general_purpose::STANDARD.decode(key));
            let of = made_from.as_deref().unwrap_or_default().rsplitn(3, '/').collect::<Vec<_>>();
            let proved = of
                .get(1)
                .zip(of.first())
                .and_then(|(uid, version)| self.history.keys.get(&((*uid).to_owned(), (*version).to_owned())));
            if key.and_then(std::result::Result::ok).as_deref() != proved.map(String::as_bytes) {
                broken.push(format!("S2: the binding holds another key than {proved:?}"));
            }
        }
        for status in statuses.iter().filter(|it| it.answer["status"]["connected"] == false) {
            let uid = version(&status.answer).0;
            for name in self.standing(&uid, status.sent) {
                broken.push(format!("S2: not connected while the binding {name} stood: {}", status.answer["status"]));
            }
        }
        broken
    }

    /// The bindings of an integration that stood at this time.
    fn standing(&self, uid: &str, at: Option<Instant>) -> HashSet<String> {
        let mut changes = Vec::new();
        for write in self.journal.exchanges().iter().filter(|it| writes_secret(it)) {
            let named = write.asked.path.rsplit('/').next().unwrap_or_default();
            let name = write.answer["metadata"]["name"].as_str().unwrap_or(named).to_owned();
            let gone = write.asked.method == "DELETE" && (write.is_committed() || write.code == 404);
            let made = publishes(write) && write.is_committed();
            if gone || made && write.answer["metadata"]["ownerReferences"][0]["uid"] == uid {
                changes.push((write.done, made, name));
            }
        }
        let collected = self.history.collected.iter().map(|(name, at)| (Some(*at), false, name.clone()));
        changes.extend(collected);
        changes.sort();
        let mut standing = HashSet::new();
        for (when, made, name) in changes.into_iter().filter(|(when, ..)| *when <= at) {
            let _ = (when, if made { standing.insert(name) } else { standing.remove(&name) });
        }
        standing
    }

    /// Keys go only where the catalogue, the integration and its Secret together say, or said while the process ran.
    fn s3(&self) -> Vec<String> {
        let wrong = self.requests.iter().filter(|request| {
            let (region, key) =
                (request.region.as_deref().unwrap_or_default(), request.key.as_deref().unwrap_or_default());
            !self.history.may_send(region, key, request.at, self.fresh)
        });
        wrong.map(|it| format!("S3: the key {:?} was sent to {}", it.key, it.path)).collect()
    }

    /// Only Secrets that the operator has made are written over or deleted, and in the version that was seen.
    fn s4(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let made: HashSet<String> = committed(self.journal, |it| it.asked.method == "POST" && publishes(it))
            .iter()
            .map(|it| version(&it.answer).0)
            .collect();
        for write in self.journal.exchanges().iter().filter(|it| writes_secret(it)) {
            let (uid, revision) = match write.asked.method.as_str() {
                "PUT" => version(&write.body),
                "DELETE" => version(&json!({"metadata": write.body["preconditions"]})),
                "POST" => continue,
                other => {
                    broken.push(format!("S4: a Secret was written by {other}"));
                    continue;
                }
            };
            if !made.contains(&uid) || revision.is_empty() {
                broken.push(format!("S4: {} {} of {uid} at {revision}", write.asked.method, write.asked.path));
            }
        }
        broken
    }

    /// `observedGeneration` never goes back, and never says more than there is.
    fn s5(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut before: HashMap<String, i64> = HashMap::new();
        for write in committed(self.journal, is_status_write) {
            let observed = write.answer["status"]["observedGeneration"].as_i64().unwrap_or_default();
            let generation = write.answer["metadata"]["generation"].as_i64().unwrap_or_default();
            let was = before.insert(version(&write.answer).0, observed).unwrap_or_default();
            if observed < was || observed > generation {
                broken.push(format!("S5: observedGeneration {observed} after {was}, of generation {generation}"));
            }
        }
        broken
    }

    /// Once the operator has been shown that an integration has gone, nothing is written for it.
    fn s6(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for event in self.journal.events().iter().filter(|it| it.plural == "partnerintegrations") {
            if event.kind != "DELETED" && event.object["metadata"]["deletionTimestamp"].is_null() {
                continue;
            }
            let uid = version(&event.object).0;
            let late = self.journal.exchanges().iter().filter(|it| it.asked.at > event.at + UNDER_WAY);
            for write in late.filter(|it| !it.asked.path.contains("/leases") && it.asked.method != "GET") {
                if write.body.to_string().contains(&uid) {
                    broken.push(format!("S6: {} {} after the deletion was seen", write.asked.method, write.asked.path));
                }
            }
        }
        broken
    }
}

/// What there is in the end, without what differs from run to run: times, versions, names of the stage.
pub async fn end(stage: &Stage<'_>) -> Result<Value> {
    let integration = stage.look(&format!("{}/it", stage.integrations())).await?.unwrap_or_default();
    let partner = stage.look(&stage.partner()).await?.unwrap_or_default();
    let secrets = stage.ask("GET", &stage.secrets(), &Value::Null).await?;
    let mut status = integration["status"].clone();
    let key = stage.history().key_version();
    let observed = status["observedGeneration"] == integration["metadata"]["generation"];
    let proved = status["verified"]["secretUID"].as_str().map(str::to_owned);
    let proved = proved.zip(status["verified"]["secretResourceVersion"].as_str().map(str::to_owned));
    let of_now = verified(&status);
    status["verified"] = json!(proved.map(|proved| Some(proved) == key));
    let failing = status["failing"]["count"].clone();
    status["failing"] = failing;
    without_times(&mut status);
    let bindings: BTreeMap<String, Value> = secrets["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|secret| {
            let metadata = &secret["metadata"];
            let foreign = stage.history().foreign.get(metadata["name"].as_str()?).map(|known| *known == version(secret));
            let about = json!({
                "data": secret["data"],
                "type": secret["type"],
                "untouched": foreign,
                "owned by it": metadata["ownerReferences"][0]["uid"].as_str().map(|uid| uid == version(&integration).0),
                "made from what is verified": metadata["annotations"][VERIFIED].as_str().map(|made| Some(made) == of_now.as_deref()),
                "region": metadata["annotations"]["integrations.kognitiv.com/region"],
            });
            Some((metadata["name"].as_str()?.to_owned(), about))
        })
        .collect();
    let mut of_partner = partner["status"].clone();
    without_times(&mut of_partner);
    let end = json!({"observed": observed, "status": status, "secrets": bindings, "partner": of_partner});
    let port = format!("127.0.0.1:{}", stage.sim.address().port());
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let mut text = end.to_string().replace(&encode(&stage.namespace), "NAMESPACE");
    for region in ["eu1", "us1", "eu2"] {
        text = text.replace(&encode(&stage.sim.endpoint_by_address(region)), &format!("at {region}"));
    }
    Ok(serde_json::from_str(&text.replace(&stage.namespace, "NAMESPACE").replace(&port, "ADDRESS"))?)
}

fn without_times(status: &mut Value) {
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        if let Some(condition) = condition.as_object_mut() {
            condition.remove("lastTransitionTime");
        }
    }
}

/// How much was done since some place in the journal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Status writes that were committed.
    pub statuses: usize,
    /// Bindings that were written or deleted.
    pub bindings: usize,
    /// Events that were told.
    pub events: usize,
    /// Requests to the partner.
    pub checks: usize,
    /// Of these, with a key that it refuses.
    pub refused: usize,
    /// Status writes that say of a failed check; some are repeated by the clock.
    pub failures: usize,
}

/// The cost of a plan from its arming on.
pub fn cost(journal: &Journal, from: usize, requests: &[Logged]) -> Cost {
    let since = || journal.exchanges()[from..].iter().filter(|it| it.is_committed());
    let failed = |it: &&Exchange| condition(&it.answer["status"], "Connected") == "PartnerUnavailable";
    Cost {
        statuses: since().filter(|it| is_status_write(it)).count(),
        bindings: since().filter(|it| writes_secret(it)).count(),
        events: since().filter(|it| it.asked.path.ends_with("/events")).count(),
        checks: requests.len(),
        refused: requests.iter().filter(|it| it.key.as_deref().is_some_and(|key| !key.starts_with("good"))).count(),
        failures: since().filter(|it| is_status_write(it)).filter(failed).count(),
    }
}

impl Cost {
    /// Where it is more than that of a run without faults, and a bit for each fault.
    pub fn beyond(&self, plain: &Self, faults: usize) -> Vec<String> {
        // What the clock repeats while a partner is down is not of the fault's making.
        let repeated = self.failures.saturating_sub(plain.failures);
        let judged = [
            ("status writes", self.statuses, plain.statuses + 2 * faults + repeated),
            ("binding writes", self.bindings, plain.bindings + 2 * faults),
            ("Events", self.events, plain.events + 2 * faults),
            ("checks", self.checks, plain.checks + 2 * faults + repeated),
            ("checks with a refused key", self.refused, plain.refused + faults),
        ];
        let beyond = judged.into_iter().filter(|(_, is, most)| is > most);
        beyond.map(|(what, is, most)| format!("{is} {what}, where {most} would do")).collect()
    }
}
