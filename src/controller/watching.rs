//! The client of a watch: it says when the watch has begun, and waits for no answer without end.
//!
//! kube keeps to itself that a watch has begun, and a watch shows nothing until something changes: in a quiet cluster one
//! that was refused once would count as failing for hours.

use std::time::Duration;

use http::Request;
use kube::Client;
use kube::client::Body;

use crate::health::Reporter;

/// An answer to a list or to the beginning of a watch starts within this time, or it is asked for again. kube's own limit is
/// meant for watches that go on, and is five minutes.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// The same client for a watch that reports there.
pub fn told(client: &Client, reporter: Reporter) -> Client {
    let (inner, namespace) = (client.clone(), client.default_namespace().to_owned());
    let send = move |request: Request<Body>| {
        let (client, reporter) = (inner.clone(), reporter.clone());
        async move {
            let watches = request.uri().query().is_some_and(|query| query.contains("watch=true"));
            let answer = tokio::time::timeout(STARTS_WITHIN, client.send(request)).await;
            let answer = answer.map_err(|late| kube::Error::Service(late.into()))??;
            if watches && answer.status().is_success() {
                reporter.works();
            }
            Ok::<_, kube::Error>(answer)
        }
    };
    Client::new(tower::service_fn(send), namespace)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::Response;
    use kube::Api;
    use kube::api::{ListParams, WatchParams};

    use super::*;
    use crate::api::Partner;
    use crate::health::Health;

    /// An API server that begins every watch, and answers nothing else.
    fn server() -> Client {
        let answer = |request: Request<Body>| async move {
            if request.uri().query().is_some_and(|query| query.contains("watch=true")) {
                return Ok::<_, Infallible>(Response::new(Body::empty()));
            }
            std::future::pending().await
        };
        Client::new(tower::service_fn(answer), "default")
    }

    #[tokio::test]
    async fn a_watch_that_was_refused_works_again_once_it_has_begun_before_it_shows_anything() {
        let health = Health::default();
        let reporter = health.watch("partners");
        reporter.listed();
        reporter.failed("refused".to_owned());
        assert_eq!(health.obstacles(), ["partners: refused"]);
        let api = Api::<Partner>::all(told(&server(), reporter));
        let _watch = api.watch(&WatchParams::default(), "1").await.unwrap();
        assert!(health.obstacles().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_is_not_answered_is_given_up() {
        let health = Health::default();
        let api = Api::<Partner>::all(told(&server(), health.watch("partners")));
        let began = tokio::time::Instant::now();
        api.list(&ListParams::default()).await.unwrap_err();
        assert_eq!(began.elapsed().as_secs(), STARTS_WITHIN.as_secs());
        assert_eq!(health.obstacles(), ["partners: waiting for the first list"]);
    }
}
