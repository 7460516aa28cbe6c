//! The model: what may happen next in a state, and what it leads to.

use stateright::{Model, Property};

use super::operator::{Fate, INTEGRATION, KEY, PARTNER, Shell};
use super::properties;
use super::server::{Answer, Kind, Propagation, Request, Server};
use super::state::{Mode, Read, Replica, Spec, State, Status};
use super::tables::{Offer, Tables, Wanted};

/// What may happen to the world, as often as a scope allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Env {
    /// The spec is edited to this one.
    Spec(u8),
    /// A check is asked for.
    CheckRequest,
    /// The integration is deleted in the background, or in the foreground, or created with this spec.
    Delete,
    DeleteForeground,
    Create(u8),
    /// The key's Secret is written, deleted, created.
    Rotate,
    DeleteKey,
    CreateKey,
    /// The catalogue entry is edited to the next one, or deleted, or created as the next one.
    EditPartner,
    DeletePartner,
    CreatePartner,
    /// The partner behaves differently from now on.
    Partner(Mode),
    /// Somebody else makes or deletes a Secret of a binding's name, deletes one of ours, or writes into one of ours.
    MakeForeign(u8),
    DeleteBinding(u8),
    Tamper(u8),
    /// The second process takes office, while the first one still thinks that it leads.
    TakesOffice,
    /// A process crashes, between two requests or after one that was carried out, and starts anew.
    Crash,
    /// A request or its answer is lost.
    Lose,
    /// A watch is cut off and lists anew.
    Relist,
    /// So much time passes that everything which is planned is due.
    Time,
}

/// One step of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Shows {
        me: usize,
        kind: usize,
    },
    Lists {
        me: usize,
        kind: usize,
    },
    Reconciles {
        me: usize,
    },
    Asks {
        me: usize,
        fate: Fate,
    },
    CheckReads {
        me: usize,
    },
    CheckAsks {
        me: usize,
    },
    TimePasses {
        me: usize,
    },
    StandsDown {
        me: usize,
    },
    Crashes {
        me: usize,
        after_request: bool,
    },
    /// The garbage collector deletes a binding, or an integration that waits for it.
    Collects {
        binding: Option<u8>,
    },
    Happens(Env),
}

/// A number of things that may happen in any order, so many times in all.
pub type Allowed = (u8, Vec<Env>);

/// One bounded part of all that can happen, explored whole.
#[derive(Clone, Debug)]
pub struct Scope {
    pub name: &'static str,
    pub wanted: Vec<Wanted>,
    pub offers: Vec<Offer>,
    /// The spec that it begins with.
    pub first: u8,
    /// It begins connected and at rest; otherwise with nothing but the partner.
    pub settled: bool,
    pub two: bool,
    pub allowed: Vec<Allowed>,
}

/// More steps than any scope takes until it is connected and at rest.
const SETTLES_WITHIN: usize = 1000;

/// A scope to explore.
pub struct World {
    pub scope: Scope,
    pub tables: Tables,
}

impl World {
    pub fn new(scope: Scope) -> Self {
        let tables = Tables::new(&scope.wanted, &scope.offers);
        Self { scope, tables }
    }

    fn allows(&self, state: &State, env: Env) -> Option<usize> {
        let mut groups = self.scope.allowed.iter().zip(&state.left);
        groups.position(|((_, what), left)| *left > 0 && what.contains(&env))
    }

    fn spend(&self, state: &mut State, env: Env) -> Option<()> {
        let at = self.allows(state, env)?;
        state.left[at] -= 1;
        Some(())
    }

    /// What happens by itself, without faults and without anybody who changes anything.
    pub fn quiet(&self, state: &State, actions: &mut Vec<Action>) {
        for (me, replica) in state.replicas.iter().enumerate() {
            for kind in 0..3 {
                if usize::from(replica.shown[kind]) < state.events[kind].len() {
                    actions.push(Action::Shows { me, kind });
                }
            }
            match replica.work {
                Some(_) => actions.push(Action::Asks { me, fate: Fate::Answered }),
                None if replica.again.is_some() || (replica.woken && replica.office) => {
                    actions.push(Action::Reconciles { me });
                }
                None => {}
            }
            match replica.check {
                super::state::Check::Open { asks: None, .. } => actions.push(Action::CheckReads { me }),
                super::state::Check::Open { .. } => actions.push(Action::CheckAsks { me }),
                _ => {}
            }
        }
        if state.replicas.len() > 1 && state.replicas[0].office && state.replicas[1].office {
            actions.push(Action::StandsDown { me: 0 });
        }
        let live = state.server.get(Kind::Integration, INTEGRATION).and_then(Read::of);
        let mut held = false;
        for slot in 0..2 {
            let Some(Spec::Binding { owner, .. }) = state.server.get(Kind::Secret, slot + 1).map(|it| it.spec) else {
                continue;
            };
            let lives = live.is_some_and(|live| live.born == owner && !live.deleting);
            if owner != 0 && !lives {
                held = true;
                actions.push(Action::Collects { binding: Some(slot) });
            }
        }
        if live.is_some_and(|live| live.deleting) && !held {
            actions.push(Action::Collects { binding: None });
        }
    }

    /// Time passes for whoever has planned to look again.
    pub fn time(state: &State, actions: &mut Vec<Action>) {
        for (me, replica) in state.replicas.iter().enumerate() {
            if replica.office && replica.look && !replica.woken && replica.work.is_none() && replica.again.is_none() {
                actions.push(Action::TimePasses { me });
            }
        }
    }

    fn faults(&self, state: &State, actions: &mut Vec<Action>) {
        for (me, replica) in state.replicas.iter().enumerate() {
            if self.allows(state, Env::Relist).is_some() {
                for kind in 0..3 {
                    if usize::from(replica.shown[kind]) < state.events[kind].len() {
                        actions.push(Action::Lists { me, kind });
                    }
                }
            }
            if replica.work.is_some() && self.allows(state, Env::Lose).is_some() {
                actions.push(Action::Asks { me, fate: Fate::AnswerLost });
                actions.push(Action::Asks { me, fate: Fate::Lost });
            }
            if self.allows(state, Env::Crash).is_some() {
                actions.push(Action::Crashes { me, after_request: false });
                if replica.work.is_some() {
                    actions.push(Action::Crashes { me, after_request: true });
                }
            }
        }
    }

    fn happens(&self, state: &mut State, env: Env) -> Option<()> {
        let number = |which: usize, state: &mut State| {
            state.latest[which] += 1;
            state.latest[which]
        };
        let live = state.server.get(Kind::Integration, INTEGRATION).and_then(Read::of);
        let partner = state.server.get(Kind::Partner, PARTNER).is_some();
        let key = state.server.get(Kind::Secret, KEY).is_some();
        let create = |kind, name, spec| Request::Create { kind, name, spec, annotation: 0 };
        let patch = |kind, name, spec, annotation, release| Request::Patch {
            kind,
            name,
            version: None,
            uid: None,
            spec,
            annotation,
            release,
        };
        let delete = |kind, name, propagation| Request::Delete {
            kind,
            name,
            version: None,
            uid: None,
            propagation: Some(propagation),
        };
        let request = match env {
            Env::Spec(spec) => {
                let live = live.filter(|live| live.spec != spec)?;
                let edited = Spec::Integration { born: live.born, spec };
                patch(Kind::Integration, INTEGRATION, Some(edited), None, false)
            }
            Env::CheckRequest => {
                let asked = live?.request + 1;
                patch(Kind::Integration, INTEGRATION, None, Some(asked), false)
            }
            Env::Delete => live.map(|_| delete(Kind::Integration, INTEGRATION, Propagation::Background))?,
            Env::DeleteForeground => {
                live.filter(|live| !live.deleting)?;
                delete(Kind::Integration, INTEGRATION, Propagation::Foreground)
            }
            Env::Create(spec) => {
                let born = live.is_none().then(|| number(2, state))?;
                create(Kind::Integration, INTEGRATION, Spec::Integration { born, spec })
            }
            Env::Rotate => {
                let number = key.then(|| number(1, state))?;
                patch(Kind::Secret, KEY, Some(Spec::Key { born: state.key_born, number }), None, false)
            }
            Env::DeleteKey => key.then(|| delete(Kind::Secret, KEY, Propagation::Background))?,
            Env::CreateKey => {
                let number = (!key).then(|| number(1, state))?;
                state.key_born += 1;
                create(Kind::Secret, KEY, Spec::Key { born: state.key_born, number })
            }
            Env::EditPartner => {
                let next = partner.then(|| number(0, state))?;
                patch(Kind::Partner, PARTNER, Some(Spec::Partner(next)), None, false)
            }
            Env::DeletePartner => partner.then(|| delete(Kind::Partner, PARTNER, Propagation::Background))?,
            Env::CreatePartner => {
                let next = (!partner).then(|| number(0, state))?;
                create(Kind::Partner, PARTNER, Spec::Partner(next))
            }
            Env::Partner(mode) => {
                if state.mode == mode {
                    return None;
                }
                state.mode = mode;
                return Some(());
            }
            Env::MakeForeign(slot) => {
                let spec = Spec::Binding { owner: 0, made_from: super::state::T::default(), region: 0, whole: true };
                create(Kind::Secret, slot + 1, spec)
            }
            Env::DeleteBinding(slot) => delete(Kind::Secret, slot + 1, Propagation::Background),
            Env::Tamper(slot) => {
                let object = state.server.get(Kind::Secret, slot + 1)?;
                let Spec::Binding { owner: owner @ 1.., made_from, region, whole: true } = object.spec else {
                    return None;
                };
                let spec = Spec::Binding { owner, made_from, region, whole: false };
                patch(Kind::Secret, slot + 1, Some(spec), None, false)
            }
            Env::TakesOffice => {
                if state.replicas.get(1).is_none_or(|second| second.office) {
                    return None;
                }
                Shell { tables: &self.tables, state, me: 1 }.takes_office();
                return Some(());
            }
            Env::Crash | Env::Lose | Env::Relist | Env::Time => return None,
        };
        Self::does(state, request)
    }

    /// Has a request of somebody else carried out; `None` where it changes nothing.
    fn does(state: &mut State, request: Request<Spec, Status>) -> Option<()> {
        let (answer, event) = state.server.handle(request);
        if matches!(answer, Answer::Refused(_)) {
            return None;
        }
        let event = event?;
        state.events[super::operator::place(event.kind)].push(event);
        Some(())
    }

    fn crashes(&self, state: &mut State, me: usize) {
        let office = state.replicas[me].office;
        state.replicas[me] = Replica::started(state, office, &self.tables);
    }

    fn acts(&self, state: &mut State, action: Action) -> Option<()> {
        let shell = |state, me| Shell { tables: &self.tables, state, me };
        match action {
            Action::Shows { me, kind } => shell(state, me).shows(kind),
            Action::Lists { me, kind } => {
                self.spend(state, Env::Relist)?;
                shell(state, me).lists(kind);
            }
            Action::Reconciles { me } => shell(state, me).reconcile(),
            Action::Asks { me, fate } => {
                if fate != Fate::Answered {
                    self.spend(state, Env::Lose)?;
                }
                shell(state, me).request(fate);
            }
            Action::CheckReads { me } => shell(state, me).check_reads(),
            Action::CheckAsks { me } => shell(state, me).check_asks(),
            Action::TimePasses { me } => {
                let replica = &mut state.replicas[me];
                replica.memory = self.tables.aged(replica.memory);
                (replica.look, replica.woken) = (false, true);
            }
            Action::StandsDown { me } => state.replicas[me].stand_down(),
            Action::Crashes { me, after_request } => {
                self.spend(state, Env::Crash)?;
                if after_request {
                    shell(state, me).request(Fate::Answered);
                }
                self.crashes(state, me);
            }
            Action::Collects { binding: Some(slot) } => {
                let (kind, name, propagation) = (Kind::Secret, slot + 1, Some(Propagation::Background));
                Self::does(state, Request::Delete { kind, name, version: None, uid: None, propagation })?;
            }
            Action::Collects { binding: None } => {
                let (kind, name) = (Kind::Integration, INTEGRATION);
                let (version, uid, spec, annotation) = (None, None, None, None);
                Self::does(state, Request::Patch { kind, name, version, uid, spec, annotation, release: true })?;
            }
            Action::Happens(env) => {
                self.spend(state, env)?;
                self.happens(state, env)?;
            }
        }
        Some(())
    }

    /// The state after an action; `None` where it cannot be taken or changes nothing.
    pub fn after(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        self.acts(&mut next, action)?;
        next.trim();
        next.renumber();
        (next != *state).then_some(next)
    }

    /// The state that a scope begins with.
    pub fn begins(&self) -> State {
        let mut state = State {
            server: Server::default(),
            events: [const { Vec::new() }; 3],
            replicas: Vec::new(),
            mode: Mode::Accepts,
            latest: [0, 1, 0],
            key_born: 1,
            left: self.scope.allowed.iter().map(|(times, _)| *times).collect(),
            accepted: Vec::new(),
            bad: 0,
        };
        let create = |kind, name, spec| Request::Create { kind, name, spec, annotation: 0 };
        state.server.handle(create(Kind::Partner, PARTNER, Spec::Partner(0)));
        state.server.handle(create(Kind::Secret, KEY, Spec::Key { born: 1, number: 1 }));
        if self.scope.settled {
            state.latest[2] = 1;
            state.server.handle(create(
                Kind::Integration,
                INTEGRATION,
                Spec::Integration { born: 1, spec: self.scope.first },
            ));
        }
        for second in 0..=usize::from(self.scope.two) {
            let replica = Replica::started(&state, second == 0, &self.tables);
            state.replicas.push(replica);
        }
        state.renumber();
        // One that never comes to rest begins somewhere on its way, and the graph tells of it.
        for _ in 0..if self.scope.settled { SETTLES_WITHIN } else { 0 } {
            let mut actions = Vec::new();
            self.quiet(&state, &mut actions);
            let Some(next) = actions.into_iter().find_map(|action| self.after(&state, action)) else { break };
            state = next;
        }
        state
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.begins()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.quiet(state, actions);
        if self.allows(state, Env::Time).is_some() {
            Self::time(state, actions);
        }
        self.faults(state, actions);
        for (left, (_, what)) in state.left.iter().zip(&self.scope.allowed) {
            if *left > 0 {
                actions.extend(what.iter().map(|env| Action::Happens(*env)));
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        if matches!(action, Action::TimePasses { .. }) {
            let mut state = state.clone();
            self.spend(&mut state, Env::Time)?;
            return self.after(&state, action);
        }
        self.after(state, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(&self.scope)
    }
}
