//! The partner integration operator, in reading order.

pub mod api;
pub mod core;

pub mod check;

pub mod health;
pub mod lease;
