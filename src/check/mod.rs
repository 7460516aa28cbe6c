//! The outbound side: everything that a partner sees of the operator, and everything the operator takes from a
//! partner. Section 6 of the design. It knows no Kubernetes but the types that users write and the data of a Secret.
//!
//! In reading order: what is parsed once from a catalogue entry ([`CompiledCheck`]), how long a check waits
//! ([`Places`]), the key ([`Credential`]), what may be dialled ([`Guard`], [`Resolver`]), and the check itself
//! ([`Prober`]).
//!
//! Nothing in here logs: a partner's answer and a key have no way out but the status code in a verdict.

mod client;
mod compiled;
mod credential;
mod expression;
#[cfg(any(test, feature = "internals"))]
pub mod fuzzing;
mod guard;
mod judge;
mod no_answer;
mod places;
mod prober;
mod resolver;
mod retry_after;
mod roots;
mod stack;

pub use compiled::CompiledCheck;
pub use credential::{Credential, CredentialFault, MAX_KEY, published, published_keys, wipe};
pub use expression::MAX_EXPRESSION;
pub use guard::Guard;
pub use places::{LaneKey, Order, Place, Places, host_of};
pub use prober::{MAX_BODY, Prober};
pub use resolver::{Lookup, LookupFault, Resolver};
