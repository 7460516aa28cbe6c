//! The judge finds what is wrong: journals of operators that nobody has written, each of which breaks one promise.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use super::{Cost, Evidence};
use crate::facts::History;
use crate::support::partner::Logged;
use crate::support::proxy::{Asked, Journal, Shown};

const STATUS: &str = "/apis/integrations.kognitiv.com/v1alpha1/namespaces/ns/partnerintegrations/it/status";
const SECRETS: &str = "/api/v1/namespaces/ns/secrets";

struct Case {
    journal: Journal,
    requests: Vec<Logged>,
    history: History,
    revision: u64,
}

impl Case {
    /// The key `good-1` may be sent to eu1, and has been.
    fn checked() -> Self {
        let mut history = History::default();
        history.started();
        history.keys.insert(("s".to_owned(), "1".to_owned()), "good-1".to_owned());
        history.change(Instant::now(), |facts| {
            facts.regions.insert("eu1".to_owned(), "eu1".to_owned());
            facts.region = Some("eu1".to_owned());
            facts.key = Some("good-1".to_owned());
        });
        let requests = vec![request("eu1", "good-1")];
        Self { journal: Journal::default(), requests, history, revision: 10 }
    }

    fn write(&mut self, method: Method, path: &str, body: &Value, mut answer: Value) {
        self.revision += 1;
        answer["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let asked = Asked { at: Instant::now(), method, path: path.to_owned(), query: String::new() };
        let number = self.journal.begin(asked, body.to_string().as_bytes());
        self.journal.sent(number);
        self.journal.answered(number, 200, answer.to_string().as_bytes());
    }

    fn status(&mut self, connected: bool, secret_version: &str, observed: i64) {
        let verified = json!({"digest": "d", "secretUID": "s", "secretResourceVersion": secret_version});
        let verified = if connected { verified } else { Value::Null };
        let endpoint = "https://127.0.0.1:1/eu1";
        let status =
            json!({"connected": connected, "verified": verified, "observedGeneration": observed, "endpoint": endpoint});
        let answer = json!({"metadata": {"uid": "u", "generation": 2}, "status": status});
        self.write(Method::PATCH, STATUS, &json!({"metadata": {"uid": "u", "resourceVersion": "5"}}), answer);
    }

    fn publish(&mut self, made_from: &str, key: &str) {
        let metadata = json!({
            "name": "bound", "uid": "b", "ownerReferences": [{"uid": "u"}],
            "annotations": {"integrations.kognitiv.com/verified": made_from},
        });
        let data = json!({"api-key": base64::Engine::encode(&base64::engine::general_purpose::STANDARD, key)});
        self.write(Method::POST, SECRETS, &json!({"metadata": metadata, "data": data}), json!({"metadata": metadata}));
    }

    fn withdraw(&mut self, uid: &str) {
        let body = json!({"preconditions": {"uid": uid, "resourceVersion": "7"}});
        self.write(Method::DELETE, &format!("{SECRETS}/bound"), &body, json!({"kind": "Status"}));
    }

    fn broken(&self) -> Vec<String> {
        let Self { journal, requests, history, .. } = self;
        Evidence { journal, requests, history, fresh: true, late: false }.violations()
    }

    fn breaks(&self, promise: &str) {
        let broken = self.broken();
        assert!(!broken.is_empty() && broken.iter().all(|it| it.starts_with(promise)), "{promise}: {broken:#?}");
    }
}

fn request(region: &str, key: &str) -> Logged {
    Logged {
        at: Instant::now(),
        method: "GET".to_owned(),
        path: format!("/{region}/v1/validate"),
        region: Some(region.to_owned()),
        headers: Vec::new(),
        body: Vec::new(),
        key: Some(key.to_owned()),
        connection: 1,
        alpn: "h2".to_owned(),
    }
}

#[test]
fn a_good_life_breaks_nothing() {
    let mut case = Case::checked();
    case.status(false, "", 1);
    case.status(true, "1", 1);
    case.publish("d/s/1", "good-1");
    case.withdraw("b");
    case.status(false, "", 2);
    assert_eq!(case.broken(), [""; 0]);
}

#[test]
fn connected_without_an_accepted_check_of_that_key_there_breaks_s1() {
    let mut case = Case::checked();
    case.requests.clear();
    case.status(true, "1", 1);
    case.breaks("S1");
    let mut case = Case::checked();
    case.status(true, "2", 1);
    case.breaks("S1");
    let mut case = Case::checked();
    case.history.down.push((Instant::now().checked_sub(Duration::from_secs(9)).unwrap(), None));
    case.status(true, "1", 1);
    case.breaks("S1");
    let mut case = Case::checked();
    case.status(true, "1", 1);
    let verified = case.journal.exchanges()[0].answer.clone();
    case.write(Method::PATCH, STATUS, &json!({"metadata": {"uid": "u"}}), verified);
    case.breaks("S1: a status write without");
}

#[test]
fn a_binding_at_the_wrong_time_or_of_another_key_breaks_s2() {
    let mut case = Case::checked();
    case.publish("d/s/1", "good-1");
    case.status(true, "1", 1);
    case.breaks("S2: published while not connected");
    let mut case = Case::checked();
    case.status(true, "1", 1);
    case.publish("d/s/0", "good-1");
    case.breaks("S2");
    let mut case = Case::checked();
    case.status(true, "1", 1);
    case.publish("d/s/1", "another");
    case.breaks("S2: the binding holds another key");
    let mut case = Case::checked();
    case.status(true, "1", 1);
    case.publish("d/s/1", "good-1");
    case.status(false, "", 2);
    case.withdraw("b");
    case.breaks("S2: not connected while the binding bound stood");
}

#[test]
fn a_key_at_another_place_or_from_before_the_process_breaks_s3() {
    let mut case = Case::checked();
    case.requests.push(request("us1", "good-1"));
    case.breaks("S3");
    let mut case = Case::checked();
    case.history.change(Instant::now(), |facts| facts.region = Some("eu2".to_owned()));
    case.requests.push(request("eu1", "good-1"));
    assert_eq!(case.broken(), [""; 0], "a cache may be behind");
    case.history.started();
    case.requests.push(request("eu1", "good-1"));
    case.breaks("S3");
}

#[test]
fn a_secret_of_somebody_else_that_is_deleted_breaks_s4() {
    let mut case = Case::checked();
    case.withdraw("theirs");
    case.breaks("S4");
}

#[test]
fn a_generation_that_goes_back_or_is_not_there_breaks_s5() {
    for generations in [[2, 1], [2, 3]] {
        let mut case = Case::checked();
        for generation in generations {
            case.status(false, "", generation);
        }
        case.breaks("S5");
    }
}

#[test]
fn a_write_long_after_the_deletion_was_seen_breaks_s6() {
    let mut case = Case::checked();
    let at = Instant::now().checked_sub(Duration::from_secs(9)).unwrap();
    let object = json!({"metadata": {"uid": "u"}});
    case.journal.shown(Shown { at, plural: "partnerintegrations".to_owned(), kind: "DELETED".to_owned(), object });
    case.status(false, "", 1);
    case.breaks("S6");
}

#[test]
fn each_fault_has_room_for_two_more_writes_and_a_refused_key_for_one() {
    let plain = Cost { statuses: 1, checks: 1, refused: 1, ..Cost::default() };
    assert!(Cost { statuses: 3, checks: 3, refused: 2, ..plain }.beyond(&plain, 1).is_empty());
    assert_eq!(Cost { statuses: 4, checks: 4, refused: 3, ..plain }.beyond(&plain, 1).len(), 3);
}
