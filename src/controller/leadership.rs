//! Only the leader checks and writes; the others keep their caches warm.
//!
//! What rests on it is economy, not truth: with two leaders for a moment checks are made twice, and every promise of a
//! status holds (see ADR 2).
//!
//! Whatever a term begins belongs to it: a reconcile, a check and a write ask for their own term, at each step and by the
//! clock. So nothing of an earlier term is sent, written or remembered in a later one.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::{Api, ResourceExt};
use tokio::sync::watch;

use super::Context;
use super::failure::ApiFailure;
use crate::api::Partner;
use crate::health::Right;
use crate::lease::Leading;

/// Between lists of the partners at the beginning of a term: doubling from the first to the last.
const LIST_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// Between looks at whether there is a partner that the watch has not shown.
const SURE_AGAIN: Duration = Duration::from_secs(10);
/// Partners in one page of that list.
const PAGE: u32 = 500;

/// One of this process's terms in office.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term(u64);

#[cfg(test)]
impl Term {
    /// The first one, for tests that need no election.
    pub const FIRST: Self = Self(1);
}

/// Whether this process is in office.
pub struct Office {
    leading: watch::Receiver<Leading>,
    /// The term that has begun: the partners have been listed since the Lease was won.
    begun: AtomicU64,
}

impl Office {
    const NONE: u64 = 0;
    /// The process ends; no term begins any more.
    const CLOSED: u64 = u64::MAX;

    /// One that follows an election.
    pub fn new(leading: watch::Receiver<Leading>) -> Self {
        Self { leading, begun: AtomicU64::new(Self::NONE) }
    }

    /// The term in which this process may send and write at this moment. It asks the clock, so there is none for a
    /// process that was stopped beyond its deadline and goes on.
    pub fn term(&self) -> Option<Term> {
        let won = won(&self.leading)?;
        (self.begun.load(Ordering::SeqCst) == won.0).then_some(won)
    }

    /// Whether this is the term at this moment.
    pub fn holds(&self, term: Term) -> bool {
        self.term() == Some(term)
    }

    /// Whether this process may send and write at this moment, in whatever term.
    pub fn is_held(&self) -> bool {
        self.term().is_some()
    }

    /// Whether a term has begun and nobody has ended it yet. Where [`is_held`](Self::is_held) is false all the same
    /// the deadline has just passed: ask again a moment later.
    pub fn has_begun(&self) -> bool {
        !matches!(self.begun.load(Ordering::SeqCst), Self::NONE | Self::CLOSED)
    }

    /// Does `work` as long as this term lasts; `None` where it ended before the work did. The clock is asked before
    /// each step of it, so a process that was stopped in the midst of connecting does not send when it goes on.
    pub async fn during<T>(&self, term: Term, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let step = |task: &mut std::task::Context<'_>| {
            if self.holds(term) { work.as_mut().poll(task).map(Some) } else { Poll::Ready(None) }
        };
        std::future::poll_fn(step).await
    }

    fn begin(&self, term: Term) -> bool {
        self.begun.compare_exchange(Self::NONE, term.0, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Ends a term, if one has begun.
    fn end(&self) -> bool {
        let end = |begun| (begun != Self::CLOSED).then_some(Self::NONE);
        self.begun.fetch_update(Ordering::SeqCst, Ordering::SeqCst, end).is_ok_and(|begun| begun != Self::NONE)
    }

    fn close(&self) {
        self.begun.store(Self::CLOSED, Ordering::SeqCst);
    }
}

/// The term that the Lease gives at this moment, whether it has begun or not.
fn won(leading: &watch::Receiver<Leading>) -> Option<Term> {
    match *leading.borrow() {
        now @ Leading::Leader { term, .. } if now.is_leader_now() => Some(Term(term)),
        Leading::Leader { .. } | Leading::Standby => None,
    }
}

/// Begins and ends terms as the election says, until it ends.
pub async fn follow(context: Arc<Context>) {
    let mut leading = context.office.leading.clone();
    let mut looks = tokio::time::interval(SURE_AGAIN);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        leading.mark_unchanged();
        let term = won(&leading);
        // Also where the moment between two terms was not seen.
        if !term.is_some_and(|term| context.office.holds(term)) {
            end(&context);
            if let Some(term) = term {
                begin(&context, term, &leading).await;
            }
        }
        tokio::select! {
            changed = leading.changed() => if changed.is_err() {
                return end(&context);
            },
            () = make_sure(&context, &mut looks) => {}
        }
    }
}

/// A process that takes over lists the partners anew before its first check, so that no key goes to an address that
/// its watch has not yet seen corrected (S3). What it remembers from an earlier term is of no use: it starts as after a
/// restart.
async fn begin(context: &Context, term: Term, leading: &watch::Receiver<Leading>) {
    let mut pause = LIST_AGAIN.0;
    while let Err(failure) = list_partners(context).await {
        tracing::warn!(%failure, ?pause, "the partners cannot be listed at the beginning of a term; trying again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LIST_AGAIN.1);
        if won(leading) != Some(term) {
            return;
        }
    }
    // Another term than the one that the list was made in lists for itself. It has woken `follow` by then.
    if won(leading) != Some(term) {
        return;
    }
    context.tracker.take_office(term);
    if !context.office.begin(term) {
        return;
    }
    tracing::info!("leading: checks are made and statuses written by this instance");
    for key in context.tracker.keys() {
        context.wake(key);
    }
    context.wake_partners();
}

/// Checks that wait or run are stopped, and nothing of the term is remembered.
fn end(context: &Context) {
    if context.office.end() {
        context.tracker.stand_down();
        tracing::info!("standing by: another instance leads, or none");
    }
}

/// The process ends: nothing more is sent or written by it, whoever of its tasks still runs.
pub fn close(context: &Context) {
    context.office.close();
    context.tracker.stand_down();
}

/// Lists the partners anew while there is one that only a live read has shown: its answer may have come after the watch had
/// shown that the partner is gone, and then nothing else ever says so.
async fn make_sure(context: &Context, looks: &mut tokio::time::Interval) {
    looks.tick().await;
    if !context.catalogue.is_unsure() || !context.office.is_held() {
        return;
    }
    match list_partners(context).await {
        Ok(gone) => {
            for key in gone.iter().flat_map(|name| context.tracker.of_partner(name)) {
                context.wake(key);
            }
        }
        Err(failure) => tracing::debug!(%failure, "the partners cannot be listed; trying again"),
    }
}

/// Takes the partners up as a live list has them; the names of those that are gone.
async fn list_partners(context: &Context) -> Result<Vec<String>, ApiFailure> {
    let api = Api::<DeserializeGuard<Partner>>::all(context.client.clone());
    let mut params = ListParams::default().limit(PAGE);
    let (mut listed, mut as_of) = (HashSet::new(), None);
    loop {
        let page = context.call(Right::LIST_PARTNERS, "", api.list(&params)).await?;
        // All pages are as of the first one.
        as_of = as_of.or(page.metadata.resource_version);
        for partner in &page.items {
            context.catalogue.read(partner);
            listed.insert(partner.name_any());
        }
        match page.metadata.continue_ {
            Some(token) if !token.is_empty() => params = params.continue_token(&token),
            _ => break,
        }
    }
    Ok(context.catalogue.retain_as_of(&listed, &as_of.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Guard;
    use crate::controller::catalogue::Catalogue;
    use crate::controller::key::Key;
    use crate::controller::tracker::{Check, Tracker};
    use crate::core::{Fingerprint, Memory, Plan, SecretVersion, Tuple};
    use tokio::time::Instant;
    use tokio_util::task::AbortOnDropHandle;

    const LATER: Duration = Duration::from_secs(10);

    fn leader(term: u64) -> Leading {
        Leading::Leader { term, until: Instant::now() + LATER }
    }

    #[tokio::test(start_paused = true)]
    async fn an_office_is_held_from_the_beginning_of_a_term_until_the_clock_says_that_it_is_over() {
        let (sender, leading) = watch::channel(leader(1));
        let office = Office::new(leading);
        assert!(!office.is_held(), "it has not begun");
        assert!(office.begin(Term(1)));
        assert_eq!(office.term(), Some(Term(1)));
        tokio::time::advance(LATER).await;
        assert!(!office.is_held() && office.has_begun(), "nobody has said so but the clock");
        sender.send_replace(leader(1));
        assert!(office.holds(Term(1)), "renewed after all: nobody else has had it");
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_earlier_term_began_does_not_go_on_in_a_later_one() {
        let (sender, leading) = watch::channel(leader(1));
        let office = Office::new(leading);
        office.begin(Term(1));
        sender.send_replace(leader(2));
        assert!(!office.is_held(), "before anybody has noticed");
        assert!(!office.begin(Term(2)), "the one before has to be ended first");
        assert!(office.end() && !office.end());
        assert!(office.begin(Term(2)));
        assert!(office.holds(Term(2)) && !office.holds(Term(1)));
        assert_eq!(office.during(Term(1), async { panic!("not even begun") }).await, None::<()>);
        assert_eq!(office.during(Term(2), async { 1 }).await, Some(1));
        office.close();
        assert!(!office.is_held() && !office.has_begun() && !office.end() && !office.begin(Term(3)));
    }

    #[tokio::test]
    async fn a_reconcile_of_an_earlier_term_cancels_starts_and_remembers_nothing_in_a_later_one() {
        let integration = serde_json::json!({
            "apiVersion": "integrations.kognitiv.com/v1alpha1",
            "kind": "PartnerIntegration",
            "metadata": {"namespace": "shop", "name": "it", "uid": "uid"},
            "spec": {"partner": "datadog"},
        });
        let (tracker, key) = (Tracker::default(), Key::new("shop", "it"));
        tracker.seen(&serde_json::from_value(integration).unwrap());
        let secret = SecretVersion { uid: "s".into(), resource_version: "1".into() };
        let tuple = Tuple { digest: "d".into(), secret };
        let plan = Plan { tuple, proved: false, request: None, began_with: Fingerprint::of(None) };
        let start = |term| {
            tracker.start(&key, "uid", Term(term), &plan, |_, _| {
                AbortOnDropHandle::new(tokio::spawn(std::future::pending()))
            });
        };
        let open = || matches!(tracker.view(&key, "uid").unwrap().check, Check::Open(_));
        start(1);
        assert!(!open(), "no term has begun");
        tracker.take_office(Term(1));
        start(1);
        assert!(open());
        tracker.stand_down();
        assert!(!open());
        tracker.take_office(Term(2));
        start(1);
        assert!(!open(), "planned in the term before");
        start(2);
        tracker.cancel(&key, "uid", Term(1));
        assert!(open());
        let spent = Memory { budget: Memory::default().budget.spend(jiff::Timestamp::now()), ..Memory::default() };
        tracker.remember(&key, "uid", Term(1), spent.clone());
        assert_eq!(tracker.view(&key, "uid").unwrap().memory, Memory::default());
        tracker.remember(&key, "uid", Term(2), spent.clone());
        assert_eq!(tracker.view(&key, "uid").unwrap().memory, spent);
    }

    #[test]
    fn a_partner_that_the_watch_has_shown_since_the_list_stays_in_the_catalogue() {
        let catalogue = Catalogue::new(Guard::new(Vec::new()));
        for (name, version) in [("gone", "5"), ("listed", "6"), ("new", "12")] {
            catalogue.shown(&partner(name, version));
        }
        assert_eq!(catalogue.retain_as_of(&["listed".to_owned()].into(), "10"), ["gone"]);
        let known = ["gone", "listed", "new"].map(|name| catalogue.get(name).is_some());
        assert_eq!(known, [false, true, true]);
    }

    #[test]
    fn a_partner_that_only_a_live_read_has_shown_is_looked_up_again_until_the_watch_shows_it_or_a_list_does_not() {
        let catalogue = Catalogue::new(Guard::new(Vec::new()));
        assert!(catalogue.read(&partner("late", "5")) && catalogue.is_unsure());
        assert!(!catalogue.shown(&partner("late", "4")), "an older one is no news");
        assert!(!catalogue.is_unsure(), "but what has come since will be shown too");
        assert!(!catalogue.read(&partner("late", "6")) && !catalogue.is_unsure(), "it is still the watch's");
        catalogue.forget("late");
        assert!(catalogue.read(&partner("late", "6")) && catalogue.is_unsure(), "read before it went, answered after");
        assert_eq!(catalogue.retain_as_of(&HashSet::new(), "9"), ["late"]);
        assert!(!catalogue.is_unsure());
    }

    fn partner(name: &str, version: &str) -> DeserializeGuard<Partner> {
        let partner = serde_json::json!({
            "apiVersion": "integrations.kognitiv.com/v1alpha1",
            "kind": "Partner",
            "metadata": {"name": name, "uid": name, "resourceVersion": version, "generation": 1},
            "spec": {
                "displayName": name,
                "regions": [{"name": "eu1", "endpoint": "https://api.example.com"}],
                "authentication": {"bearer": {}},
                "check": {"path": "/"},
            },
        });
        serde_json::from_value(partner).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_is_under_way_when_the_deadline_passes_takes_no_further_step() {
        let (_sender, leading) = watch::channel(leader(1));
        let office = Office::new(leading);
        office.begin(Term(1));
        let work = async {
            tokio::time::sleep(LATER * 2).await;
            panic!("a step after the deadline");
        };
        assert_eq!(office.during(Term(1), work).await, None::<()>);
    }
}
