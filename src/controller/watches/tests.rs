use std::convert::Infallible;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::json;

use super::*;

/// An API server that lists nothing, and answers each watch with this code before it begins.
fn server(code: u16) -> Client {
    let answer = move |request: Request<Body>| async move {
        let watches = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let (code, body) = if watches {
            (code, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "", "code": code}))
        } else {
            (200, json!({"metadata": {"resourceVersion": "7"}, "items": []}))
        };
        Ok::<_, Infallible>(Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).unwrap())
    };
    Client::new(tower::service_fn(answer), "default")
}

/// How many of a watch's first eight events begin a list.
async fn lists(code: u16) -> usize {
    let events = watched(Api::<Partner>::all(server(code)));
    let first: Vec<_> = events.take(8).collect().await;
    first.iter().filter(|event| matches!(event, Ok(Event::Init))).count()
}

#[tokio::test]
async fn a_watch_begins_anew_with_a_list_where_its_version_or_its_kind_is_gone_and_is_resumed_otherwise() {
    assert_eq!(lists(410).await, 3, "its version is too old");
    assert_eq!(lists(404).await, 3, "its CRD has been deleted, and every object with it");
    assert_eq!(lists(403).await, 1);
    assert_eq!(lists(500).await, 1);
}
