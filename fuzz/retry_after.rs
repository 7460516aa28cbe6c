//! Whatever a partner puts into Retry-After, it asks for one second to one hour, or for nothing.
#![no_main]

include!("properties/retry_after.rs");

libfuzzer_sys::fuzz_target!(|input: &[u8]| property(input));
