//! How one request passes, or does not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::rules::{Action, Answer, Asked, When, apply};
use super::{Shared, stream};
use crate::support::{Error, Result};

/// The body of an answer.
type Body = UnsyncBoxBody<Bytes, Error>;

/// Does with a request what the rules say; an error ends its connection without an answer.
pub async fn handle(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let (number, rule, action) = plan(&shared, &head.method, &head.uri, &body);
    let watch = asked(&head.method, &head.uri).is_watch();
    let request = Passing { head, body, number };
    if watch {
        return match action {
            Action::Answer(answer) => answered(answer),
            Action::CutBefore => Err("cut before".into()),
            Action::Delay(delay) => {
                tokio::time::sleep(delay).await;
                pass_watch(request, shared).await
            }
            _ => pass_watch(request, shared).await,
        };
    }
    match action {
        Action::Pass => pass(request, &shared).await?.response(),
        Action::Answer(answer) => answered(answer),
        Action::CutBefore => Err("cut before".into()),
        Action::CutAfter => {
            pass(request, &shared).await?;
            Err("cut after".into())
        }
        Action::AnswerAfter(answer) => {
            pass(request, &shared).await?;
            answered(answer)
        }
        Action::Delay(delay) => {
            tokio::time::sleep(delay).await;
            pass(request, &shared).await?.response()
        }
        Action::Rewind => {
            let mut passed = pass(request, &shared).await?;
            match passed.older.take() {
                Some(older) => passed.body = older,
                None => shared.unused(rule),
            }
            passed.response()
        }
        Action::Crash(when) => crash(when, request, shared).await,
    }
}

async fn crash(when: When, request: Passing, shared: Arc<Shared>) -> Result<Response<Body>> {
    match when {
        When::Before => shared.crash(),
        When::Late(time) => {
            shared.crash();
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                // Whatever comes of it is in the journal.
                let _ = pass(request, &shared).await;
            });
        }
        When::Committed => {
            pass(request, &shared).await?;
            shared.crash();
        }
        When::Answered => {
            let response = pass(request, &shared).await?.response()?;
            // Dropped with the body, when it has been handed on; what is in the socket's buffer arrives all the same.
            let bell = Bell(shared);
            return Ok(response.map(|body| {
                body.map_frame(move |frame| {
                    let _held = &bell;
                    frame
                })
                .boxed_unsync()
            }));
        }
    }
    // The client ends meanwhile, and this with it.
    std::future::pending().await
}

/// Tells that the client is to be ended.
struct Bell(Arc<Shared>);

impl Drop for Bell {
    fn drop(&mut self) {
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            shared.crash();
        });
    }
}

/// A request on its way.
struct Passing {
    head: http::request::Parts,
    body: Bytes,
    number: Option<usize>,
}

/// What the API server has answered, whole.
struct Passed {
    code: StatusCode,
    headers: http::HeaderMap,
    body: Bytes,
    /// What it answered before to the same question.
    older: Option<Bytes>,
}

impl Passed {
    fn response(self) -> Result<Response<Body>> {
        let mut response = Response::builder().status(self.code);
        if let Some(headers) = response.headers_mut() {
            *headers = for_the_client(&self.headers);
        }
        Ok(response.body(Full::new(self.body).map_err(|never| match never {}).boxed_unsync())?)
    }
}

/// This side has a framing of its own.
fn for_the_client(headers: &http::HeaderMap) -> http::HeaderMap {
    let mut headers = headers.clone();
    for name in [http::header::TRANSFER_ENCODING, http::header::CONNECTION, http::header::CONTENT_LENGTH] {
        headers.remove(name);
    }
    headers
}

fn asked(method: &Method, uri: &Uri) -> Asked {
    Asked {
        at: Instant::now(),
        method: method.clone(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
    }
}

/// Logs a request and says what to do with it, by which rule.
fn plan(shared: &Shared, method: &Method, uri: &Uri, body: &[u8]) -> (Option<usize>, u64, Action) {
    let asked = asked(method, uri);
    let mut state = shared.state();
    let (rule, action) = apply(&mut state.rules, &asked).unwrap_or((0, Action::Pass));
    let number = state.journal.as_mut().map(|journal| journal.begin(asked.clone(), body));
    state.asked.push(asked);
    (number, rule, action)
}

/// Asks the API server, to the end, whoever goes away meanwhile: what it does is to be known.
async fn pass(request: Passing, shared: &Arc<Shared>) -> Result<Passed> {
    let shared = Arc::clone(shared);
    let passing = async move {
        let (number, question) = (request.number, question(&request.head));
        let answer = ask(request, &shared).await?;
        let (code, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await?;
        let older = number.and_then(|number| {
            shared.note(|journal| {
                journal.answered(number, code.as_u16(), &body);
                question.filter(|_| code.is_success()).and_then(|question| journal.older(number, question, &body))
            })?
        });
        Ok(Passed { code, headers, body, older })
    };
    tokio::spawn(passing).await?
}

/// By what two reads ask the same.
fn question(head: &http::request::Parts) -> Option<String> {
    let accept = head.headers.get(http::header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    (head.method == Method::GET).then(|| format!("{} {accept}", head.uri.path()))
}

async fn ask(request: Passing, shared: &Shared) -> Result<reqwest::Response> {
    let Passing { head, body, number } = request;
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut url = format!("{}{path}", shared.upstream);
    if head.method == Method::GET
        && let Some((plural, name)) = &shared.state().only
        && head.uri.path().ends_with(&format!("/{plural}"))
    {
        let joint = if head.uri.query().is_some() { "&" } else { "?" };
        url = format!("{url}{joint}fieldSelector=metadata.name%3D{name}");
    }
    let mut headers = head.headers;
    headers.remove(http::header::HOST);
    if let Some(number) = number {
        shared.note(|journal| journal.sent(number));
    }
    Ok(shared.client.request(head.method, url).headers(headers).body(body).send().await?)
}

/// Begins a watch; its events are handed on as they come.
async fn pass_watch(request: Passing, shared: Arc<Shared>) -> Result<Response<Body>> {
    let plural = request.head.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    let number = request.number;
    let answer = ask(request, &shared).await?;
    if let Some(number) = number {
        shared.note(|journal| journal.answered(number, answer.status().as_u16(), b""));
    }
    let mut response = Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        *headers = for_the_client(answer.headers());
    }
    let (client, frames) = mpsc::channel(16);
    tokio::spawn(stream::relay(answer, shared, plural, client));
    let frames = futures::stream::unfold(frames, |mut frames| async move { Some((frames.recv().await?, frames)) });
    Ok(response.body(StreamBody::new(frames).boxed_unsync())?)
}

fn answered(answer: Answer) -> Result<Response<Body>> {
    let mut response = Response::builder().status(StatusCode::from_u16(answer.code)?);
    response = response.header(http::header::CONTENT_TYPE, "application/json");
    if let Some(seconds) = answer.retry_after {
        response = response.header(http::header::RETRY_AFTER, seconds);
    }
    Ok(response.body(Full::new(Bytes::from(answer.body)).map_err(|never| match never {}).boxed_unsync())?)
}
