//! The reference for users, written from the schema.
