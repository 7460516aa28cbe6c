//! What the process keeps of every integration that the watch has shown: who names what, what to remember, and the
//! integration's check. All of it lives and dies with the object, under one lock that is never held over an await.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use kube::ResourceExt;
use tokio_util::task::AbortOnDropHandle;

use super::counts::Tally;
use super::key::{Key, newer};
use super::leadership::Term;
use super::names::{Named, Names};
use crate::api::PartnerIntegration;
use crate::core::{AnchorKind, Counted, Ended, Fingerprint, Memory, Plan, Refusal, Tuple};
use crate::telemetry::Cause;

/// The check of one integration.
enum Slot {
    Idle,
    /// It waits for its place or runs; dropping the handle cancels it.
    Open {
        id: u64,
        /// Shared with the check itself.
        plan: Arc<Plan>,
        /// The T that it is made with, once it has read its key: that of the plan until then.
        made_with: Option<Box<Tuple>>,
        began_with: Fingerprint,
        _task: AbortOnDropHandle<()>,
    },
    /// Its outcome has not been taken up yet.
    Ended(Box<Ended>),
}

/// A copy of what is known of a check.
#[derive(Clone, Debug)]
pub enum Check {
    /// There is none.
    Idle,
    /// It waits or runs.
    Open(Tuple),
    /// It has ended.
    Ended(Ended),
}

/// A copy of what is kept of an integration for its decisions.
#[derive(Clone, Debug)]
pub struct View {
    /// What the core remembers.
    pub memory: Memory,
    /// Its check.
    pub check: Check,
    /// The latest write of its binding that was refused.
    pub refused: Option<Refusal>,
    /// The span of the check that ended last.
    pub checked_in: Cause,
    /// A binding that may be there or not: see [`unsure`](Tracker::unsure).
    pub unsure: Option<Arc<str>>,
}

struct Tracked {
    uid: String,
    named: Named,
    refused: Option<Box<Refusal>>,
    unsure: Option<Arc<str>>,
    /// As the watch has shown it last.
    connected: bool,
    memory: Memory,
    ahead: Option<Arc<PartnerIntegration>>,
    failures: u32,
    /// When a check of it ended last.
    last_check: Option<jiff::Timestamp>,
    /// The span of that check.
    checked_in: Cause,
    slot: Slot,
}

#[derive(Default)]
struct State {
    /// Boxed: a table has room for up to twice what it holds, and what is kept of one is 430 bytes.
    objects: HashMap<Key, Box<Tracked>>,
    names: Names,
    tally: Tally,
    last_check: u64,
    /// The term in office. What is to be remembered or started for another one comes too late.
    term: Option<Term>,
}

/// See the module.
#[derive(Default)]
pub struct Tracker(Mutex<State>);

impl Tracker {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change below leaves the maps whole, so what a panic left behind can be used.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The watch has shown this object. Another uid under the same name is another object: all that was kept of the
    /// one before is dropped, and its check cancelled. One that is being deleted counts as deleted.
    pub fn seen(&self, integration: &PartnerIntegration) {
        let key = Key::of(integration);
        let mut state = self.state();
        if integration.metadata.deletion_timestamp.is_some() {
            state.forget(&key);
            return;
        }
        let uid = integration.uid().unwrap_or_default();
        let connected = integration.status.as_ref().is_some_and(|status| status.connected);
        let named = Named::of(&key, integration);
        match state.objects.get(&key) {
            Some(tracked) if tracked.uid == uid => {
                state.renamed(&key, named);
                state.connected(&key, connected);
            }
            _ => {
                state.forget(&key);
                state.names.add(&key, &named);
                state.tally.added(&named.partner, connected);
                let tracked = Tracked {
                    uid,
                    named,
                    refused: None,
                    unsure: None,
                    connected,
                    memory: Memory::default(),
                    ahead: None,
                    failures: 0,
                    last_check: None,
                    checked_in: Cause::default(),
                    slot: Slot::Idle,
                };
                state.objects.insert(key, Box::new(tracked));
            }
        }
    }

    /// The object is gone.
    pub fn forget(&self, key: &Key) {
        self.state().forget(key);
    }

    /// The watch has listed anew, one namespace or all: what of it is not in `live` is gone.
    pub fn retain(&self, namespace: Option<&str>, live: &HashSet<Key>) {
        let mut state = self.state();
        let is_gone = |key: &&Key| key.is_within(namespace) && !live.contains(key);
        let gone: Vec<Key> = state.objects.keys().filter(is_gone).cloned().collect();
        for key in gone {
            state.forget(&key);
        }
        state.tally.listed();
    }

    /// The integrations that name a partner, counted; not before they have been listed.
    pub fn counts_of(&self, partner: &str) -> Counted {
        self.state().tally.of(partner)
    }

    /// The partners of which a count has changed since this was asked last.
    pub fn take_recounted(&self) -> HashSet<Arc<str>> {
        self.state().tally.take_changed()
    }

    /// All integrations.
    pub fn keys(&self) -> Vec<Key> {
        self.state().objects.keys().cloned().collect()
    }

    /// From now on what this term remembers is kept, and what it starts is started.
    pub fn take_office(&self, term: Term) {
        self.state().term = Some(term);
    }

    /// The term is over: cancels every check, drops every outcome, and forgets what was remembered of the pace: as after a restart.
    pub fn stand_down(&self) {
        let mut state = self.state();
        state.term = None;
        for tracked in state.objects.values_mut() {
            tracked.slot = Slot::Idle;
            tracked.memory = Memory::default();
            tracked.refused = None;
            tracked.failures = 0;
        }
    }

    /// The uid of each integration of which a check has ended, and when the last one did.
    pub fn last_checks(&self) -> HashMap<Key, (String, jiff::Timestamp)> {
        let last = |tracked: &Tracked| Some((tracked.uid.clone(), tracked.last_check?));
        self.state().objects.iter().filter_map(|(key, tracked)| Some((key.clone(), last(tracked)?))).collect()
    }

    /// The integrations that name a partner.
    pub fn of_partner(&self, partner: &str) -> Vec<Key> {
        self.state().names.of_partner(partner)
    }

    /// The integrations that name a Secret.
    pub fn of_secret(&self, secret: &Key) -> Vec<Key> {
        self.state().names.of_secret(secret)
    }

    /// Whether some integration names a Secret.
    pub fn names_secret(&self, secret: &Key) -> bool {
        self.state().names.has_secret(secret)
    }

    /// Whether some integration names a Secret as its binding.
    pub fn names_binding(&self, secret: &Key) -> bool {
        self.state().names.has_binding(secret)
    }

    /// Somebody has changed a Secret: those that name it as their binding. A write that was refused may be taken now.
    pub fn binding_changed(&self, secret: &Key) -> Vec<Key> {
        let mut state = self.state();
        let keys = state.names.of_binding(secret);
        for key in &keys {
            if let Some(tracked) = state.objects.get_mut(key) {
                tracked.refused = None;
            }
        }
        keys
    }

    /// The API server has refused a write of its binding.
    pub fn refused(&self, key: &Key, uid: &str, refusal: Refusal) {
        if let Some(tracked) = self.state().of_uid(key, uid) {
            tracked.refused = Some(Box::new(refusal));
        }
    }

    /// A binding of this name is being created, and no answer has come yet: until one has, or a live read has shown whether
    /// it is there, the watch may not have shown one that is. `None`: it is known.
    pub fn unsure(&self, key: &Key, uid: &str, binding: Option<&str>) {
        if let Some(tracked) = self.state().of_uid(key, uid) {
            tracked.unsure = binding.map(Arc::from);
        }
    }

    /// What is kept of the object with this uid.
    pub fn view(&self, key: &Key, uid: &str) -> Option<View> {
        let mut state = self.state();
        let tracked = state.of_uid(key, uid)?;
        let check = match &tracked.slot {
            Slot::Idle => Check::Idle,
            Slot::Open { plan, made_with, .. } => Check::Open(made_with.as_deref().unwrap_or(&plan.tuple).clone()),
            Slot::Ended(ended) => Check::Ended((**ended).clone()),
        };
        let (memory, refused) = (tracked.memory.clone(), tracked.refused.as_deref().cloned());
        let (checked_in, unsure) = (tracked.checked_in.clone(), tracked.unsure.clone());
        Some(View { memory, check, refused, checked_in, unsure })
    }

    /// Does `work` as long as this uid is kept; `None` where its deletion was seen before the work had ended. It is asked
    /// before each step, so nothing more is sent from then on (S6).
    pub async fn while_kept<T>(&self, key: &Key, uid: &str, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let step = |task: &mut std::task::Context<'_>| {
            let kept = self.state().of_uid(key, uid).is_some();
            if kept { work.as_mut().poll(task).map(Some) } else { Poll::Ready(None) }
        };
        std::future::poll_fn(step).await
    }

    /// A write or a live read has shown this object. It is used until the watch has shown it or a newer one, so that
    /// one's own write never looks like a change.
    pub fn ahead(&self, key: &Key, uid: &str, object: Arc<PartnerIntegration>) {
        if let Some(tracked) = self.state().of_uid(key, uid) {
            tracked.ahead = Some(object);
        }
    }

    /// The newer of an object that was read and what is [`ahead`](Self::ahead) of it. Only where it was the watch that has
    /// shown the object has it caught up: a further round of a reconcile brings what is ahead itself, and the watch may
    /// still show an older one after it.
    pub fn newest(&self, key: &Key, read: Arc<PartnerIntegration>, watched: bool) -> Arc<PartnerIntegration> {
        let mut state = self.state();
        let Some(tracked) = state.of_uid(key, &read.uid().unwrap_or_default()) else { return read };
        let version = |object: &PartnerIntegration| object.resource_version().unwrap_or_default();
        match &tracked.ahead {
            Some(ahead) if newer(&version(ahead), &version(&read)) => ahead.clone(),
            _ => {
                if watched {
                    tracked.ahead = None;
                }
                read
            }
        }
    }

    /// Remembers what the core wants remembered; a failed reconcile is over.
    pub fn remember(&self, key: &Key, uid: &str, term: Term, memory: Memory) {
        if let Some(tracked) = self.state().in_term(key, uid, term) {
            tracked.memory = memory;
            tracked.failures = 0;
        }
    }

    /// The key that could not be read may be readable now: the next look makes a check.
    pub fn look_again(&self, key: &Key) {
        if let Some(tracked) = self.state().objects.get_mut(key)
            && tracked.memory.anchor.as_ref().is_some_and(|anchor| anchor.kind == AnchorKind::Looked)
        {
            tracked.memory.anchor = None;
        }
    }

    /// Counts a failed reconcile; how many in a row it makes.
    pub fn failed(&self, key: &Key) -> u32 {
        self.state().objects.get_mut(key).map_or(1, |tracked| {
            tracked.failures = tracked.failures.saturating_add(1);
            tracked.failures
        })
    }

    /// Stops whatever waits or runs. An outcome that has not been taken up stays.
    pub fn cancel(&self, key: &Key, uid: &str, term: Term) {
        if let Some(tracked) = self.state().in_term(key, uid, term)
            && matches!(tracked.slot, Slot::Open { .. })
        {
            tracked.slot = Slot::Idle;
        }
    }

    /// Drops an outcome that has been taken up, or that has turned out to be of no use.
    pub fn take_up(&self, key: &Key, uid: &str, term: Term) {
        if let Some(tracked) = self.state().in_term(key, uid, term)
            && matches!(tracked.slot, Slot::Ended(_))
        {
            tracked.slot = Slot::Idle;
        }
    }

    /// The status that a check began with has been replaced by one of our own.
    pub fn rebase(&self, key: &Key, uid: &str, term: Term, from: Fingerprint, to: Fingerprint) {
        if let Some(tracked) = self.state().in_term(key, uid, term) {
            let began_with = match &mut tracked.slot {
                Slot::Open { began_with, .. } => began_with,
                Slot::Ended(ended) => &mut ended.began_with,
                Slot::Idle => return,
            };
            if *began_with == from {
                *began_with = to;
            }
        }
    }

    /// Starts a check in place of whatever there is, unless the object has gone meanwhile or the term is over. `spawn`
    /// gets the check's number and its plan, and must not block.
    pub fn start(
        &self,
        key: &Key,
        uid: &str,
        term: Term,
        plan: &Plan,
        spawn: impl FnOnce(u64, Arc<Plan>) -> AbortOnDropHandle<()>,
    ) {
        let mut state = self.state();
        state.last_check += 1;
        let id = state.last_check;
        if let Some(tracked) = state.in_term(key, uid, term) {
            let plan = Arc::new(plan.clone());
            let (began_with, task) = (plan.began_with, spawn(id, plan.clone()));
            tracked.slot = Slot::Open { id, plan, made_with: None, began_with, _task: task };
        }
    }

    /// The check has read its key: it is made with this T.
    pub fn made_with(&self, key: &Key, uid: &str, check: u64, tuple: &Tuple) {
        if let Some(tracked) = self.state().of_uid(key, uid)
            && let Slot::Open { id, made_with, .. } = &mut tracked.slot
            && *id == check
        {
            *made_with = Some(Box::new(tuple.clone()));
        }
    }

    /// The check has ended; with `None` there is no outcome. Nothing happens where it has been cancelled meanwhile.
    pub fn ended(&self, key: &Key, uid: &str, check: u64, ended: Option<Ended>) {
        if let Some(tracked) = self.state().of_uid(key, uid)
            && let Slot::Open { id, began_with, .. } = &tracked.slot
            && *id == check
        {
            let began_with = *began_with;
            tracked.checked_in = Cause::current();
            if let Some(made) = ended.as_ref().filter(|ended| ended.verdict.result().is_some()) {
                tracked.last_check = Some(made.at);
            }
            tracked.slot = ended.map_or(Slot::Idle, |ended| Slot::Ended(Box::new(Ended { began_with, ..ended })));
        }
    }
}

impl State {
    fn of_uid(&mut self, key: &Key, uid: &str) -> Option<&mut Tracked> {
        self.objects.get_mut(key).map(AsMut::as_mut).filter(|tracked| tracked.uid == uid)
    }

    /// The same for what is done by a term: nothing, once it is over.
    fn in_term(&mut self, key: &Key, uid: &str, term: Term) -> Option<&mut Tracked> {
        if self.term == Some(term) { self.of_uid(key, uid) } else { None }
    }

    fn forget(&mut self, key: &Key) {
        if let Some(tracked) = self.objects.remove(key) {
            self.names.remove(key, &tracked.named);
            self.tally.removed(&tracked.named.partner, tracked.connected);
        }
    }

    fn renamed(&mut self, key: &Key, named: Named) {
        if let Some(tracked) = self.objects.get_mut(key).filter(|tracked| tracked.named != named) {
            self.names.remove(key, &tracked.named);
            self.names.add(key, &named);
            tracked.named = named;
        }
    }

    fn connected(&mut self, key: &Key, connected: bool) {
        if let Some(tracked) = self.objects.get_mut(key).filter(|tracked| tracked.connected != connected) {
            tracked.connected = connected;
            self.tally.turned(&tracked.named.partner, connected);
        }
    }
}

#[cfg(test)]
mod tests;
