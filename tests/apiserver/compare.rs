//! Whether two answers are the same: codes, and objects up to the names that each server gives to versions and uids.

use std::collections::BTreeMap;

use crate::generate::{Sequence, Spec, Status, Step};
use crate::real::{Place, Real, Reply, Seen, seen};
use crate::server::{Answer, Kind, Object, Refused, Request, Uid, Version};
use crate::support::Result;

/// Stands for a version and a uid that nothing ever had.
const NO_VERSION: &str = "1";
const NO_UID: &str = "00000000-0000-0000-0000-000000000000";

/// What the two servers call the same things. It must be one to one, and versions must be in the same order.
#[derive(Default)]
struct Names {
    versions: BTreeMap<Version, u64>,
    uids: BTreeMap<Uid, String>,
}

impl Names {
    fn version(&self, version: Version) -> Option<String> {
        if version == 0 { Some(NO_VERSION.to_owned()) } else { self.versions.get(&version).map(u64::to_string) }
    }

    fn uid(&self, uid: Uid) -> Option<String> {
        if uid == 0 { Some(NO_UID.to_owned()) } else { self.uids.get(&uid).cloned() }
    }

    /// Holds the two against each other, and learns what is new.
    fn same(&mut self, object: &Object<Spec, Status>, real: &Seen, gone: bool) -> std::result::Result<(), String> {
        let told = (
            object.generation,
            object.deleting.map(|kept| if gone { real.deleting.unwrap_or(kept) } else { kept }),
            object.annotation,
            object.spec,
            object.seen_status(),
        );
        let is = (real.generation, real.deleting, real.annotation, real.spec, real.status);
        if told != is {
            return Err(format!("(generation, deleting, annotation, spec, status) {told:?}, the real one {is:?}"));
        }
        let known = self.uids.entry(object.uid).or_insert_with(|| real.uid.clone());
        if *known != real.uid || self.uids.values().filter(|uid| **uid == real.uid).count() != 1 {
            return Err(format!("uid {} is {}", object.uid, real.uid));
        }
        let known = *self.versions.entry(object.version).or_insert(real.version);
        let before = self.versions.range(..object.version).next_back().map(|(_, real)| *real);
        let after = self.versions.range(object.version + 1..).next().map(|(_, real)| *real);
        if known != real.version
            || before.is_some_and(|before| before >= real.version)
            || after.is_some_and(|after| after <= real.version)
        {
            return Err(format!(
                "version {} was {known} and is {}, between {before:?} and {after:?}",
                object.version, real.version
            ));
        }
        Ok(())
    }
}

/// How a sequence went.
pub struct Ran {
    /// How many requests it made, by verb.
    pub verbs: BTreeMap<&'static str, u64>,
    /// What differed, with the steps up to there.
    pub difference: Option<String>,
}

/// Gives the sequence of this seed to both servers, step by step, until they differ.
///
/// # Errors
/// The real server could not be asked.
pub async fn run(real: &Real, place: &Place, seed: u64) -> Result<Ran> {
    let mut sequence = Sequence::new(seed);
    let (mut names, mut verbs, mut log) = (Names::default(), BTreeMap::new(), Vec::new());
    let mut difference = None;
    while let Some(step) = sequence.step() {
        log.push(format!("{step:?}"));
        *verbs.entry(verb(&step)).or_default() += 1;
        let held = match step {
            Step::Ask(request) => ask(real, place, &mut sequence, &mut names, request).await?,
            Step::Watch(kind, since) => watch(real, place, &sequence, &mut names, kind, since).await?,
        };
        if let Err(differs) = held {
            difference = Some(format!("{}\n  {differs}", log.join("\n")));
            break;
        }
    }
    if difference.is_none()
        && let Some((kind, since)) = sequence.last_watch()
    {
        *verbs.entry("watch").or_default() += 1;
        if let Err(differs) = watch(real, place, &sequence, &mut names, kind, since).await? {
            difference = Some(format!("{}\nthe watch at the end\n  {differs}", log.join("\n")));
        }
    }
    for (kind, name) in sequence.left_over() {
        let request = Request::Delete {
            kind,
            name,
            version: None,
            uid: None,
            propagation: Some(crate::server::Propagation::Background),
        };
        place.ask(real, &request, None, None).await?;
    }
    Ok(Ran { verbs, difference })
}

type Held = std::result::Result<(), String>;

async fn ask(
    real: &Real,
    place: &Place,
    sequence: &mut Sequence,
    names: &mut Names,
    request: Request<Spec, Status>,
) -> Result<Held> {
    let (kind, version, uid) = parts(&request);
    let (version, uid) = (version.and_then(|it| names.version(it)), uid.and_then(|it| names.uid(it)));
    let reply = place.ask(real, &request, version, uid).await?;
    let releases = matches!(request, Request::Patch { release: true, .. } | Request::Replace { .. });
    let answer = sequence.ask(request);
    Ok(compare(sequence, names, kind, &answer, &reply, releases))
}

fn compare(
    sequence: &mut Sequence,
    names: &mut Names,
    kind: Kind,
    answer: &Answer<Spec, Status>,
    reply: &Reply,
    releases: bool,
) -> Held {
    let (code, reason) = match answer {
        Answer::Created(_) => (201, ""),
        Answer::Object(_) | Answer::List(..) | Answer::Deleted => (200, ""),
        Answer::Refused(Refused::NotFound) => (404, "NotFound"),
        Answer::Refused(Refused::Exists) => (409, "AlreadyExists"),
        Answer::Refused(Refused::Conflict) => (409, "Conflict"),
        Answer::Refused(Refused::Invalid) => (422, "Invalid"),
    };
    if (reply.code, reply.reason.as_str()) != (code, reason) {
        return Err(format!("{code} {reason}, the real one {} {}", reply.code, reply.body));
    }
    match answer {
        Answer::Created(object) | Answer::Object(object) => {
            let seen = seen(kind, &reply.body).map_err(|error| format!("{error}: {}", reply.body))?;
            names.same(object, &seen, releases && object.deleting.is_some())?;
            sequence.saw(object);
            Ok(())
        }
        Answer::List(objects, _) => {
            let items = reply.body["items"].as_array().ok_or("no items")?;
            let mut listed = Vec::new();
            for item in items {
                listed.push(seen(kind, item).map_err(|error| format!("{error}: {item}"))?);
            }
            listed.sort_by_key(|seen| seen.name);
            if !objects.iter().map(|(name, _)| *name).eq(listed.iter().map(|seen| seen.name)) {
                return Err(format!("{objects:?}, the real one {listed:?}"));
            }
            for ((_, object), seen) in objects.iter().zip(&listed) {
                names.same(object, seen, false)?;
                sequence.saw(object);
            }
            Ok(())
        }
        Answer::Deleted if reply.body["kind"] == "Status" => Ok(()),
        Answer::Deleted => Err(format!("gone, the real one {}", reply.body)),
        Answer::Refused(_) => Ok(()),
    }
}

async fn watch(
    real: &Real,
    place: &Place,
    sequence: &Sequence,
    names: &mut Names,
    kind: Kind,
    since: Version,
) -> Result<Held> {
    let Some(from) = names.versions.get(&since).copied() else { return Ok(Ok(())) };
    let told = sequence.watch(kind, since);
    let events = real.watch(place, kind, from, told.len()).await?;
    if told.len() != events.len() {
        return Ok(Err(format!("{told:?}, the real one {events:?}")));
    }
    for (told, (change, seen)) in told.iter().zip(&events) {
        if (told.change, told.name) != (*change, seen.name) {
            return Ok(Err(format!("{told:?}, the real one {change:?} {seen:?}")));
        }
        if let Err(differs) = names.same(&told.object, seen, false) {
            return Ok(Err(format!("{told:?}: {differs}")));
        }
    }
    Ok(Ok(()))
}

fn parts(request: &Request<Spec, Status>) -> (Kind, Option<Version>, Option<Uid>) {
    match *request {
        Request::Create { kind, .. } | Request::Get { kind, .. } | Request::List { kind } => (kind, None, None),
        Request::Replace { kind, version, uid, .. }
        | Request::Patch { kind, version, uid, .. }
        | Request::ApplyStatus { kind, version, uid, .. }
        | Request::Delete { kind, version, uid, .. } => (kind, version, uid),
    }
}

fn verb(step: &Step) -> &'static str {
    match step {
        Step::Ask(Request::Create { .. }) => "create",
        Step::Ask(Request::Get { .. }) => "get",
        Step::Ask(Request::List { .. }) => "list",
        Step::Ask(Request::Replace { .. }) => "replace",
        Step::Ask(Request::Patch { .. }) => "merge patch",
        Step::Ask(Request::ApplyStatus { .. }) => "status apply",
        Step::Ask(Request::Delete { .. }) => "delete",
        Step::Watch(..) => "watch",
    }
}
