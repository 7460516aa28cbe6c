//! The promises as predicates over a state, and what a state that is at rest has to look like.

use partner_integration_operator::api::Phase;
use partner_integration_operator::core::Reason;
use stateright::Property;

use super::operator::{INTEGRATION, KEY, PARTNER, fact};
use super::server::Kind;
use super::state::{Bad, Mode, Read, Spec, State, T};
use super::tables::Tables;
use super::world::{Scope, World};

/// The names of what is checked in every state.
pub const SAFETY: [&str; 6] = [
    "S1 connected is true only with a T that the partner has accepted",
    "S2 a binding holds only a proved key, and one leader has it only while the status says connected",
    "S3 a key is sent only to the endpoint that T names, and to none that was corrected before a takeover",
    "S4 a Secret of somebody else is never changed",
    "S5 observedGeneration never goes back",
    "S6 nothing is sent or stored after a deletion was seen",
];

pub fn of(_: &Scope) -> Vec<Property<World>> {
    let [s1, s2, s3, s4, s5, s6] = SAFETY;
    vec![
        Property::<World>::always(s1, connected_is_proved),
        Property::<World>::always(s2, bindings_are_proved),
        Property::<World>::always(s3, |_, state| state.bad & Bad::S3 as u8 == 0),
        Property::<World>::always(s4, |_, state| state.bad & Bad::S4 as u8 == 0),
        Property::<World>::always(s5, |_, state| state.bad & Bad::S5 as u8 == 0),
        Property::<World>::always(s6, |_, state| state.bad & Bad::S6 as u8 == 0),
    ]
}

fn connected_is_proved(world: &World, state: &State) -> bool {
    let Some(read) = state.server.get(Kind::Integration, INTEGRATION).and_then(Read::of) else { return true };
    if read.status == 0 {
        return true;
    }
    let said = world.tables.said(read.status);
    let proved = said
        .verified
        .is_some_and(|t| state.accepted.binary_search(&t).is_ok() && Tables::of_digest(t.digest).0 == read.born);
    said.connected == (said.phase == Phase::Enabled) && (proved || !said.connected)
}

fn bindings_are_proved(world: &World, state: &State) -> bool {
    let read = state.server.get(Kind::Integration, INTEGRATION).and_then(Read::of);
    let connected = read.is_some_and(|read| world.tables.said(read.status).connected);
    (1..3).filter_map(|name| state.server.get(Kind::Secret, name).map(fact)).filter(|fact| fact.owner != 0).all(
        |fact| {
            let proved = state.accepted.binary_search(&fact.made_from).is_ok();
            let is_mine = read.is_some_and(|read| read.born == fact.owner);
            proved && (connected || !is_mine || world.scope.two)
        },
    )
}

/// What is wrong with a state in which nothing changes any more, if anything is (section 3 of the design).
pub fn unsettled(world: &World, state: &State) -> Option<String> {
    let tables = &world.tables;
    let Some(read) = state.server.get(Kind::Integration, INTEGRATION).and_then(Read::of) else {
        let left = (1..3).find(|name| state.server.get(Kind::Secret, *name).is_some_and(|it| fact(it).owner != 0));
        return left.map(|name| format!("binding {name} of an integration that is gone"));
    };
    if read.deleting {
        return Some("still being deleted".into());
    }
    let said = tables.said(read.status);
    let wanted = tables.wanted(read.spec);
    let partner = match state.server.get(Kind::Partner, PARTNER).map(|object| object.spec) {
        Some(Spec::Partner(number)) => Some(number),
        _ => None,
    };
    let key = match state.server.get(Kind::Secret, KEY).map(|object| object.spec) {
        Some(Spec::Key { born, number }) => Some((born, number)),
        _ => None,
    };
    let endpoint = partner.and_then(|partner| tables.endpoint(read.spec, partner));
    let (phase, reason) = match (wanted.suspend, partner, wanted.region, endpoint, key) {
        (true, ..) => (Phase::Available, Reason::Suspended),
        (_, None, None, ..) => (Phase::Available, Reason::PartnerNotFound),
        (_, None, ..) => (Phase::Failed, Reason::PartnerNotFound),
        (_, _, None, ..) => (Phase::Available, Reason::NotConfigured),
        (_, _, _, None, _) => (Phase::Failed, Reason::RegionNotFound),
        (.., None) => (Phase::Failed, Reason::SecretNotFound),
        _ => match state.mode {
            Mode::Accepts => (Phase::Enabled, Reason::Connected),
            Mode::Rejects => (Phase::Failed, Reason::CredentialRejected),
            Mode::Fails => (Phase::Failed, Reason::PartnerUnavailable),
        },
    };
    if said.observed != i64::from(read.generation) || said.phase != phase || said.reason != Some(reason) {
        return Some(format!("generation {}, {phase:?} {reason}, but it says {said:?}", read.generation));
    }
    let t = key.zip(endpoint).map(|((born, number), at)| T { digest: tables.digest(read.born, at), born, number });
    if said.connected && said.verified != t {
        return Some(format!("connected with {:?} instead of {t:?}", said.verified));
    }
    bound(world, state, &read, t)
}

fn bound(world: &World, state: &State, read: &Read, t: Option<T>) -> Option<String> {
    let said = world.tables.said(read.status);
    let wanted = world.tables.wanted(read.spec);
    let facts: Vec<_> = (1..3u8).map(|name| (name - 1, state.server.get(Kind::Secret, name).map(fact))).collect();
    for (slot, fact) in facts {
        let named = wanted.binding == Some(slot) && said.connected;
        match fact {
            Some(fact) if fact.owner != 0 && !named => {
                return Some(format!("binding {slot} was not withdrawn: {said:?}"));
            }
            Some(fact) if fact.owner != 0 && (Some(fact.made_from) != t || !fact.whole) => {
                return Some(format!("binding {slot} is out of date: {fact:?}"));
            }
            Some(fact) if fact.owner != 0 && wanted.region != Some(fact.region) => {
                return Some(format!("binding {slot} is of another region: {fact:?}"));
            }
            Some(fact) if named && fact.owner == 0 && said.ready != "False BindingNotOwned" => {
                return Some(format!("binding {slot} is somebody else's, and Ready is {}", said.ready));
            }
            Some(fact) if named && fact.owner != 0 && (said.ready != "True Connected" || said.binding.is_none()) => {
                return Some(format!("binding {slot} is there, and status says {said:?}"));
            }
            None if named => return Some(format!("binding {slot} is missing: {said:?}")),
            _ => {}
        }
    }
    None
}
