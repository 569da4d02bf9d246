//! The one table that writes errors, in the caller's dialect.
