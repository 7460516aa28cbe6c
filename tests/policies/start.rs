//! The first seconds of an API server, in which its caches are empty: no policy may refuse anything then that it allows later.

use std::time::{Duration, Instant};

use kube::Client;
use serde_json::{Value, json};

use crate::ground::{
    API, Answer, DENYING, EDITOR, LIMIT, Result, ask, bind, create, delete, edit, installed, integration, may, partner,
    path, unknown_to,
};
use crate::support::controlplane::{emulated, namespace};

/// How long is written after each start, from the first answer on. With `failurePolicy: Fail` there are
/// refusals after some of the starts, for up to half a minute: hence several.
const WHILE: Duration = Duration::from_secs(3);
const POLICIES: [&str; 3] = ["region-is-offered", "may-read-secret", "partner-in-use"];

/// How often the API server is killed and started again; once is enough for each older version.
fn starts() -> usize {
    if emulated().is_some() { 1 } else { 4 }
}

/// What came back from many writes.
#[derive(Debug, Default)]
struct Tally {
    done: usize,
    /// Refused by the API server itself while it starts: roles not read yet, not ready yet.
    not_ready: usize,
    /// No answer.
    away: usize,
    by_policy: Vec<String>,
}

impl Tally {
    fn count(&mut self, what: &str, answer: Result<Answer>) {
        match answer {
            Err(_) => self.away += 1,
            Ok(answer) if POLICIES.iter().any(|policy| answer.says().contains(policy)) => {
                self.by_policy.push(format!("{what}: {} {}", answer.code, answer.says()));
            }
            Ok(answer) if answer.ok() => self.done += 1,
            // A mistake of the test would hide that nothing was tried.
            Ok(answer) if matches!(answer.code, 400 | 409 | 422) => panic!("{what}: {} {}", answer.code, answer.says()),
            Ok(_) => self.not_ready += 1,
        }
    }
}

/// Who writes what.
struct Writes {
    administrator: Client,
    editor: Client,
    namespace: String,
}

impl Writes {
    /// One round of writes, each of which is allowed once the API server is ready.
    async fn round(&self, number: usize, tally: &mut Tally) {
        let region = if number.is_multiple_of(2) { "us1" } else { "eu1" };
        let (merge, json) = ("application/merge-patch+json", "application/json");
        let held = path(&self.namespace, "acme");
        let change = json!({"spec": {"region": region}});
        tally.count("an editor's edit", ask(&self.editor, "PATCH", &held, merge, &change).await);
        let create = format!("{API}/namespaces/{}/partnerintegrations?dryRun=All", self.namespace);
        let new = integration("new", "acme", Some("us1"));
        tally.count("a new one", ask(&self.editor, "POST", &create, json, &new).await);
        let unused = format!("{API}/partners/unused?dryRun=All");
        tally.count("deleting a Partner", ask(&self.administrator, "DELETE", &unused, json, &Value::Null).await);
    }

    /// Rounds until [`WHILE`] after the first write that was done.
    async fn after_a_start(&self) -> Tally {
        let (began, mut first, mut tally) = (Instant::now(), None::<Instant>, Tally::default());
        for number in 0.. {
            if began.elapsed() > LIMIT || first.is_some_and(|first| first.elapsed() > WHILE) {
                break;
            }
            self.round(number, &mut tally).await;
            if tally.done > 0 {
                first.get_or_insert_with(Instant::now);
            } else {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        tally
    }
}

#[tokio::test]
async fn right_after_a_start_of_the_api_server_nothing_is_refused() {
    // Its own: it is killed.
    let plane = installed(DENYING).await;
    let administrator = plane.client().unwrap();
    partner(&administrator, "acme", &["eu1", "us1"]).await;
    partner(&administrator, "unused", &["eu1"]).await;
    let namespace = namespace(&administrator, "start").await.unwrap();
    let editor = bind(&plane, EDITOR, "edit", &namespace).await;
    may(&editor, &namespace, "get", "", "secrets").await;
    create(&administrator, &namespace, &integration("acme", "acme", Some("eu1")), false).await.allowed("on offer");
    let writes = Writes { administrator, editor, namespace };
    for _ in 0..starts() {
        plane.kill_apiserver().await.unwrap();
        let (started, tally) = tokio::join!(plane.start_apiserver(), writes.after_a_start());
        started.unwrap();
        println!("{tally:?}");
        assert!(tally.by_policy.is_empty(), "{tally:#?}");
        // By now every kind of write is done; none was refused all the time by something else.
        let mut last = Tally::default();
        writes.round(0, &mut last).await;
        assert_eq!(last.done, 3, "{last:#?} after {tally:#?}");
    }
    // The policies are at work all the same, as soon as they can be.
    let Writes { administrator, editor, namespace } = &writes;
    unknown_to(administrator, "acme", "nowhere").await;
    let nowhere = json!({"spec": {"region": "nowhere"}});
    edit(editor, &path(namespace, "acme"), &nowhere).await.refused("region-is-offered", "eu1, us1", "later");
    delete(administrator, &format!("{API}/partners/probe")).await.refused("partner-in-use", "1 integration,", "later");
}
