//! What the API server itself says that it was asked: its audit log and its request counters.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::Result;

/// One request as the audit log has it. Probes and what the API server does for itself are not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// Who asked.
    pub user: String,
    /// Which of that user's tokens it was, of a `ServiceAccount`; else empty.
    pub credential: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// The resource's plural name; empty for an address that is no resource.
    pub resource: String,
    /// For example `status`; else empty.
    pub subresource: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// Empty where the request names none.
    pub name: String,
    /// The status code; 200 for a watch that is still open.
    pub code: u16,
    /// The client's User-Agent.
    pub user_agent: String,
    /// The path and query, which also say field managers and resource versions.
    pub uri: String,
    /// When it arrived, RFC 3339 with microseconds.
    pub received: String,
}

impl Audited {
    /// Whether it asks for a change.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "auditID")]
    audit_id: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    stage: String,
    verb: String,
    user: Named,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: Object,
    #[serde(default)]
    response_status: Status,
    request_received_timestamp: String,
}

impl From<Event> for Audited {
    fn from(event: Event) -> Self {
        Self {
            credential: event.user.credential(),
            user: event.user.username,
            verb: event.verb,
            resource: event.object_ref.resource,
            subresource: event.object_ref.subresource,
            namespace: event.object_ref.namespace,
            name: event.object_ref.name,
            code: event.response_status.code,
            user_agent: event.user_agent,
            uri: event.request_uri,
            received: event.request_received_timestamp,
        }
    }
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    username: String,
    #[serde(default)]
    extra: BTreeMap<String, Vec<String>>,
}

impl Named {
    fn credential(&self) -> String {
        self.extra.get("authentication.kubernetes.io/credential-id").map(|ids| ids.concat()).unwrap_or_default()
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Object {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    code: u16,
}

/// How long a write that is still open is waited for: an API server that was killed never ends it.
const OPEN: Duration = Duration::from_secs(2);

/// Reads the audit log: one entry for each request that has ended or is a watch, in the order in which they were first logged.
/// A write that had arrived before this was called and is still open is waited for, because a watch may have shown what it did.
pub fn audit(file: &Path) -> Result<Vec<Audited>> {
    let called = jiff::Timestamp::now();
    let recent = called - OPEN;
    let awaited = |entry: &Entry| {
        entry.open && entry.request.received.parse().is_ok_and(|at: jiff::Timestamp| at > recent && at <= called)
    };
    let mut entries = read(file)?;
    while called + OPEN > jiff::Timestamp::now() && entries.iter().any(awaited) {
        std::thread::sleep(Duration::from_millis(5));
        entries = read(file)?;
    }
    Ok(entries.into_iter().filter(|entry| !entry.open).map(|entry| entry.request).collect())
}

struct Entry {
    request: Audited,
    /// It has arrived, and nothing is known of its end. Only of writes: of the rest the arrival is not logged.
    open: bool,
}

/// A last line that is being written is left out.
fn read(file: &Path) -> Result<Vec<Entry>> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let mut places = BTreeMap::new();
    let mut entries: Vec<Entry> = Vec::new();
    for line in bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let event: Event = serde_json::from_slice(line)?;
        let id = event.audit_id.clone();
        let entry = Entry { open: event.stage == "RequestReceived", request: event.into() };
        // A watch is logged when it starts and when it ends, a write when it arrives and when it ends; one client's id may come
        // again only so.
        if let Some(place) = places.get(&id) {
            entries[*place] = entry;
        } else {
            places.insert(id, entries.len());
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// What one counter of `apiserver_request_total` is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// `GET`, `LIST`, `WATCH`, `POST`, `PUT`, `PATCH`, `APPLY`, `DELETE`, `DELETECOLLECTION`.
    pub verb: String,
    /// The resource's plural name.
    pub resource: String,
    /// For example `status`; else empty.
    pub subresource: String,
    /// The status code.
    pub code: String,
}

/// How often each kind of request was made since the API server started. Open watches are not in it yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests(pub BTreeMap<Kind, u64>);

impl Requests {
    /// What was added since `earlier`, without zeros.
    pub fn since(&self, earlier: &Self) -> Self {
        let added = self.0.iter().filter_map(|(kind, count)| {
            let added = count.saturating_sub(earlier.0.get(kind).copied().unwrap_or(0));
            (added > 0).then(|| (kind.clone(), added))
        });
        Self(added.collect())
    }

    /// How many of them are of a kind.
    pub fn count(&self, of: impl Fn(&Kind) -> bool) -> u64 {
        self.0.iter().filter(|(kind, _)| of(kind)).map(|(_, count)| count).sum()
    }

    /// The writes among them, refused ones too. Leases are left out: the API server renews its own every 10 s.
    pub fn writes(&self) -> Self {
        let writes = self.0.iter().filter(|(kind, _)| {
            !matches!(kind.verb.as_str(), "GET" | "LIST" | "WATCH" | "CONNECT") && kind.resource != "leases"
        });
        Self(writes.map(|(kind, count)| (kind.clone(), *count)).collect())
    }

    /// Reads the text that the API server's /metrics gives.
    pub fn parse(metrics: &str) -> Self {
        let mut requests = Self::default();
        for line in metrics.lines() {
            let Some(rest) = line.strip_prefix("apiserver_request_total{") else { continue };
            let Some((labels, count)) = rest.rsplit_once("} ") else { continue };
            let label = |name: &str| {
                // Label values of this metric never hold a comma or a quote.
                let value = labels.split(',').find_map(|label| label.strip_prefix(name)?.strip_prefix("=\""));
                value.map(|value| value.trim_end_matches('"').to_owned()).unwrap_or_default()
            };
            let kind = Kind {
                verb: label("verb"),
                resource: label("resource"),
                subresource: label("subresource"),
                code: label("code"),
            };
            // Counters are printed as floats: 1.234567e+06 once they are large.
            let count: f64 = count.trim().parse().unwrap_or(0.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a counter: whole and not negative"
            )]
            let count = count as u64;
            *requests.0.entry(kind).or_default() += count;
        }
        requests
    }
}
