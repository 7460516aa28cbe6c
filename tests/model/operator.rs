//! What the shell does around `decide` and `Steps`, both run as they are: a reconcile and a check.
//! One step of it is one request, or one thing that comes from outside; what lies between is done at once.

use partner_integration_operator::core::{Answer, CheckOrder, End, Step, Steps};

use super::server::{Answer as Answered, Kind, Object, Propagation, Refused, Request};
use super::state::{Bad, Came, Check, Fact, Mode, Read, Replica, Spec, State, Status, T, Work};
use super::tables::{CheckIn, Decided, Input, Tables};

/// Names of objects.
pub const PARTNER: u8 = 0;
pub const INTEGRATION: u8 = 0;
/// Of Secrets: the key; the two bindings follow.
pub const KEY: u8 = 0;

/// The place of a kind among events.
pub fn place(kind: Kind) -> usize {
    match kind {
        Kind::Integration => 0,
        Kind::Partner => 1,
        Kind::Secret | Kind::Lease => 2,
    }
}

/// What the environment does to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It is answered.
    Answered,
    /// It is carried out, and the answer is lost.
    AnswerLost,
    /// It never arrives.
    Lost,
}

/// What its metadata say of a binding.
pub fn fact(object: &Object<Spec, Status>) -> Fact {
    match object.spec {
        Spec::Binding { owner, made_from, region, whole } => {
            Fact { version: object.version, owner, made_from, region, whole }
        }
        _ => Fact { version: object.version, owner: 0, made_from: T::default(), region: 0, whole: false },
    }
}

/// One process, and what is around it.
pub struct Shell<'a> {
    pub tables: &'a Tables,
    pub state: &'a mut State,
    /// Which process.
    pub me: usize,
}

impl Shell<'_> {
    pub(super) fn me(&mut self) -> &mut Replica {
        &mut self.state.replicas[self.me]
    }

    pub(super) fn bad(&mut self, bad: Bad) {
        self.state.bad |= bad as u8;
    }

    /// A request of this process; S5 and S6 are judged by what it stores for the integration `of`.
    pub(super) fn ask(&mut self, of: u8, request: Request<Spec, Status>) -> Answered<Spec, Status> {
        let before = self.state.server.get(Kind::Integration, INTEGRATION).and_then(Read::of);
        let (answer, event) = self.state.server.handle(request);
        if let Some(event) = event {
            if self.me().dead & (1 << of) != 0 {
                self.bad(Bad::S6);
            }
            let after = Read::of(&event.object);
            if let (Some(before), Some(after)) = (before, after)
                && before.born == after.born
                && self.tables.said(after.status).observed < self.tables.said(before.status).observed
            {
                self.bad(Bad::S5);
            }
            self.state.events[place(event.kind)].push(event);
        }
        answer
    }

    /// Takes office: lists the partners, then has everything looked at.
    pub fn takes_office(&mut self) {
        let listed = self.state.server.get(Kind::Partner, PARTNER).map(|object| object.spec);
        let me = self.me();
        if let Some(Spec::Partner(number)) = listed {
            me.partner = Some(number);
            me.partner_then = number;
        } else {
            me.partner = None;
        }
        (me.office, me.woken) = (true, true);
    }

    /// Observes and decides, and makes the first steps.
    pub fn reconcile(&mut self) {
        let me = self.me();
        let again = me.again.take();
        // A wake-up during a reconcile, which a further round is part of, is kept until it has ended.
        me.woken &= again.is_some();
        me.look = false;
        let in_term = me.office;
        let Some(read) = again.or(me.store) else { return };
        let read = me.newest(read, again.is_none());
        if !me.keeps(read.born) {
            return;
        }
        if me.partner.is_none()
            && let Some(Spec::Partner(number)) = self.state.server.get(Kind::Partner, PARTNER).map(|object| object.spec)
        {
            self.me().partner = Some(number);
        }
        let partner = self.me().partner;
        let wanted = self.tables.wanted(read.spec);
        let needs_key =
            !wanted.suspend && partner.is_some_and(|partner| self.tables.endpoint(read.spec, partner).is_some());
        if needs_key
            && self.me().key.is_none()
            && let Some(Spec::Key { born, number }) = self.state.server.get(Kind::Secret, KEY).map(|object| object.spec)
        {
            self.me().key = Some((born, number));
        }
        if let Some(published) = self.tables.said(read.status).binding
            && self.me().facts[published].is_none()
        {
            self.look(published);
        }
        if let Some(slot) = self.me().unsure.take() {
            self.look(usize::from(slot));
        }
        let me = self.me();
        let check = match me.check {
            Check::Idle => CheckIn::Idle,
            Check::Open { t, .. } => CheckIn::Open(t),
            Check::Ended { t, began, request, came } => CheckIn::Ended { t, began, request, came },
        };
        let (key, memory, facts) = (me.key.filter(|_| needs_key), me.memory, me.facts);
        let decided = self.tables.decide(Input { read, partner, key, check, memory, facts });
        let steps = Steps::begin(&self.tables.decided(decided).decision);
        let held = facts.map(|fact| fact.map(|fact| fact.version).unwrap_or_default());
        let has_outcome = matches!(check, CheckIn::Ended { .. });
        let work = Work { read, decided, has_outcome, steps, in_term, held, deleted: 0, shown: None };
        self.me().work = Some(work);
        self.proceed(false);
    }

    /// A live read of a binding's metadata.
    fn look(&mut self, slot: usize) {
        let name = u8::try_from(slot + 1).expect("two");
        match self.state.server.get(Kind::Secret, name).map(fact) {
            Some(fact) => {
                self.me().fact_seen(slot, fact, true);
            }
            None => self.me().facts[slot] = None,
        }
    }

    /// The next request of what is being carried out.
    pub fn request(&mut self, fate: Fate) {
        let Some(work) = self.me().work else { return };
        let decided = self.tables.decided(work.decided);
        if !work.in_term {
            return self.answer(&decided, Answer::OutOfOffice);
        }
        if !matches!(work.steps.at(), Step::TakeUp | Step::Remember) && !self.me().keeps(work.read.born) {
            return self.answer(&decided, Answer::Gone);
        }
        let (facts, key) = (self.me().facts, self.me().key);
        let answer = match (work.steps.at(), fate) {
            (Step::TakeUp | Step::Remember, _) => return self.proceed(true),
            (_, Fate::Lost) => Answer::Unknown,
            (Step::Write, _) => self.write(&work, &decided),
            (Step::Read, _) => self.read(&work, &decided),
            (Step::Withdraw | Step::Tidy, _) => match self.delete(&work, &decided) {
                Some(answer) => answer,
                None if fate == Fate::AnswerLost => Answer::Unknown,
                None => return,
            },
            (Step::Publish, _) => self.publish(&work, &decided),
            (step, _) => unreachable!("{step:?} is no request"),
        };
        if fate == Fate::AnswerLost {
            // Nothing was learnt by it.
            (self.me().facts, self.me().key) = (facts, key);
            if let Some((slot, _, false)) = decided.publish
                && work.steps.at() == Step::Publish
            {
                self.me().unsure = u8::try_from(slot).ok();
            }
            return self.answer(&decided, Answer::Unknown);
        }
        self.answer(&decided, answer);
    }

    fn answer(&mut self, decided: &Decided, answer: Answer) {
        if let Some(work) = &mut self.me().work {
            work.steps = work.steps.next(&decided.decision, work.has_outcome, answer);
        }
        self.proceed(true);
    }

    /// Makes steps until the next request. What is kept after a decision that needed none is a step of its own: other
    /// things may come between.
    fn proceed(&mut self, mut keeps: bool) {
        while let Some(work) = self.me().work {
            let decided = self.tables.decided(work.decided);
            match work.steps.at() {
                Step::Withdraw | Step::Write | Step::Read | Step::Publish | Step::Tidy => return,
                Step::TakeUp | Step::Remember if !keeps => return,
                Step::End(end) => return self.end(&work, end, &decided),
                step => {
                    let answer = self.keep(step, &work, &decided);
                    let next = work.steps.next(&decided.decision, work.has_outcome, answer);
                    self.me().work = Some(Work { steps: next, ..work });
                    keeps |= matches!(step, Step::Stored);
                }
            }
        }
    }

    /// `Context::keep` of `apply.rs`
    fn keep(&mut self, step: Step, work: &Work, decided: &Decided) -> Answer {
        let me = self.me();
        let (ours, in_term) = (me.keeps(work.read.born), work.in_term);
        match step {
            Step::Ask if !in_term => return Answer::OutOfOffice,
            Step::Cancel if ours && in_term && matches!(me.check, Check::Open { .. }) => me.check = Check::Idle,
            Step::Stored | Step::Stale if ours => me.ahead = work.shown,
            Step::TakeUp if ours && in_term && matches!(me.check, Check::Ended { .. }) => me.check = Check::Idle,
            Step::Remember if ours && in_term => me.memory = decided.memory,
            Step::Order if ours && in_term => {
                if let Some((t, request, began)) = decided.start {
                    me.check = Check::Open { t, began, request, asks: None };
                } else if let CheckOrder::Rebase(_) = decided.decision.check {
                    let to = decided.status.unwrap_or(work.read.status);
                    if let Check::Open { began, .. } | Check::Ended { began, .. } = &mut me.check
                        && *began == work.read.status
                    {
                        *began = to;
                    }
                }
            }
            _ => {}
        }
        Answer::Done
    }

    fn end(&mut self, work: &Work, end: End, decided: &Decided) {
        let me = self.me();
        me.work = None;
        match end {
            End::Done => me.look = decided.decision.next_look.is_some(),
            End::Again => me.again = Some(work.read),
            End::Stale => me.again = work.shown.or(Some(work.read)),
            End::Gone => {}
            // A term that is about to end may go on after all; and after a failure there is a backoff.
            End::OutOfOffice | End::Failed => me.woken = true,
        }
    }

    fn write(&mut self, work: &Work, decided: &Decided) -> Answer {
        let status = decided.status.expect("only with one");
        let request = Request::ApplyStatus {
            kind: Kind::Integration,
            name: INTEGRATION,
            version: Some(work.read.version),
            uid: None,
            status,
        };
        match self.ask(work.read.born, request) {
            Answered::Object(object) => {
                self.shown(Read::of(&object));
                Answer::Done
            }
            Answered::Refused(Refused::NotFound) => Answer::Gone,
            _ => Answer::Conflict,
        }
    }

    fn shown(&mut self, read: Option<Read>) {
        if let Some(work) = &mut self.me().work {
            work.shown = read;
        }
    }

    fn read(&mut self, work: &Work, decided: &Decided) -> Answer {
        let Some(fresh) = self.state.server.get(Kind::Integration, INTEGRATION).and_then(Read::of) else {
            return Answer::Gone;
        };
        self.shown(Some(fresh));
        Answer::Live(self.tables.live(&work.read, decided.decision.status.as_deref(), &fresh))
    }

    /// One delete; `None` where there are more to do.
    fn delete(&mut self, work: &Work, decided: &Decided) -> Option<Answer> {
        let slot = decided.held[usize::from(work.deleted)];
        let (name, version) = (u8::try_from(slot + 1).expect("two"), work.held[slot]);
        self.spares(slot, work.read.born, version);
        let request = Request::Delete {
            kind: Kind::Secret,
            name,
            version: Some(version),
            uid: None,
            propagation: Some(Propagation::Background),
        };
        match self.ask(work.read.born, request) {
            Answered::Refused(Refused::Conflict) => {
                self.look(slot);
                return Some(Answer::Conflict);
            }
            _ => self.me().facts[slot] = None,
        }
        let more = usize::from(work.deleted) + 1 < decided.held.len();
        if let Some(work) = &mut self.me().work {
            work.deleted += 1;
        }
        (!more).then_some(Answer::Done)
    }

    /// S4: what is about to be changed in this version is ours.
    fn spares(&mut self, slot: usize, born: u8, version: u32) {
        let name = u8::try_from(slot + 1).expect("two");
        let owner = self.state.server.get(Kind::Secret, name).map(fact);
        if owner.is_some_and(|fact| fact.owner != born && fact.version == version) {
            self.bad(Bad::S4);
        }
    }

    fn publish(&mut self, work: &Work, decided: &Decided) -> Answer {
        let (slot, t, over) = decided.publish.expect("only with one");
        let name = u8::try_from(slot + 1).expect("two");
        match self.state.server.get(Kind::Secret, KEY).map(|object| object.spec) {
            Some(Spec::Key { born, number }) => {
                self.me().key_seen((born, number));
                if (born, number) != (t.born, t.number) {
                    return Answer::Done;
                }
            }
            _ => {
                self.me().key = None;
                return Answer::Done;
            }
        }
        let region = self.tables.wanted(work.read.spec).region.unwrap_or_default();
        let spec = Spec::Binding { owner: work.read.born, made_from: t, region, whole: true };
        let request = if over {
            self.spares(slot, work.read.born, work.held[slot]);
            let (kind, version) = (Kind::Secret, Some(work.held[slot]));
            Request::Replace { kind, name, version, uid: None, spec, annotation: 0 }
        } else {
            Request::Create { kind: Kind::Secret, name, spec, annotation: 0 }
        };
        match self.ask(work.read.born, request) {
            Answered::Created(object) | Answered::Object(object) => self.me().facts[slot] = Some(fact(&object)),
            _ => self.look(slot),
        }
        Answer::Done
    }

    /// A check gets its place and reads its key, and is ready to ask.
    pub fn check_reads(&mut self) {
        let Check::Open { t, began, request, asks: None } = self.me().check else { return };
        let Some(endpoint) = self.job(t) else {
            return self.check_ends(Check::Idle);
        };
        match self.state.server.get(Kind::Secret, KEY).map(|object| object.spec) {
            Some(Spec::Key { born, number }) => {
                self.me().key_seen((born, number));
                let t = T { born, number, ..t };
                self.me().check = Check::Open { t, began, request, asks: Some(endpoint) };
            }
            _ => {
                self.me().key = None;
                self.check_ends(Check::Ended { t, began, request, came: Came::NoSecret });
            }
        }
    }

    /// `Run::job`: where the check would go now, if it is still the one that was planned.
    fn job(&mut self, t: T) -> Option<u8> {
        let watched = self.me().store?;
        let read = self.me().newest(watched, true);
        let (born, planned) = Tables::of_digest(t.digest);
        if read.born != born || read.deleting || self.tables.wanted(read.spec).suspend {
            return None;
        }
        let endpoint = self.tables.endpoint(read.spec, self.me().partner?)?;
        (endpoint == planned).then_some(endpoint)
    }

    /// The partner is asked, and what came of it is there.
    pub fn check_asks(&mut self) {
        let Check::Open { t, began, request, asks: Some(endpoint) } = self.me().check else { return };
        let (born, named) = Tables::of_digest(t.digest);
        if self.me().dead & (1 << born) != 0 {
            self.bad(Bad::S6);
        }
        let offered_then = self.tables.offer(self.me().partner_then).endpoints;
        let earlier = (0..self.me().partner_then).flat_map(|number| self.tables.offer(number).endpoints);
        let corrected = !offered_then.contains(&Some(endpoint)) && earlier.flatten().any(|at| at == endpoint);
        if named != endpoint || corrected {
            self.bad(Bad::S3);
        }
        let came = match self.state.mode {
            Mode::Accepts => Came::Good,
            Mode::Rejects => Came::Rejected,
            Mode::Fails => Came::Failed,
        };
        if came == Came::Good
            && let Err(at) = self.state.accepted.binary_search(&t)
        {
            self.state.accepted.insert(at, t);
        }
        self.check_ends(Check::Ended { t, began, request, came });
    }

    fn check_ends(&mut self, check: Check) {
        let me = self.me();
        (me.check, me.woken) = (check, true);
    }
}
