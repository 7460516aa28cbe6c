//! However an inner address is written, it is not let through; and an endpoint with a path stays at its own host.
#![no_main]

include!("properties/guard.rs");

libfuzzer_sys::fuzz_target!(|input: &[u8]| property(input));
