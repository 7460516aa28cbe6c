//! A panic says where it happened, and not what: its text may quote what was being looked at.

use partner_integration_operator::telemetry::{self, LogFormat};

const KEY: &str = "a-key-that-was-being-looked-at";

/// The other end of the test below.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn a_process_that_panics() {
    telemetry::init(Some(LogFormat::Json), tracing::Level::TRACE).unwrap();
    telemetry::hide_panic_payloads();
    assert!(std::thread::spawn(|| panic!("{KEY}")).join().is_err());
}

#[test]
fn a_panic_is_logged_with_its_place_and_without_its_text() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "panics::a_process_that_panics", "--ignored", "--nocapture"])
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert!(said.contains("a panic: this is a bug; please report it") && said.contains("panics.rs:"), "{said}");
    assert!(!said.contains(KEY) && !said.contains("panicked at"), "{said}");
}
