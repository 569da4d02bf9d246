//! What each call used and cost: one ledger entry per call, metrics, the access log.
