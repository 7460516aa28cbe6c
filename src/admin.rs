//! The admin server: `/livez` and `/readyz` for probes, `/metrics` for Prometheus.

use std::net::SocketAddr;

use axum::Router;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::health::Health;
use crate::metrics::{Format, Metrics};

/// Binds the admin server, so that a port that is taken is known before anything else starts.
///
/// # Errors
/// What the operating system says.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until it is dropped.
///
/// `/livez` answers 200 as long as the event loop turns. `/readyz` answers 200 once every watch has listed, else 503
/// with a line for each thing that stands in the way. Of several namespaces (`--namespace`) one that is refused is told in
/// the words of the 200: whoever replaces instances waits for readiness, and must not wait for one namespace's owner. `/metrics` answers in `OpenMetrics` to whoever asks for it, as
/// Prometheus does, else in the older text format.
pub async fn serve(listener: TcpListener, health: Health, metrics: Metrics) {
    let app = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(move || async move { ready(&health) }))
        .route("/metrics", get(move |headers: HeaderMap| expose(metrics.clone(), headers)));
    if let Err(error) = axum::serve(listener, app).await {
        tracing::error!(%error, "the admin server has ended");
    }
}

async fn expose(metrics: Metrics, headers: HeaderMap) -> Response {
    let accept: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = Format::wanted(&accept.join(","));
    // Many integrations are megabytes of text.
    match tokio::task::spawn_blocking(move || metrics.expose(format)).await {
        Ok(text) => ([(CONTENT_TYPE, format.content_type()), (VARY, "Accept")], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn ready(health: &Health) -> (StatusCode, String) {
    let obstacles = health.obstacles();
    if obstacles.is_empty() {
        let unserved = health.unserved().into_iter().map(|line| format!("not served: {line}\n"));
        (StatusCode::OK, "ok\n".to_owned() + &unserved.collect::<String>())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, obstacles.join("\n") + "\n")
    }
}
