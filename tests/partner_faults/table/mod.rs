//! Every behaviour, by what it concerns.

mod answers;
mod bodies;
mod connections;
mod heads;
mod http2;
mod names;
mod tls;

use super::behaviour::Behaviour;

/// Behaviours that do not end as they should yet; they run only when `PARTNER_FAULTS` is their whole name.
///
/// Both are of servers that never read: a connection that broke the rules stays half open, the server can go on sending for
/// as long as the deadline lasts (57 MiB were seen; nothing of it is kept), and now and then a check ends in `Timeout`.
pub const OPEN: [&str; 2] = ["h2-body-over-window", "h2-large-head"];

/// All of them; those of DNS only where the operator's resolver can be pointed to ours.
pub fn all(with_names: bool) -> Vec<Behaviour> {
    let mut table = [connections::table(), tls::table(), heads::table(), answers::table()].concat();
    table.extend(bodies::table());
    table.extend(http2::table());
    if with_names {
        table.extend(names::table());
    }
    table
}
