//! What is known of an endpoint: circuit, cooldown, calls in flight. Shared by all workers, survives reloads.
