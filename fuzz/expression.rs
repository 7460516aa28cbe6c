//! Any text as an expression: it is refused, or it can be asked about any answer, in time, and says the same twice.
#![no_main]

include!("properties/expression.rs");

libfuzzer_sys::fuzz_target!(|input: &str| property(input));
