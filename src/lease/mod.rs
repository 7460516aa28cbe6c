//! Leader election over a Lease, as client-go does it. See `docs/adr/0002-own-lease.md` for why it is our own.
//!
//! Of several instances one leads. It writes its name into a Lease and renews it; the others take over when the Lease
//! has been released, or has not changed for the lease duration. What is decided is in [`record`] and [`candidate`],
//! which are pure; [`elector`] talks to the API server.
//!
//! Why no two lead at once, by their own judgement:
//! - Every write is a compare-and-swap on the resourceVersion of the record that was judged.
//! - A leader counts the renew deadline from before it *sent* its last successful renewal; a standby counts the lease
//!   duration from after it *received* the record. The write lies between the two, whatever was slow.
//! - Both count on their own monotonic clock. Wall clocks are written for people, and compared by nobody.
//! - The renew deadline is shorter than the lease duration. So it holds while no clock runs faster than another by
//!   the ratio of the two.
//! - A leader is one only until its deadline: readers ask the clock each time, so it ends even while the elector hangs
//!   or the process is stopped.
//!
//! What it does not give: a fence. Between the question [`Leading::is_leader_now`] and what is done then, a process can
//! be paused. `CLOCK_MONOTONIC` goes on while a process is stopped, but not while the machine is suspended. And somebody
//! who deletes or edits the Lease can make two lead until the renew deadline. No promise to users rests on it.

pub mod candidate;
pub mod elector;
mod leading;
pub mod place;
pub mod record;
mod settings;
#[cfg(test)]
mod tests;

pub use elector::Elector;
pub use leading::Leading;
pub use place::{default_namespace, identity};
pub use settings::{Settings, SettingsError};
