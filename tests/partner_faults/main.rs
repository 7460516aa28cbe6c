//! What partners do wrong, each in every phase: the reason, the schedule and the memory that it costs.
