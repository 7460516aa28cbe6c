//! From an answer to its outcome: any code, any headers, any body.
#![no_main]

include!("properties/judge.rs");

libfuzzer_sys::fuzz_target!(|input: &[u8]| property(input));
