//! In which order a decision is carried out, and what is concluded when a step does not end well.
//!
//! The shell carries a step out and says how it ended; which one is next is told here. So the order of writes, on which the
//! promises S1, S2 and S6 rest, can be run by a table or a model checker as it is, like [`decide`](super::decide()).
//!
//! A cancel at once; bindings that are withdrawn; the status; and only when that has been written the outcome is taken up,
//! the memory kept and a check started; then the rest of the bindings.

use super::{BindingOrder, CheckOrder, Decision};
use crate::api::{PartnerIntegration, PartnerIntegrationStatus};

/// What the shell does next. What it does it with stands in the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Stops the check that waits or runs.
    Cancel,
    /// Asks whether this process is still in office.
    Ask,
    /// Deletes bindings before the status is written.
    Withdraw,
    /// Writes the status, with the uid and resourceVersion that were read.
    Write,
    /// Reads the integration live: a write was refused with 409, or its answer was lost. See [`Live::of`].
    Read,
    /// The status is stored: tells the Event, and keeps the object that was answered as the newest.
    Stored,
    /// It is not, and the object is another one than was decided on: keeps the one that was read live as the newest.
    Stale,
    /// Drops the outcome that was part of what was observed. Not one that came since: it has not been seen.
    TakeUp,
    /// Keeps the memory.
    Remember,
    /// Starts or rebases a check.
    Order,
    /// Writes the binding.
    Publish,
    /// Deletes bindings under other names, after the status.
    Tidy,
    /// Nothing more.
    End(End),
}

/// How a decision was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// All of it was done.
    Done,
    /// All of it, and a binding was written or deleted, or is another one than was seen: it is decided again.
    Again,
    /// The object is no longer the one that was decided on. Nothing was remembered, and an outcome is still there to be
    /// concluded over the fresh one.
    Stale,
    /// The object is gone.
    Gone,
    /// This process leads no longer: nothing more is written or started.
    OutOfOffice,
    /// The latest call that failed tells why: it is decided again, after a while.
    Failed,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Well.
    Done,
    /// Before it was made: this process leads no longer.
    OutOfOffice,
    /// The object, or the one of that uid, is gone, or its deletion has been seen meanwhile.
    Gone,
    /// What was to be changed is no longer what was seen.
    Conflict,
    /// Carried out or not: no answer came.
    Unknown,
    /// The API server will not have a binding deleted at all, and everything else goes on.
    Refused,
    /// Any other failure: nothing is concluded.
    Failed,
    /// There is nothing to do it with.
    Moot,
    /// What the live read has shown.
    Live(Live),
}

/// What a live read says of a write that was refused with 409, or whose answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Live {
    /// The object of that uid is gone.
    Gone,
    /// It says already what was to be written: by this write or by another one.
    Says,
    /// It says something else.
    Differs,
}

impl Live {
    /// Of what is `fresh`, after `status` was to be written to the one that was `read`.
    #[must_use]
    pub fn of(
        read: &PartnerIntegration,
        status: Option<&PartnerIntegrationStatus>,
        fresh: &PartnerIntegration,
    ) -> Self {
        if fresh.metadata.uid != read.metadata.uid {
            Self::Gone
        } else if fresh.status.as_ref() == status {
            Self::Says
        } else {
            Self::Differs
        }
    }
}

/// How far a decision has been carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Steps {
    at: Step,
    /// A binding could not be withdrawn: the rest is done, and it counts as failed.
    refused: bool,
}

impl Steps {
    /// At the first step.
    #[must_use]
    pub fn begin(decision: &Decision) -> Self {
        let at = match decision.check {
            CheckOrder::Start(_) | CheckOrder::Cancel => Step::Cancel,
            CheckOrder::Leave | CheckOrder::Rebase(_) => Step::Ask,
        };
        Self { at, refused: false }
    }

    /// The step that is to be made.
    #[must_use]
    pub fn at(self) -> Step {
        self.at
    }

    /// The step after this one has ended as `answer` says. `has_outcome`: what was observed includes a check that ended.
    #[must_use]
    pub fn next(self, decision: &Decision, has_outcome: bool, answer: Answer) -> Self {
        let refused = self.refused || (self.at == Step::Withdraw && answer == Answer::Refused);
        let at = match (self.at, answer) {
            (_, Answer::OutOfOffice) => Step::End(End::OutOfOffice),
            // Promise S6: nothing more is written for it, whatever was still to be done.
            (_, Answer::Gone) | (Step::Read, Answer::Live(Live::Gone)) => Step::End(End::Gone),
            (_, Answer::Failed)
            | (Step::Withdraw | Step::Publish | Step::Tidy, Answer::Unknown)
            | (Step::Tidy, Answer::Refused) => Step::End(End::Failed),
            (Step::Cancel, _) => Step::Ask,
            (Step::Ask, _) if matches!(decision.binding, BindingOrder::Withdraw(_)) => Step::Withdraw,
            (Step::Withdraw, Answer::Conflict) => Step::End(End::Again),
            // Promise S2: Secret first, then status. Where the API server will not have it deleted at all, the status
            // tells the truth all the same, and it is tried again.
            (Step::Ask | Step::Withdraw, _) => match decision.status {
                Some(_) => Step::Write,
                None => remembering(has_outcome),
            },
            // After a conflict or a lost answer it may say already what was to be written.
            (Step::Write, Answer::Conflict | Answer::Unknown) => Step::Read,
            (Step::Read, Answer::Live(Live::Differs)) => Step::Stale,
            (Step::Write, _) | (Step::Read, Answer::Live(Live::Says)) => Step::Stored,
            // Nothing was learnt.
            (Step::Read, _) => Step::End(End::Failed),
            (Step::Stale, _) => Step::End(End::Stale),
            (Step::Stored, _) => remembering(has_outcome),
            (Step::TakeUp, _) => Step::Remember,
            (Step::Remember, _) if matches!(decision.check, CheckOrder::Rebase(_) | CheckOrder::Start(_)) => {
                Step::Order
            }
            (Step::Remember | Step::Order, _) if refused => Step::End(End::Failed),
            (Step::Remember | Step::Order, _) => match decision.binding {
                BindingOrder::Publish(_) => Step::Publish,
                BindingOrder::Tidy(_) => Step::Tidy,
                BindingOrder::Withdraw(_) => Step::End(End::Again),
                BindingOrder::Leave => Step::End(End::Done),
            },
            (Step::Publish, Answer::Moot) => Step::End(End::Done),
            (Step::Publish | Step::Tidy, _) => Step::End(End::Again),
            (Step::End(end), _) => Step::End(end),
        };
        Self { at, refused }
    }
}

fn remembering(has_outcome: bool) -> Step {
    if has_outcome { Step::TakeUp } else { Step::Remember }
}
