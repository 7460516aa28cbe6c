//! A duration is what the Gateway API's pattern says, and is worth what its parts are worth.
#![no_main]

include!("properties/duration.rs");

libfuzzer_sys::fuzz_target!(|input: &str| property(input));
