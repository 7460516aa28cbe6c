//! HTTP/2 through hyper; what cannot be said in it becomes a stream that is reset.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use http_body_util::{BodyExt as _, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::behaviour::{Body, Plan, filler};
use super::{Connection, Head, InFlight};
use crate::support::Result;

const CHUNK: usize = 16 << 10;
const SECOND: Duration = Duration::from_secs(1);

type Frames = BoxStream<'static, io::Result<Frame<Bytes>>>;

/// Serves until the client goes away.
pub async fn serve<S>(stream: S, connection: Connection) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| answer(request, connection.clone()));
    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}

/// Says GOAWAY (no error, no stream was handled) as soon as the client has spoken, and closes.
pub async fn go_away<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> Result<()> {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    stream.write_all(&SETTINGS).await?;
    stream.flush().await?;
    // The preface, and the request that follows it or comes along.
    let _ = stream.read(&mut vec![0; 4096]).await?;
    stream.write_all(&GOAWAY).await?;
    stream.shutdown().await?;
    Ok(())
}

async fn answer(request: Request<Incoming>, connection: Connection) -> io::Result<Response<StreamBody<Frames>>> {
    let (parts, body) = request.into_parts();
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    let head = Head { method: parts.method.to_string(), path, headers: headers.collect() };
    let body = Limited::new(body, 64 << 10).collect().await.map_err(io::Error::other)?.to_bytes().to_vec();
    let (plan, in_flight) = connection.plan(head, body);
    let (delay, answer) = match plan {
        Plan::Answer(delay, answer) => (delay, answer),
        Plan::Hang => std::future::pending().await,
        // An error of the service resets the stream.
        Plan::Raw(_) => return Err(io::Error::other("as asked")),
    };
    tokio::time::sleep(delay).await;
    let mut response = Response::builder().status(answer.code).header("content-length", answer.body.length());
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    response.body(StreamBody::new(frames(answer.body, in_flight))).map_err(io::Error::other)
}

/// The frames of a body. It holds the request in flight until they are sent or dropped.
fn frames(body: Body, in_flight: InFlight) -> Frames {
    let frame = |bytes: Vec<u8>| Ok(Frame::data(Bytes::from(bytes)));
    match body {
        Body::Whole(bytes) => stream::once(async move {
            let _held = in_flight;
            frame(bytes)
        })
        .boxed(),
        Body::Filler(length) => stream::unfold((0, in_flight), move |(sent, in_flight)| async move {
            let bytes = filler(length, sent, CHUNK)?;
            let sent = sent + bytes.len() as u64;
            Some((frame(bytes), (sent, in_flight)))
        })
        .boxed(),
        Body::Trickle(bytes, length) => stream::unfold((0, in_flight), move |(sent, in_flight)| async move {
            if sent >= length {
                return None;
            }
            tokio::time::sleep(SECOND).await;
            let byte = usize::try_from(sent).ok().and_then(|sent| bytes.get(sent)).copied().unwrap_or(b' ');
            Some((frame(vec![byte]), (sent + 1, in_flight)))
        })
        .boxed(),
        // The pause lets the head and the first bytes go: a reset overtakes what waits to be sent.
        Body::Cut(bytes, _) => stream::once(async move { frame(bytes.to_vec()) })
            .chain(stream::once(async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                drop(in_flight);
                Err(io::Error::other("as asked"))
            }))
            .boxed(),
    }
}
