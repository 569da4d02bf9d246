//! Limits of a compiled form, as statuses tell of them.

use crate::{Concurrency, CountedLimit, CountedTerms, RateLimit};

/// The name of what a limit is of, and the part of its object.
type Of = (String, Option<String>);

/// Those of rate.
pub(super) fn rates(limits: &[RateLimit], of: impl Fn() -> Of) -> impl Iterator<Item = CountedLimit> {
    limits.iter().map(move |limit| counted(of(), CountedTerms::Rate(Box::new(limit.clone()))))
}

/// That of concurrency.
pub(super) fn places(limit: Option<&Concurrency>, of: impl Fn() -> Of) -> impl Iterator<Item = CountedLimit> {
    limit.into_iter().map(move |limit| counted(of(), CountedTerms::Concurrency(limit.max)))
}

fn counted((of, part): Of, terms: CountedTerms) -> CountedLimit {
    CountedLimit { of, part, terms }
}
