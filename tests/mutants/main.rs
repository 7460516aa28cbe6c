//! Seeded faults: each changes one place of the sources in a copy, and is killed by a test that it names.
