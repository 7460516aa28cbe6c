//! The partner integration operator, in reading order.
