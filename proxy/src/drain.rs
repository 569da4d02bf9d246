//! How a proxy stops without losing a call.
