//! A collector of traces on loopback: takes OTLP over HTTP, keeps every byte, decodes it; or hangs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// What it does with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Takes,
    Hangs,
}

#[derive(Default)]
struct Seen {
    bytes: Vec<u8>,
    paths: Vec<String>,
    requests: Vec<ExportTraceServiceRequest>,
}

pub struct Collector {
    pub endpoint: String,
    seen: Arc<Mutex<Seen>>,
    _server: AbortOnDropHandle<()>,
}

/// A span as it was received.
#[derive(Clone, Debug)]
pub struct Received {
    pub name: String,
    pub id: String,
    pub trace: String,
    pub parent: String,
    pub links: Vec<String>,
    pub failed: bool,
    pub attributes: HashMap<String, String>,
}

impl Received {
    pub fn says(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

impl Collector {
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Seen>>::default();
        let server = AbortOnDropHandle::new(tokio::spawn(serve(listener, seen.clone(), manner)));
        Self { endpoint, seen, _server: server }
    }

    /// Everything that was sent to it, as text.
    pub fn bytes(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap().bytes).into_owned()
    }

    pub fn paths(&self) -> Vec<String> {
        self.seen.lock().unwrap().paths.clone()
    }

    /// The attributes of what sends.
    pub fn resource(&self) -> HashMap<String, String> {
        let seen = self.seen.lock().unwrap();
        let resources = seen.requests.iter().flat_map(|request| &request.resource_spans);
        resources.filter_map(|spans| spans.resource.as_ref()).flat_map(|found| texts(&found.attributes)).collect()
    }

    pub fn spans(&self) -> Vec<Received> {
        let seen = self.seen.lock().unwrap();
        let resources = seen.requests.iter().flat_map(|request| &request.resource_spans);
        resources.flat_map(|spans| &spans.scope_spans).flat_map(|scope| &scope.spans).map(received).collect()
    }
}

async fn serve(listener: TcpListener, seen: Arc<Mutex<Seen>>, manner: Manner) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let seen = seen.clone();
        let service = service_fn(move |request| take(request, seen.clone(), manner));
        connections.spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn take(
    request: Request<Incoming>,
    seen: Arc<Mutex<Seen>>,
    manner: Manner,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await?.to_bytes();
    {
        let mut seen = seen.lock().unwrap();
        seen.bytes.extend_from_slice(&body);
        seen.paths.push(path);
        seen.requests.push(ExportTraceServiceRequest::decode(body).unwrap());
    }
    if manner == Manner::Hangs {
        std::future::pending::<()>().await;
    }
    Ok(Response::new(Full::default()))
}

fn received(span: &Span) -> Received {
    Received {
        name: span.name.clone(),
        id: hex(&span.span_id),
        trace: hex(&span.trace_id),
        parent: hex(&span.parent_span_id),
        links: span.links.iter().map(|link| hex(&link.span_id)).collect(),
        failed: span.status.as_ref().is_some_and(|status| status.code == 2),
        attributes: texts(&span.attributes).collect(),
    }
}

fn texts(attributes: &[KeyValue]) -> impl Iterator<Item = (String, String)> {
    attributes.iter().map(|attribute| {
        let value = match attribute.value.as_ref().and_then(|value| value.value.clone()) {
            Some(Value::StringValue(text)) => text,
            Some(Value::IntValue(number)) => number.to_string(),
            other => format!("{other:?}"),
        };
        (attribute.key.clone(), value)
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}
