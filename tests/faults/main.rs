//! Faults between the operator and the API server: crashes around each write, lost answers, stale reads.
