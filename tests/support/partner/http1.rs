//! HTTP/1.1 by hand, so that an answer can be wrong in any way.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};

use super::behaviour::{Answer, Body, Plan, Raw};
use super::{Connection, Head};
use crate::support::Result;

/// The longest head that is read, and how much of a body is.
const MOST: u64 = 64 << 10;
const SECOND: Duration = Duration::from_secs(1);
/// How much of a large body is in memory at a time.
const CHUNK: usize = 16 << 10;

/// Answers requests until the client goes away or an answer ends the connection.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, connection: &Connection) -> Result<()> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = BufReader::new(reader);
    while let Some((head, body)) = read(&mut reader).await? {
        let head_only = head.method == "HEAD";
        let (plan, _in_flight) = connection.plan(head, body);
        let more = tokio::select! {
            more = perform(&mut writer, plan, head_only) => more?,
            () = gone(&mut reader) => false,
        };
        if !more {
            break;
        }
    }
    writer.shutdown().await?;
    Ok(())
}

/// Ends when the client has closed its side; never when it sends its next request early.
async fn gone<R: AsyncRead + Unpin>(reader: &mut BufReader<R>) {
    match reader.fill_buf().await {
        Ok(bytes) if !bytes.is_empty() => std::future::pending().await,
        _ => {}
    }
}

/// Reads one request; `None` when there is no further one.
async fn read<R: AsyncRead + Unpin>(reader: &mut BufReader<R>) -> Result<Option<(Head, Vec<u8>)>> {
    let mut limited = reader.take(MOST);
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        if limited.read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let Some((first, rest)) = lines.split_first() else { return Ok(None) };
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers: Vec<(String, String)> = rest
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut body = Vec::new();
    reader.take(length.unwrap_or(0).min(MOST)).read_to_end(&mut body).await?;
    Ok(Some((Head { method, path, headers }, body)))
}

/// Does what was planned. Gives whether the connection can go on.
async fn perform<W: AsyncWrite + Unpin>(writer: &mut W, plan: Plan, head_only: bool) -> Result<bool> {
    match plan {
        Plan::Hang => std::future::pending().await,
        Plan::Raw(Raw::Bytes(bytes)) => {
            writer.write_all(bytes).await?;
            Ok(false)
        }
        Plan::Raw(Raw::Trickle(bytes)) => {
            trickle(writer, bytes).await?;
            Ok(false)
        }
        Plan::Answer(delay, answer) => {
            tokio::time::sleep(delay).await;
            write(writer, answer, head_only).await
        }
    }
}

async fn trickle<W: AsyncWrite + Unpin>(writer: &mut W, bytes: &[u8]) -> Result<()> {
    for byte in bytes {
        writer.write_all(&[*byte]).await?;
        writer.flush().await?;
        tokio::time::sleep(SECOND).await;
    }
    Ok(())
}

async fn write<W: AsyncWrite + Unpin>(writer: &mut W, answer: Answer, head_only: bool) -> Result<bool> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", answer.code, answer.phrase);
    for (name, value) in &answer.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.extend(["content-length: ", &answer.body.length().to_string(), "\r\n\r\n"]);
    writer.write_all(head.as_bytes()).await?;
    writer.flush().await?;
    if head_only {
        return Ok(true);
    }
    match answer.body {
        Body::Whole(bytes) => writer.write_all(&bytes).await?,
        Body::Filler(length) => {
            let mut sent = 0;
            while let Some(bytes) = super::behaviour::filler(length, sent, CHUNK) {
                writer.write_all(&bytes).await?;
                sent += bytes.len() as u64;
            }
        }
        Body::Trickle(bytes, length) => {
            trickle(writer, bytes).await?;
            for _ in bytes.len() as u64..length {
                trickle(writer, b" ").await?;
            }
        }
        Body::Cut(bytes, _) => {
            writer.write_all(bytes).await?;
            writer.flush().await?;
            return Ok(false);
        }
    }
    writer.flush().await?;
    Ok(true)
}
