//! What one process keeps: its tracker, and what it knows of the key and the bindings.

use super::operator::{INTEGRATION, KEY, PARTNER, fact};
use super::server::Kind;
use super::state::{Check, Fact, Read, Replica, Spec, State};
use super::tables::Tables;

impl Replica {
    /// A process that has just started and has read everything.
    pub fn started(state: &State, office: bool, tables: &Tables) -> Self {
        let (server, events) = (&state.server, &state.events);
        let mut replica = Self {
            office,
            shown: [0, 1, 2].map(|kind| u8::try_from(events[kind].len()).expect("few")),
            store: server.get(Kind::Integration, INTEGRATION).and_then(Read::of),
            tracked: None,
            ahead: None,
            memory: 0,
            check: Check::Idle,
            woken: true,
            look: false,
            again: None,
            partner: None,
            key: None,
            facts: [None; 2],
            unsure: None,
            work: None,
            dead: 0,
            partner_then: 0,
        };
        if let Some(read) = replica.store {
            replica.seen(&read);
        }
        if let Some(Spec::Partner(number)) = server.get(Kind::Partner, PARTNER).map(|object| object.spec) {
            replica.partner = Some(number);
            replica.partner_then = number;
        }
        if let Some(Spec::Key { born, number }) = server.get(Kind::Secret, KEY).map(|object| object.spec)
            && replica.tracked.is_some()
        {
            replica.key = Some((born, number));
        }
        let named = replica.tracked.and_then(|(_, spec)| tables.wanted(spec).binding);
        for slot in 0..2 {
            if let Some(object) = server.get(Kind::Secret, slot + 1) {
                replica.fact_seen(usize::from(slot), fact(object), named == Some(slot));
            }
        }
        replica
    }

    /// `Tracker::seen`
    pub(super) fn seen(&mut self, read: &Read) {
        if read.deleting {
            self.dead |= 1 << read.born;
            return self.forget();
        }
        match &mut self.tracked {
            Some((born, spec)) if *born == read.born => *spec = read.spec,
            Some((born, _)) => {
                self.dead |= 1 << *born;
                self.forget();
                self.tracked = Some((read.born, read.spec));
            }
            None => self.tracked = Some((read.born, read.spec)),
        }
    }

    /// `Tracker::forget`
    pub(super) fn forget(&mut self) {
        (self.tracked, self.ahead, self.memory, self.check, self.unsure) = (None, None, 0, Check::Idle, None);
    }

    /// `Tracker::stand_down`
    pub fn stand_down(&mut self) {
        (self.office, self.check, self.memory) = (false, Check::Idle, 0);
        if let Some(work) = &mut self.work {
            work.in_term = false;
        }
    }

    pub(super) fn keeps(&self, born: u8) -> bool {
        self.tracked.is_some_and(|(tracked, _)| tracked == born)
    }

    /// `Tracker::newest`
    pub(super) fn newest(&mut self, read: Read, watched: bool) -> Read {
        if !self.keeps(read.born) {
            return read;
        }
        match self.ahead {
            Some(ahead) if ahead.version > read.version => ahead,
            _ => {
                if watched {
                    self.ahead = None;
                }
                read
            }
        }
    }

    /// `Secrets::seen`, whether it is news.
    pub(super) fn key_seen(&mut self, key: (u8, u8)) -> bool {
        let news = self.key.is_none_or(|known| known.1 < key.1);
        if news {
            self.key = Some(key);
        }
        news
    }

    /// `Bindings::seen`; whether it is news.
    pub(super) fn fact_seen(&mut self, slot: usize, fact: Fact, is_named: bool) -> bool {
        if self.facts[slot].is_some_and(|known| known.version >= fact.version) {
            return false;
        }
        self.facts[slot] = (is_named || fact.owner != 0).then_some(fact);
        true
    }
}
