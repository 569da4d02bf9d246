//! One runtime per core.
