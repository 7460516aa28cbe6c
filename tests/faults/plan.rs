//! Plans: which faults meet which request, or event of a watch, of which workload. They follow from a recording of the
//! workload without faults; each has a name that says all of it, and by which it can be run alone.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http::Method;

use crate::support::proxy::{Action, Answer, Asked, EventAction, Journal, Proxy, RuleId, Shown, When};
use crate::workload::Workload;

/// How long something is held up.
const HELD: Duration = Duration::from_millis(1500);
/// How long a write is on its way that outlives its process: longer than a Lease, and some for the work of the next leader.
const LATE: Duration = Duration::from_secs(5);
/// Of what goes on for ever, the renewals of the Lease, so many are met.
const RENEWALS: usize = 2;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// The operator is killed before the API server sees the write.
    CrashBefore,
    /// … when it has been committed.
    CrashCommitted,
    /// … when the operator has been told.
    CrashAnswered,
    /// … before the API server sees the write, which arrives all the same when the next process has long been at work.
    CrashLate,
    /// The connection ends before.
    CutBefore,
    /// … after the write was committed.
    CutAfter,
    /// An answer of this code; nothing is done.
    Answer(u16),
    /// It is done, and answered with 500.
    FailAfter,
    /// It comes later.
    Slow,
    /// A read is answered as it was before.
    Rewind,
    /// An event, and all behind it, comes later.
    Hold,
    /// An event is never seen, until the kind is listed anew.
    Drop,
    /// An event comes twice.
    Twice,
    /// The watch is too old (410).
    Expire,
    /// The connection of the watch ends.
    Cut,
}

const WRITE: [Fault; 11] = [
    Fault::CrashBefore,
    Fault::CrashCommitted,
    Fault::CrashAnswered,
    Fault::CrashLate,
    Fault::CutBefore,
    Fault::CutAfter,
    Fault::Answer(409),
    Fault::Answer(429),
    Fault::Answer(500),
    Fault::FailAfter,
    Fault::Slow,
];
const READ: [Fault; 4] = [Fault::CutBefore, Fault::Answer(429), Fault::Answer(500), Fault::Slow];
const WATCH: [Fault; 4] = [Fault::CutBefore, Fault::Answer(410), Fault::Answer(429), Fault::Answer(500)];
const EVENT: [Fault; 5] = [Fault::Hold, Fault::Drop, Fault::Twice, Fault::Expire, Fault::Cut];

impl Fault {
    const OTHERS: [Self; 3] = [Self::Answer(410), Self::Rewind, Self::Expire];

    fn name(self) -> String {
        match self {
            Self::Answer(code) => format!("{code}"),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    fn named(name: &str) -> Option<Self> {
        WRITE.into_iter().chain(READ).chain(WATCH).chain(EVENT).chain(Self::OTHERS).find(|fault| fault.name() == name)
    }

    fn action(self) -> Option<Action> {
        Some(match self {
            Self::CrashBefore => Action::Crash(When::Before),
            Self::CrashCommitted => Action::Crash(When::Committed),
            Self::CrashAnswered => Action::Crash(When::Answered),
            Self::CrashLate => Action::Crash(When::Late(LATE)),
            Self::CutBefore => Action::CutBefore,
            Self::CutAfter => Action::CutAfter,
            Self::Answer(code) => Action::Answer(Answer::status(code, (code == 429).then_some(1))),
            Self::FailAfter => Action::AnswerAfter(Answer::status(500, None)),
            Self::Slow => Action::Delay(HELD),
            Self::Rewind => Action::Rewind,
            Self::Hold | Self::Drop | Self::Twice | Self::Expire | Self::Cut => return None,
        })
    }

    fn event_action(self) -> EventAction {
        match self {
            Self::Hold => EventAction::Hold(HELD),
            Self::Drop => EventAction::Drop(HELD),
            Self::Twice => EventAction::Twice,
            Self::Expire => EventAction::Expire,
            Self::Cut => EventAction::Cut,
            _ => EventAction::Pass,
        }
    }

    /// How long after it was met something may still come of it.
    pub fn lingers(self) -> Duration {
        match self {
            Self::Hold | Self::Drop | Self::Slow => HELD,
            Self::CrashLate => LATE,
            _ => Duration::ZERO,
        }
    }
}

/// One fault, and what it meets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Injection {
    /// The class of the request or event, see [`class`].
    pub class: String,
    /// Which of this class, from 1.
    pub nth: usize,
    /// What goes wrong.
    pub fault: Fault,
}

impl Injection {
    /// Has the proxy do it.
    pub fn arm(&self, proxy: &Proxy) -> RuleId {
        let wanted = self.class.clone();
        match self.fault.action() {
            Some(action) if !wanted.starts_with("event ") => {
                proxy.rule_nth(self.nth, action, move |asked| class(asked).as_ref() == Some(&wanted))
            }
            _ => proxy.event_rule_nth(self.nth, self.fault.event_action(), move |shown| class_of(shown) == wanted),
        }
    }
}

/// A workload and what goes wrong in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Plan {
    /// What happens.
    pub workload: Workload,
    /// What goes wrong, in this order as far as the recording says.
    pub injections: Vec<Injection>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.workload.name())?;
        for Injection { class, nth, fault } in &self.injections {
            write!(f, ", {class} {nth} {}", fault.name())?;
        }
        Ok(())
    }
}

impl Plan {
    /// The plan of this name.
    pub fn named(name: &str) -> Option<Self> {
        let mut parts = name.split(", ");
        let workload = Workload::named(parts.next()?)?;
        let injection = |part: &str| {
            let (rest, fault) = part.rsplit_once(' ')?;
            let (class, nth) = rest.rsplit_once(' ')?;
            Some(Injection { class: class.to_owned(), nth: nth.parse().ok()?, fault: Fault::named(fault)? })
        };
        Some(Self { workload, injections: parts.map(injection).collect::<Option<_>>()? })
    }
}

impl Plan {
    fn and(&self, other: &Injection) -> Self {
        Self { workload: self.workload, injections: [&self.injections[..], std::slice::from_ref(other)].concat() }
    }

    /// Whether a process is killed that was in office from the beginning.
    fn crashes_in_office(&self) -> bool {
        let starts = matches!(self.workload, Workload::Add | Workload::Start | Workload::Restart);
        let crash = [Fault::CrashBefore, Fault::CrashCommitted, Fault::CrashAnswered, Fault::CrashLate];
        !starts && crash.contains(&self.injections[0].fault)
    }
}

/// What kind of request it is: its verb and what it is about, without the names that differ from plan to plan.
pub fn class(asked: &Asked) -> Option<String> {
    let mut parts = asked
        .path
        .split('/')
        .skip_while(|part| !matches!(*part, "partnerintegrations" | "partners" | "secrets" | "leases" | "events"));
    let plural = parts.next()?;
    let (name, sub) = (parts.next(), parts.next());
    let verb = match (&asked.method, name) {
        (&Method::GET, None) if asked.is_watch() => "watch",
        (&Method::GET, None) => "list",
        (&Method::GET, Some(_)) => "get",
        (&Method::POST, _) => "create",
        (&Method::PUT, _) => "update",
        (&Method::PATCH, _) => "patch",
        (&Method::DELETE, _) => "delete",
        _ => return None,
    };
    // The others have one object each.
    let name = name.filter(|_| plural == "secrets").map(|name| format!("/{name}")).unwrap_or_default();
    Some(format!("{verb} {plural}{name}{}", sub.map(|sub| format!("/{sub}")).unwrap_or_default()))
}

/// The same of an event.
pub fn class_of(shown: &Shown) -> String {
    let name = shown.object["metadata"]["name"].as_str().filter(|_| shown.plural == "secrets");
    format!("event {}{}", shown.plural, name.map(|name| format!("/{name}")).unwrap_or_default())
}

/// How often each class was met, in the order in which they first were; and which reads had an older answer.
pub type Recorded = Vec<(String, usize, Vec<usize>)>;

/// What a journal has of each class, from these places on.
pub fn recorded(journal: &Journal, requests: usize, events: usize) -> Recorded {
    let requests = journal.exchanges()[requests..].iter();
    let mut met: Vec<(std::time::Instant, String, bool)> =
        requests.filter_map(|it| Some((it.asked.at, class(&it.asked)?, it.has_older))).collect();
    met.extend(journal.events()[events..].iter().map(|shown| (shown.at, class_of(shown), false)));
    met.sort();
    let mut recorded: Recorded = Vec::new();
    for (_, class, older) in met {
        let place = recorded.iter().position(|known| known.0 == class).unwrap_or_else(|| {
            recorded.push((class, 0, Vec::new()));
            recorded.len() - 1
        });
        let known = &mut recorded[place];
        known.1 += 1;
        known.2.extend(older.then_some(known.1));
    }
    recorded
}

/// What two recordings have in common.
pub fn common(one: &Recorded, other: &Recorded) -> Recorded {
    let both = |(class, count, older): &(String, usize, Vec<usize>)| {
        let (_, also, older_too) = other.iter().find(|known| known.0 == *class)?;
        let older = older.iter().copied().filter(|nth| older_too.contains(nth)).collect();
        Some((class.clone(), *count.min(also), older))
    };
    one.iter().filter_map(both).collect()
}

/// Every fault that the recording of a workload has a place for.
pub fn injections(recorded: &Recorded) -> Vec<Injection> {
    let mut all = Vec::new();
    for (class, count, older) in recorded {
        let verb = class.split(' ').next().unwrap_or_default();
        let count = if class == "update leases" { RENEWALS.min(*count) } else { *count };
        for nth in 1..=count {
            let faults = match verb {
                "event" => &EVENT[..],
                "watch" => &WATCH,
                "get" | "list" => &READ,
                _ => &WRITE,
            };
            let rewind = older.contains(&nth).then_some(Fault::Rewind);
            let faults = faults.iter().copied().chain(rewind);
            all.extend(faults.map(|fault| Injection { class: class.clone(), nth, fault }));
        }
    }
    all
}

/// All plans with one fault.
pub fn singles(recorded: &BTreeMap<Workload, Recorded>) -> Vec<Plan> {
    let of = |(workload, recorded): (&Workload, &Recorded)| {
        let plan = |injection| Plan { workload: *workload, injections: vec![injection] };
        injections(recorded).into_iter().map(plan).collect::<Vec<_>>()
    };
    recorded.iter().flat_map(of).collect()
}

/// Plans with two faults, so many, drawn with this seed. Of one half both are from the recording, and meet different requests; of
/// the other the second meets the process that starts after the first has killed the one before.
pub fn pairs(singles: &[Plan], count: usize, seed: u64) -> Vec<Plan> {
    let mut draw = Draw(seed);
    let starting: Vec<Plan> = singles.iter().filter(|plan| plan.crashes_in_office()).cloned().collect();
    let after: Vec<Injection> = STARTING
        .iter()
        .flat_map(|(class, nth)| injections(&vec![((*class).to_owned(), *nth, vec![*nth])]))
        .filter(|injection| STARTING.contains(&(injection.class.as_str(), injection.nth)))
        .collect();
    let mut pairs: Vec<Plan> = Vec::new();
    // Each draw may miss; there are far more pairs than are wanted.
    for tried in 0..count * 20 {
        if pairs.len() == count || starting.is_empty() {
            break;
        }
        let pair = if tried % 2 == 0 {
            two_of(singles, &mut draw)
        } else {
            let first = &starting[draw.below(starting.len())];
            Some(first.and(&after[draw.below(after.len())]))
        };
        pairs.extend(pair.filter(|pair| !pairs.contains(pair)));
    }
    pairs
}

/// What a process does when it starts and takes office, and which time, as a process that was in office does not.
const STARTING: [(&str, usize); 8] = [
    ("list partnerintegrations", 1),
    ("list secrets", 1),
    ("list partners", 1),
    ("list partners", 2),
    ("watch partnerintegrations", 1),
    ("watch secrets", 1),
    ("watch partners", 1),
    ("get leases", 1),
];

/// Two of one workload.
fn two_of(singles: &[Plan], draw: &mut Draw) -> Option<Plan> {
    let (first, second) = (draw.below(singles.len()), draw.below(singles.len()));
    let (first, second) = (&singles[first.min(second)], &singles[first.max(second)]);
    let (one, other) = (&first.injections[0], &second.injections[0]);
    let fits = first.workload == second.workload && (&one.class, one.nth) != (&other.class, other.nth);
    fits.then(|| first.and(other))
}

/// Splitmix64: the same plans from the same seed, whatever becomes of a library.
pub struct Draw(pub u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap_or(0)
    }
}

#[test]
fn the_name_of_a_plan_says_all_of_it() {
    let injection = |class: &str, fault| Injection { class: class.to_owned(), nth: 2, fault };
    for fault in WRITE.into_iter().chain(READ).chain(WATCH).chain(EVENT).chain(Fault::OTHERS) {
        let injections =
            vec![injection("patch partnerintegrations/status", fault), injection("event secrets/key", fault)];
        let plan = Plan { workload: Workload::Rotate, injections };
        assert_eq!(Plan::named(&plan.to_string()), Some(plan));
    }
}
