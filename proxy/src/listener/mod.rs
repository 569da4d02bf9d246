//! Where calls come in: sockets, TLS, limits.
