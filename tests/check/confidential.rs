//! A canary search: no key and no answer in logs at the finest level, nor in what a check returns.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tracing_subscriber::fmt::MakeWriter;

use crate::server::{Authority, KEY, Server, answering, compiled, http, prober, prove, read_request};

const ANSWER: &str = "answer-canary-9c1e";

/// Everything that is logged, through `tracing` and through `log`.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

struct Bridge(Log);

impl log::Log for Bridge {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}\n", record.target(), record.args());
        self.0.0.lock().unwrap().extend_from_slice(line.as_bytes());
    }

    fn flush(&self) {}
}

fn capture() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        let subscriber =
            tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        log::set_logger(Box::leak(Box::new(Bridge(log.clone())))).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
        log
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_and_no_answer_is_logged_or_returned() {
    let log = capture();
    let authority = Authority::new();
    let echo = format!(r#"{{"valid": "{KEY}", "other": "{ANSWER}"}}"#);
    let head = format!("X-Echo: {KEY} {ANSWER}\r\nContent-Length: {}\r\n\r\n{echo}", echo.len());
    let answers = [
        format!("HTTP/1.1 200 {ANSWER}\r\n{head}"),
        format!("HTTP/1.1 401 {ANSWER}\r\n{head}"),
        format!("HTTP/1.1 302 Found\r\nLocation: https://evil.example/{KEY}\r\n{head}"),
        format!("HTTP/1.1 429 Slow\r\nRetry-After: {KEY}\r\n{head}"),
        format!("HTTP/1.1 200 OK\r\nBroken {KEY} {ANSWER}\r\n\r\n"),
        http("500 Oops", &format!("<html>{KEY} {ANSWER}</html>")),
    ];
    let mut returned = Vec::new();
    for answer in answers {
        let (server, seen) = answering(authority.config(), answer).await;
        for expression in
            ["body.valid == true", "body.valid.matches('x') || body.other > 1", "status == 200", "body.other"]
        {
            let check = json!({"success": {"expression": expression}, "rejected": {"expression": expression}});
            returned.push(prove(&prober(), &compiled(&authority, check), &server.endpoint()).await);
        }
        assert!(seen.all()[0].contains(KEY), "the canary was sent");
    }
    // A connection that dies with the key half written, and one of HTTP/2.
    let broken = Server::tls(authority.config(), |mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(ANSWER.as_bytes()).await;
    })
    .await;
    returned.push(prove(&prober(), &compiled(&authority, json!({})), &broken.endpoint()).await);
    let mut config = authority.config();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let (h2, _) = answering(config, ANSWER).await;
    returned.push(prove(&prober(), &compiled(&authority, json!({"timeout": "1s"})), &h2.endpoint()).await);

    let returned = format!("{returned:?}");
    let logged = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(logged.contains("rustls") && logged.contains("hyper"), "nothing was captured: {}", logged.len());
    for canary in [KEY, ANSWER] {
        assert!(!returned.contains(canary), "{canary} was returned");
        let line = logged.lines().find(|line| line.contains(canary));
        assert!(line.is_none(), "{canary} was logged: {line:?}");
    }
}
