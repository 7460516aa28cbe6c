//! The scopes: what may happen in each, and how often. Within these bounds every order is explored.

use super::state::Mode::{Accepts, Fails, Rejects};
use super::tables::{Offer, Wanted};
use super::world::Env::{
    CheckRequest, Crash, Create, CreateKey, CreatePartner, Delete, DeleteBinding, DeleteForeground, DeleteKey,
    DeletePartner, EditPartner, Lose, MakeForeign, Partner, Relist, Rotate, Spec, TakesOffice, Tamper, Time,
};
use super::world::{Allowed, Scope};

/// Each as it is in every scope: plain; another region; suspended; with a binding, under another name, in the other region,
/// suspended; only added.
const PLAIN: u8 = 0;
const ELSEWHERE: u8 = 1;
const SUSPENDED: u8 = 2;
const BOUND: u8 = 3;
const RENAMED: u8 = 4;
const BOUND_ELSEWHERE: u8 = 5;
const BOUND_SUSPENDED: u8 = 6;
const ADDED: u8 = 7;

/// All of these.
fn wanted() -> Vec<Wanted> {
    let plain = Wanted { region: Some(0), suspend: false, binding: None };
    vec![
        plain,
        Wanted { region: Some(1), ..plain },
        Wanted { suspend: true, ..plain },
        Wanted { binding: Some(0), ..plain },
        Wanted { binding: Some(1), ..plain },
        Wanted { region: Some(1), binding: Some(0), ..plain },
        Wanted { suspend: true, binding: Some(0), ..plain },
        Wanted { region: None, ..plain },
    ]
}

/// The catalogue entry as it is edited: another endpoint of the first region; that region no longer offered; as at first.
fn offers(threshold: u32) -> Vec<Offer> {
    [[Some(0), Some(1)], [Some(2), Some(1)], [None, Some(1)], [Some(0), Some(1)]]
        .map(|endpoints| Offer { endpoints, threshold })
        .into()
}

fn scope(name: &'static str, first: u8, two: bool, allowed: Vec<Allowed>) -> Scope {
    Scope { name, wanted: wanted(), first, offers: offers(1), settled: true, two, allowed }
}

/// The scopes in which safety is explored. With `more`, each thing may happen once more: 0 for continuous integration.
pub fn safety(more: u8) -> Vec<Scope> {
    let flips = vec![Partner(Accepts), Partner(Rejects), Partner(Fails)];
    let first = scope(
        "a first connection, with crashes and lost answers",
        PLAIN,
        false,
        vec![
            (1, vec![Create(PLAIN)]),
            (1 + more, vec![Crash, Lose, Relist]),
            (1 + more, flips.clone()),
            (1 + more, vec![Rotate, CheckRequest]),
            (1 + more, vec![Time]),
        ],
    );
    vec![
        Scope { settled: false, ..first },
        scope(
            "rotation with two leaders",
            PLAIN,
            true,
            vec![
                (1, vec![TakesOffice]),
                (1 + more, vec![Rotate]),
                (more, vec![Lose, Crash]),
                (1, flips.clone()),
                (1, vec![Time]),
            ],
        ),
        scope(
            "delete and re-create, with a binding",
            BOUND,
            false,
            vec![
                (1 + more, vec![Delete, DeleteForeground]),
                (1 + more, vec![Create(BOUND)]),
                (1, vec![Rotate]),
                (1, vec![Crash, Lose, Relist]),
                (1, vec![Spec(BOUND), Partner(Rejects)]),
            ],
        ),
        scope(
            "a binding is withdrawn, with crashes and lost answers",
            BOUND,
            false,
            vec![
                (1 + more, vec![Spec(BOUND), Spec(RENAMED), Spec(BOUND_SUSPENDED), Spec(PLAIN)]),
                (1 + more, vec![Crash, Lose]),
                (1, vec![DeleteBinding(0), Rotate]),
                (1, flips.clone()),
            ],
        ),
        scope(
            "the partner is edited while checks run, and another process takes over",
            PLAIN,
            true,
            vec![
                (1, vec![TakesOffice]),
                (1 + more, vec![EditPartner, DeletePartner, CreatePartner]),
                (1, vec![Rotate]),
                (more, vec![Relist]),
            ],
        ),
        scope(
            "the partner is edited, and another process takes over after a crash or a lost answer",
            PLAIN,
            true,
            vec![
                (1, vec![TakesOffice]),
                (1, vec![EditPartner, DeletePartner, CreatePartner]),
                (1 + more, vec![Time, Crash, Lose]),
            ],
        ),
        scope(
            "the spec is edited",
            BOUND,
            false,
            vec![
                (
                    2 + more,
                    vec![
                        Spec(PLAIN),
                        Spec(ELSEWHERE),
                        Spec(SUSPENDED),
                        Spec(BOUND),
                        Spec(RENAMED),
                        Spec(BOUND_ELSEWHERE),
                        Spec(ADDED),
                    ],
                ),
                (1, vec![CheckRequest, Time]),
                (1, vec![Lose]),
            ],
        ),
        scope(
            "answers are lost",
            PLAIN,
            false,
            vec![(2 + more, vec![Lose]), (2, vec![Rotate, CheckRequest]), (2, flips.clone()), (2, vec![Time])],
        ),
        scope(
            "somebody else has a Secret of the name, or touches ours",
            BOUND,
            false,
            vec![
                (2 + more, vec![MakeForeign(0), MakeForeign(1), DeleteBinding(0), Tamper(0)]),
                (1, vec![Spec(RENAMED), Spec(BOUND)]),
                (1, vec![Crash, Lose, Relist]),
                (1, vec![Rotate]),
            ],
        ),
        scope(
            "the key goes and comes back",
            BOUND,
            false,
            vec![
                (2 + more, vec![DeleteKey, CreateKey, Rotate]),
                (1, vec![Crash, Lose, Relist]),
                (1, flips.clone()),
                (1, vec![Time]),
            ],
        ),
        Scope {
            offers: offers(2),
            ..scope(
                "the partner flips between good, rejecting and failing",
                BOUND,
                false,
                vec![(2 + more, flips.clone()), (4, vec![Time]), (1, vec![Crash, Lose]), (1, vec![Rotate])],
            )
        },
        scope(
            "a binding with two leaders, and edits",
            BOUND,
            true,
            vec![
                (1, vec![TakesOffice]),
                (1, vec![Spec(BOUND), Spec(RENAMED), Spec(BOUND_SUSPENDED), Rotate]),
                (more, vec![Crash, Lose]),
            ],
        ),
        scope(
            "a binding with two leaders, deleted or refused",
            BOUND,
            true,
            vec![(1, vec![TakesOffice]), (more, vec![Crash, Lose]), (1, vec![DeleteBinding(0), Partner(Rejects)])],
        ),
    ]
}

/// The scopes whose graph is explored for what happens once the faults and everybody else have stopped.
pub fn liveness() -> Vec<Scope> {
    let flips = vec![Partner(Accepts), Partner(Rejects), Partner(Fails)];
    vec![
        scope(
            "a binding, spec edits and crashes",
            BOUND,
            false,
            vec![
                (1, vec![Spec(BOUND), Spec(RENAMED), Spec(BOUND_SUSPENDED), Spec(BOUND_ELSEWHERE)]),
                (1, vec![Crash, Lose]),
            ],
        ),
        scope(
            "delete and re-create",
            BOUND,
            false,
            vec![(1, vec![Delete, DeleteForeground]), (1, vec![Create(BOUND)]), (1, vec![Crash, Lose, Relist])],
        ),
        scope("rotation and flips", PLAIN, false, vec![(1, vec![Rotate]), (1, flips.clone()), (1, vec![Lose])]),
        scope(
            "the key goes and comes back",
            BOUND,
            false,
            vec![(2, vec![DeleteKey, CreateKey, Rotate]), (1, vec![Crash, Lose, Relist])],
        ),
        scope(
            "somebody else's Secret",
            BOUND,
            false,
            vec![(2, vec![MakeForeign(0), DeleteBinding(0), Tamper(0)]), (1, vec![Spec(BOUND), Lose, Relist])],
        ),
        scope(
            "the partner is edited and deleted",
            PLAIN,
            false,
            vec![(2, vec![EditPartner, DeletePartner, CreatePartner]), (1, vec![Spec(ELSEWHERE), Lose, Crash])],
        ),
        scope("two leaders", PLAIN, true, vec![(1, vec![TakesOffice]), (1, vec![Rotate, Spec(SUSPENDED)])]),
    ]
}

/// The least in which something happens: a key is rotated, and the partner accepts it.
pub fn one_rotation() -> Scope {
    scope("one rotation", PLAIN, false, vec![(1, vec![Rotate])])
}
