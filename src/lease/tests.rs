//! The pure part: tables, and elections over a Lease in memory with clocks, delays and losses as bad as they get.

mod election;
mod tables;
