//! The order of writes, as a table: what is asked of the shell, step by step, and what follows from an answer.

use super::fixture::integration;
use crate::api::PartnerIntegrationStatus;
use crate::core::{
    Answer, BindingOrder, CheckOrder, Decision, End, Fingerprint, Live, Memory, Plan, Publication, SecretVersion, Step,
    Steps, Tuple,
};

fn tuple() -> Tuple {
    let secret = SecretVersion { uid: "key".into(), resource_version: "7".into() };
    Tuple { digest: "v1:0".into(), secret }
}

fn decision() -> Decision {
    let plan = Plan { tuple: tuple(), proved: false, request: None, began_with: Fingerprint::of(None) };
    Decision {
        status: Some(Box::default()),
        event: None,
        binding: BindingOrder::Publish(Publication { name: "binding".into(), tuple: tuple(), over: None }),
        check: CheckOrder::Start(plan),
        memory: Memory::default(),
        next_look: None,
    }
}

/// The steps of a decision, where each of `odd` is answered like this and every other one is done.
fn walk(decision: &Decision, has_outcome: bool, odd: &[(Step, Answer)]) -> Vec<Step> {
    let mut steps = Steps::begin(decision);
    let mut walked = vec![steps.at()];
    while !matches!(steps.at(), Step::End(_)) {
        let answer = odd.iter().find(|(step, _)| *step == steps.at()).map_or(Answer::Done, |(_, answer)| *answer);
        steps = steps.next(decision, has_outcome, answer);
        walked.push(steps.at());
        assert!(walked.len() < 20, "without end: {walked:?}");
    }
    walked
}

use Step::{Ask, Cancel, Order, Publish, Read, Remember, Stale, Stored, TakeUp, Tidy, Withdraw, Write};

#[test]
fn what_follows_the_status_is_done_only_once_it_is_stored() {
    let all = [Cancel, Ask, Write, Stored, TakeUp, Remember, Order, Publish, Step::End(End::Again)];
    assert_eq!(walk(&decision(), true, &[]), all);
    for (answer, end) in [(Answer::Failed, End::Failed), (Answer::Gone, End::Gone)] {
        assert_eq!(walk(&decision(), true, &[(Write, answer)]), [Cancel, Ask, Write, Step::End(end)], "{answer:?}");
    }
}

#[test]
fn after_a_conflict_or_a_lost_answer_the_object_is_read_live() {
    for answer in [Answer::Conflict, Answer::Unknown] {
        let read = |live| walk(&decision(), false, &[(Write, answer), (Read, live)]);
        let stored = [Cancel, Ask, Write, Read, Stored, Remember, Order, Publish, Step::End(End::Again)];
        assert_eq!(read(Answer::Live(Live::Says)), stored);
        assert_eq!(read(Answer::Live(Live::Differs)), [Cancel, Ask, Write, Read, Stale, Step::End(End::Stale)]);
        assert_eq!(read(Answer::Live(Live::Gone)), [Cancel, Ask, Write, Read, Step::End(End::Gone)]);
        assert_eq!(read(Answer::Gone), [Cancel, Ask, Write, Read, Step::End(End::Gone)]);
        assert_eq!(read(Answer::Unknown), [Cancel, Ask, Write, Read, Step::End(End::Failed)]);
    }
}

#[test]
fn a_binding_is_withdrawn_before_the_status_and_tidied_after_it() {
    let withdraw = Decision { binding: BindingOrder::Withdraw(Vec::new()), check: CheckOrder::Cancel, ..decision() };
    let all = [Cancel, Ask, Withdraw, Write, Stored, Remember, Step::End(End::Again)];
    assert_eq!(walk(&withdraw, false, &[]), all);
    assert_eq!(
        walk(&withdraw, false, &[(Withdraw, Answer::Conflict)]),
        [Cancel, Ask, Withdraw, Step::End(End::Again)],
        "another version than was seen: it is decided again"
    );
    assert_eq!(walk(&withdraw, false, &[(Withdraw, Answer::Failed)]), [Cancel, Ask, Withdraw, Step::End(End::Failed)]);
    let refused = [Cancel, Ask, Withdraw, Write, Stored, Remember, Step::End(End::Failed)];
    assert_eq!(walk(&withdraw, false, &[(Withdraw, Answer::Refused)]), refused, "the status tells the truth");
    let tidy =
        Decision { binding: BindingOrder::Tidy(Vec::new()), check: CheckOrder::Leave, status: None, ..decision() };
    assert_eq!(walk(&tidy, false, &[]), [Ask, Remember, Tidy, Step::End(End::Again)]);
}

#[test]
fn who_has_left_office_makes_no_further_step() {
    for step in [Ask, Write, Publish] {
        let walked = walk(&decision(), false, &[(step, Answer::OutOfOffice)]);
        assert_eq!(walked[walked.len() - 2..], [step, Step::End(End::OutOfOffice)]);
    }
}

#[test]
fn once_a_deletion_is_seen_nothing_more_is_written() {
    let withdraw = Decision { binding: BindingOrder::Withdraw(Vec::new()), ..decision() };
    let tidy = Decision { binding: BindingOrder::Tidy(Vec::new()), status: None, ..decision() };
    for (decision, step) in [(decision(), Write), (decision(), Publish), (withdraw, Withdraw), (tidy, Tidy)] {
        let walked = walk(&decision, true, &[(step, Answer::Gone)]);
        assert_eq!(walked[walked.len() - 2..], [step, Step::End(End::Gone)]);
    }
}

#[test]
fn a_live_read_tells_another_object_from_another_status() {
    let read = integration();
    let wanted = PartnerIntegrationStatus { observed_generation: 1, ..PartnerIntegrationStatus::default() };
    let mut fresh = read.clone();
    assert_eq!(Live::of(&read, Some(&wanted), &fresh), Live::Differs);
    fresh.status = Some(wanted.clone());
    assert_eq!(Live::of(&read, Some(&wanted), &fresh), Live::Says);
    fresh.metadata.uid = Some("another".into());
    assert_eq!(Live::of(&read, Some(&wanted), &fresh), Live::Gone, "whatever it says");
}
