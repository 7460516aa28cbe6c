//! From every failure a good spec leads back to Enabled, in each way in which people mend it, whether it was connected before
//! or not.

use std::sync::atomic::{AtomicU64, Ordering};

use futures::stream::{self, StreamExt as _};
use serde_json::json;

use crate::cases::Bases;
use crate::ground::Ground;
use crate::rows;
use crate::schema::Kind;
use crate::state::{Edit, Elsewhere, Expression, Key, NAME, State, Subject};

/// So many are made side by side.
const TOGETHER: usize = 24;

/// How somebody mends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mend {
    /// The edit back, alone.
    Back,
    /// Another good value than the one before: another region, another key.
    Otherwise,
    /// Suspended, mended, resumed.
    Suspended,
    /// Deleted and created anew.
    Anew,
}

/// What breaks it, and the reason that this gives.
const FAILURES: [(&str, Edit); 17] = [
    ("PartnerNotFound", Edit::Listed(false)),
    ("PartnerInvalid", Edit::Expression(Expression::Broken)),
    ("RegionNotFound", Edit::Region("mars")),
    ("EndpointForbidden", Edit::Region("private")),
    ("EndpointForbidden", Edit::Endpoint("private")),
    ("SecretNotFound", Edit::Key(Key::Absent)),
    ("SecretKeyNotFound", Edit::Key(Key::Missing)),
    ("InvalidCredential", Edit::Key(Key::Broken)),
    ("CredentialRejected", Edit::Key(Key::Refused)),
    ("DNSFailure", Edit::Region("nowhere")),
    ("ConnectFailed", Edit::Region("cut")),
    ("Timeout", Edit::Region("hangs")),
    ("RateLimited", Edit::Region("throttled")),
    ("PartnerUnavailable", Edit::Endpoint("down")),
    ("RedirectRefused", Edit::Region("moved")),
    ("TLSFailed", Edit::Endpoint("foreign")),
    ("UnexpectedResponse", Edit::Expression(Expression::False)),
];

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub recovered: AtomicU64,
}

/// Makes all, or only that of this number.
pub async fn run(ground: &Ground, bases: &Bases, elsewhere: &Elsewhere, only: Option<usize>) -> Seen {
    let seen = Seen::default();
    let counts = &seen;
    let mends = [Mend::Back, Mend::Otherwise, Mend::Suspended, Mend::Anew];
    let all: Vec<_> = FAILURES
        .into_iter()
        .flat_map(|failure| mends.map(|mend| (failure, mend)))
        .flat_map(|(failure, mend)| [true, false].map(|before| (failure, mend, before)))
        .enumerate()
        .filter(|(number, _)| only.is_none_or(|only| only == *number))
        .collect();
    stream::iter(all)
        .for_each_concurrent(TOGETHER, |(number, ((reason, broken), mend, before))| async move {
            let namespace = ground.namespace("recovery").await;
            let subject = Subject { ground, bases, elsewhere, namespace };
            match recover(&subject, reason, broken, mend, before).await {
                Ok(()) => drop(counts.recovered.fetch_add(1, Ordering::Relaxed)),
                Err(problem) => ground.violation(format!(
                    "from {reason} ({broken:?}; {mend:?}; connected before: {before}): {problem}\n  again: {}",
                    crate::again("recovery", number)
                )),
            }
        })
        .await;
    seen
}

/// One: failed for this reason, mended, Enabled and published.
async fn recover(subject: &Subject<'_>, reason: &str, broken: Edit, mend: Mend, before: bool) -> Result<(), String> {
    let said = |status: Box<kube::core::Status>| format!("refused: {}", status.message);
    let good = State::default();
    let mut state = if before { good.clone() } else { good.after(broken) };
    subject.prepare(&state).await.map_err(said)?;
    subject.create(&state, NAME).await.map_err(said)?;
    if before {
        reaches(subject, "Connected").await?;
        state = subject.edit(&state, broken).await.map_err(said)?;
    }
    reaches(subject, reason).await?;
    match mend {
        Mend::Back => {}
        Mend::Otherwise => {
            for edit in [Edit::Region("us1"), Edit::Key(Key::Other)] {
                state = subject.edit(&state, edit).await.map_err(said)?;
            }
        }
        Mend::Suspended => {
            state = subject.edit(&state, Edit::Suspended(true)).await.map_err(said)?;
            reaches(subject, "Suspended").await?;
        }
        Mend::Anew => subject.ground.remove(&subject.namespace, NAME).await,
    }
    let wanted = match mend {
        Mend::Otherwise => good.after(Edit::Region("us1")).after(Edit::Key(Key::Other)),
        Mend::Suspended => good.after(Edit::Suspended(true)),
        Mend::Back | Mend::Anew => good,
    };
    for edit in state.towards(&wanted) {
        // What is created anew is created good; the rest is mended before.
        if mend == Mend::Anew && matches!(edit, Edit::Region(_)) {
            continue;
        }
        state = subject.edit(&state, edit).await.map_err(said)?;
    }
    match mend {
        Mend::Suspended => {
            subject.edit(&state, Edit::Suspended(false)).await.map_err(said)?;
        }
        Mend::Anew => {
            subject.create(&wanted, NAME).await.map_err(said)?;
        }
        Mend::Back | Mend::Otherwise => {}
    }
    reaches(subject, "Connected").await?;
    subject.ground.remove(&subject.namespace, NAME).await;
    subject.ground.delete(Kind::Partner, "", &subject.namespace).await;
    Ok(())
}

/// Waits for a reason of the newest spec; when it is connected, for the binding too.
async fn reaches(subject: &Subject<'_>, reason: &str) -> Result<(), String> {
    let named = json!(format!("{NAME}-a"));
    let wanted = |object: &serde_json::Value| {
        rows::is_observed(object)
            && rows::reason(object, "Connected") == reason
            && (object["status"]["binding"]["name"] == named) == (reason == "Connected")
    };
    subject.ground.until(Kind::Integration, &subject.namespace, NAME, reason, wanted).await.map(drop)
}
