//! The partner integration operator, in reading order.

pub mod api;
pub mod core;

pub mod check;
pub mod controller;

pub mod health;
pub mod lease;
pub mod metrics;

pub mod admin;
pub mod cli;
pub mod telemetry;
