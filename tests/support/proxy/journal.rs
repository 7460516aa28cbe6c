//! What has passed through the proxy: each request, what the API server did with it, and each event of a watch.
//!
//! It holds what was committed, also where the client was never told: a fault between the two is what it is for.

use std::collections::HashMap;
use std::time::Instant;

use bytes::Bytes;
use serde_json::Value;

use super::rules::Asked;

/// One request, and what the API server did with it.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The request.
    pub asked: Asked,
    /// What it held; null where nothing, or no JSON.
    pub body: Value,
    /// When it was sent on; `None` where the API server never saw it.
    pub sent: Option<Instant>,
    /// When the API server had answered.
    pub done: Option<Instant>,
    /// What it answered; 0 while it has not.
    pub code: u16,
    /// Its answer; null for a watch.
    pub answer: Value,
    /// Whether the proxy has another, older answer to the same question.
    pub has_older: bool,
}

impl Exchange {
    /// Whether the API server has carried it out.
    pub fn is_committed(&self) -> bool {
        (200..300).contains(&self.code)
    }
}

/// An event of a watch that was handed to the client.
#[derive(Debug, Clone)]
pub struct Shown {
    /// When.
    pub at: Instant,
    /// The plural name of what is watched.
    pub plural: String,
    /// `ADDED`, `MODIFIED`, `DELETED`.
    pub kind: String,
    /// The object.
    pub object: Value,
}

/// The journal itself.
#[derive(Default)]
pub struct Journal {
    exchanges: Vec<Exchange>,
    shown: Vec<Shown>,
    answers: HashMap<String, Vec<Bytes>>,
}

impl Journal {
    /// A request has come; gives its number.
    pub fn begin(&mut self, asked: Asked, body: &[u8]) -> usize {
        let body = serde_json::from_slice(body).unwrap_or_default();
        let answer = Value::Null;
        self.exchanges.push(Exchange { asked, body, sent: None, done: None, code: 0, answer, has_older: false });
        self.exchanges.len() - 1
    }

    /// It is sent on now.
    pub fn sent(&mut self, number: usize) {
        self.exchanges[number].sent = Some(Instant::now());
    }

    /// The API server has answered.
    pub fn answered(&mut self, number: usize, code: u16, answer: &[u8]) {
        let exchange = &mut self.exchanges[number];
        exchange.done = Some(Instant::now());
        exchange.code = code;
        exchange.answer = serde_json::from_slice(answer).unwrap_or_default();
    }

    /// Takes in an answer to a read, and gives the latest other one to the same question.
    pub fn older(&mut self, number: usize, question: String, answer: &Bytes) -> Option<Bytes> {
        let known = self.answers.entry(question).or_default();
        let now = content(answer);
        let older = known.iter().rev().find(|earlier| content(earlier) != now).cloned();
        known.push(answer.clone());
        self.exchanges[number].has_older = older.is_some();
        older
    }

    /// An event has been handed on.
    pub fn shown(&mut self, shown: Shown) {
        self.shown.push(shown);
    }

    /// Every request so far, in the order in which they came.
    pub fn exchanges(&self) -> &[Exchange] {
        &self.exchanges
    }

    /// Every event so far.
    pub fn events(&self) -> &[Shown] {
        &self.shown
    }
}

/// What of an answer makes it another one: of a list its items, not the version that it was made at.
fn content(answer: &[u8]) -> Value {
    let mut value: Value = serde_json::from_slice(answer).unwrap_or_default();
    match value.get_mut("items") {
        Some(items) => items.take(),
        None => value,
    }
}
