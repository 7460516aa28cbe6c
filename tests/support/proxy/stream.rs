//! The events of a watch on their way through the proxy, one JSON object a line: handed on, held, dropped, doubled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;

use super::Shared;
use super::journal::Shown;
use super::rules::status;
use crate::support::{Error, Result};

/// What is done with an event of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventAction {
    /// It is handed on.
    Pass,
    /// It and all that follow on this watch come so much later.
    Hold(Duration),
    /// It is never seen; those that follow are. After this time the watch is told that it is too old (410), which is how a
    /// client learns that it may have missed something.
    Drop(Duration),
    /// It comes twice.
    Twice,
    /// The watch is told that it is too old (410) instead.
    Expire,
    /// The connection ends instead.
    Cut,
}

/// The other end of a watch.
type Client = Sender<std::result::Result<Frame<Bytes>, Error>>;

/// Hands the events of a watch on until one of its ends goes away.
pub async fn relay(answer: reqwest::Response, shared: Arc<Shared>, plural: String, client: Client) {
    let mut chunks = std::pin::pin!(answer.bytes_stream());
    let mut buffer = BytesMut::new();
    // After a dropped event: when the watch is told that it is too old.
    let mut expires: Option<Instant> = None;
    loop {
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line = buffer.split_to(end + 1).freeze();
            let event: Value = serde_json::from_slice(&line).unwrap_or_default();
            match hand_on(&shared, &plural, line, event, &client).await {
                Ok(None) => {}
                Ok(Some(after)) => expires = expires.or(Some(Instant::now() + after)),
                Err(_) => return,
            }
        }
        let too_old = async {
            match expires {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = client.closed() => return,
            () = too_old => {
                // Nobody listens any more: then there is nobody to tell.
                let _ = client.send(Ok(Frame::data(expired()))).await;
                return;
            }
            chunk = chunks.next() => match chunk {
                Some(Ok(chunk)) => buffer.extend_from_slice(&chunk),
                Some(Err(error)) => {
                    let _ = client.send(Err(error.into())).await;
                    return;
                }
                None => return,
            },
        }
    }
}

/// One event. Gives after which time the watch is to be told that it is too old, if it is; an error ends it.
async fn hand_on(
    shared: &Shared,
    plural: &str,
    line: Bytes,
    event: Value,
    client: &Client,
) -> Result<Option<Duration>> {
    let kind = event["type"].as_str().unwrap_or_default().to_owned();
    let send = async |line: Bytes| client.send(Ok(Frame::data(line))).await.map_err(|_| "nobody listens");
    if !matches!(kind.as_str(), "ADDED" | "MODIFIED" | "DELETED") {
        send(line).await?;
        return Ok(None);
    }
    let mut shown = Shown { at: Instant::now(), plural: plural.to_owned(), kind, object: event["object"].clone() };
    let action = shared.event(&shown);
    match action {
        EventAction::Pass | EventAction::Twice => {}
        EventAction::Hold(time) => tokio::time::sleep(time).await,
        EventAction::Drop(after) => return Ok(Some(after)),
        EventAction::Expire => {
            send(expired()).await?;
            return Err("expired".into());
        }
        EventAction::Cut => {
            let _ = client.send(Err("cut".into())).await;
            return Err("cut".into());
        }
    }
    shown.at = Instant::now();
    if action == EventAction::Twice {
        send(line.clone()).await?;
    }
    send(line).await?;
    shared.shown(shown);
    Ok(None)
}

fn expired() -> Bytes {
    (json!({"type": "ERROR", "object": status(410)}).to_string() + "\n").into()
}
