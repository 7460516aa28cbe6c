//! Every behaviour, by what it concerns.

mod answers;
mod bodies;
mod connections;
mod heads;
mod http2;
mod names;
mod tls;

use super::behaviour::Behaviour;

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
