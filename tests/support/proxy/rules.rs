//! What can be done with a request, and the rules that say with which.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

/// What is done with a request.
#[derive(Debug, Clone)]
pub enum Action {
    /// It is let through.
    Pass,
    /// It is answered by the proxy; the API server never sees it.
    Answer(Answer),
    /// The connection ends without an answer; the API server never sees the request.
    CutBefore,
    /// The API server does what it is asked; then the connection ends without an answer. Not for watches: they have no end.
    CutAfter,
    /// The API server does what it is asked; the client is told something else. Not for watches.
    AnswerAfter(Answer),
    /// It is let through after this time.
    Delay(Duration),
    /// A read is answered as it was before what it asks for changed last. Let through, and not counted, where nothing has.
    Rewind,
    /// Whoever takes [`Proxy::crashes`] is told to end the client; the request goes as far as this. Not for watches.
    Crash(When),
}

/// When the client of a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before the API server sees it.
    Before,
    /// When the API server has done what it was asked, before the client is told.
    Committed,
    /// Soon after the client has been told.
    Answered,
    /// Before the API server sees it, which it does all the same, this much later: what is on its way outlives who sent it.
    Late(Duration),
}

/// An answer of the proxy.
#[derive(Debug, Clone)]
pub struct Answer {
    pub code: u16,
    pub retry_after: Option<u32>,
    pub body: String,
}

impl Answer {
    /// The `Status` of an API server with this code, and `Retry-After` in seconds if any.
    pub fn status(code: u16, retry_after: Option<u32>) -> Self {
        Self { code, retry_after, body: status(code).to_string() }
    }

    /// A watch that begins well and then says that it is too old (410), and ends.
    pub fn expired_watch() -> Self {
        let body = json!({"type": "ERROR", "object": status(410)}).to_string() + "\n";
        Self { code: 200, retry_after: None, body }
    }
}

/// The `Status` of an API server with this code.
pub fn status(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "as planned", "code": code})
}

/// A request as rules see it, and when it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// When it was read.
    pub at: Instant,
    /// The method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The query, or nothing.
    pub query: String,
}

impl Asked {
    /// Whether it begins or resumes a watch.
    pub fn is_watch(&self) -> bool {
        self.query.contains("watch=true") || self.query.contains("watch=1")
    }

    /// Whether it lists or watches this plural in all namespaces or in the cluster.
    pub fn is_of_all(&self, plural: &str) -> bool {
        self.method == Method::GET && self.path.ends_with(&format!("/{plural}")) && !self.path.contains("/namespaces/")
    }

    /// Whether it writes the status of an object of this plural.
    pub fn writes_status_of(&self, plural: &str) -> bool {
        self.method == Method::PATCH && self.path.contains(&format!("/{plural}/")) && self.path.ends_with("/status")
    }
}

/// What a rule is for.
pub type Predicate<T> = Box<dyn Fn(&T) -> bool + Send + Sync>;

/// What is done with requests, or with events, that match.
pub struct Rule<T, A> {
    pub number: u64,
    pub matches: Predicate<T>,
    pub action: A,
    /// So many go by first.
    pub skips: usize,
    pub left: usize,
    pub used: usize,
}

/// Which action applies, and of which rule.
pub fn apply<T, A: Clone>(rules: &mut [Rule<T, A>], to: &T) -> Option<(u64, A)> {
    let mut applied = None;
    for rule in rules.iter_mut().filter(|rule| rule.left > 0 && (rule.matches)(to)) {
        if rule.skips > 0 {
            rule.skips -= 1;
        } else if applied.is_none() {
            rule.left -= 1;
            rule.used += 1;
            applied = Some((rule.number, rule.action.clone()));
        }
    }
    applied
}

/// A rule that is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleId(pub u64);
