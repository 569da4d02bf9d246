//! The admin address: health, readiness, metrics.
