//! Connections to providers: made, kept, shared by calls one after the other.
