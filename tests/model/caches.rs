//! What the watches show a process, event by event or as a list.

use super::operator::{INTEGRATION, KEY, PARTNER, Shell, fact};
use super::server::{Change, Kind, Object};
use super::state::{Read, Spec, Status};

impl Shell<'_> {
    /// The watch of a kind shows its next event.
    pub fn shows(&mut self, kind: usize) {
        let at = self.me().shown[kind];
        let event = self.state.events[kind][usize::from(at)].clone();
        self.me().shown[kind] += 1;
        let gone = event.change == Change::Deleted;
        match kind {
            0 => self.integration_shown(Read::of(&event.object).filter(|_| !gone), Read::of(&event.object)),
            1 => self.partner_shown(&event.object.spec, gone),
            _ => self.secret_shown(event.name, &event.object, gone),
        }
    }

    /// The watch of a kind was cut off, has missed what was still to come, and lists anew.
    pub fn lists(&mut self, kind: usize) {
        let missed = u8::try_from(self.state.events[kind].len()).expect("few");
        self.me().shown[kind] = missed;
        let server = &self.state.server;
        match kind {
            0 => {
                let live = server.get(Kind::Integration, INTEGRATION).and_then(Read::of);
                let before = self.me().store;
                self.integration_shown(live, before);
            }
            1 => match server.get(Kind::Partner, PARTNER).map(|object| object.spec) {
                Some(spec) => self.partner_shown(&spec, false),
                None => self.partner_shown(&Spec::Partner(0), true),
            },
            _ => {
                for name in 0..3 {
                    match self.state.server.get(Kind::Secret, name).cloned() {
                        Some(object) => self.secret_shown(name, &object, false),
                        None => self.secret_gone(name),
                    }
                }
            }
        }
    }

    fn integration_shown(&mut self, live: Option<Read>, last: Option<Read>) {
        let me = self.me();
        me.store = live;
        match live {
            Some(read) => {
                me.seen(&read);
                me.woken = true;
            }
            None => {
                if let Some(last) = last {
                    me.dead |= 1 << last.born;
                }
                me.forget();
            }
        }
    }

    fn partner_shown(&mut self, spec: &Spec, gone: bool) {
        let Spec::Partner(number) = *spec else { return };
        let me = self.me();
        if gone {
            me.partner = None;
            me.woken = true;
        } else if me.partner.is_none_or(|known| known < number) {
            me.partner = Some(number);
            me.woken = true;
        }
    }

    fn secret_shown(&mut self, name: u8, object: &Object<Spec, Status>, gone: bool) {
        let named = self.me().tracked.and_then(|(_, spec)| self.tables.wanted(spec).binding);
        let me = self.me();
        if let Spec::Key { born, number } = object.spec {
            match (gone, me.tracked) {
                (true, _) if me.key.is_none_or(|known| known.1 <= number) => {
                    me.key = None;
                    me.woken = true;
                }
                (true, _) => {}
                (false, Some(_)) => me.woken |= me.key_seen((born, number)),
                (false, None) => me.key = None,
            }
            return;
        }
        let slot = usize::from(name - 1);
        if gone {
            if me.facts[slot].is_some_and(|known| known.version <= object.version) {
                me.facts[slot] = None;
                me.woken = true;
            }
        } else if me.fact_seen(slot, fact(object), named == Some(name - 1)) {
            me.woken = true;
        }
    }

    fn secret_gone(&mut self, name: u8) {
        let me = self.me();
        if name == KEY {
            me.woken |= me.key.take().is_some();
        } else {
            me.woken |= me.facts[usize::from(name - 1)].take().is_some();
        }
    }
}
