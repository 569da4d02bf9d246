//! The Helm chart, rendered by Helm 3 and Helm 4 (tests/setup/helm.sh): what comes out, what is refused, and whether the
//! chart, its documents and the programs say the same.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects")]

mod alerts;
mod awkward;
mod cases;
mod drift;
mod helm;
mod installed;
mod pods;
mod projects;
mod readme;
mod refusals;
mod rights;
mod typed;
