//! The place of an issuer's keys: calls read it, one keeper writes it.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use crate::count::Count;

use super::key_set::KeySet;

/// The counts of tokens, by what came of them.
#[derive(Debug, Default)]
pub(crate) struct JwtCounts {
    /// Found good before.
    pub(crate) cached: Count,
    /// Found good now.
    pub(crate) verified: Count,
    /// Not good.
    pub(crate) refused: Count,
    /// Not to be checked, since there are no keys yet.
    pub(crate) unverifiable: Count,
}

/// The keys of an issuer, as they were had last.
pub(crate) struct JwksSource {
    /// The issuer.
    pub(super) issuer: Box<str>,
    /// The address of its keys, where it is not to be discovered.
    pub(super) url: Option<Box<str>>,
    set: ArcSwapOption<KeySet>,
    wanted: Arc<Notify>,
    /// The counts of all tokens.
    pub(crate) counts: Arc<JwtCounts>,
}

impl fmt::Debug for JwksSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JwksSource({})", self.issuer)
    }
}

impl JwksSource {
    pub(super) fn new(issuer: &str, url: Option<&str>, counts: Arc<JwtCounts>) -> Self {
        let (set, wanted) = (ArcSwapOption::empty(), Arc::default());
        Self { issuer: issuer.into(), url: url.map(Into::into), set, wanted, counts }
    }

    /// The keys; `None`: none have been had yet.
    pub(crate) fn keys(&self) -> Option<Arc<KeySet>> {
        self.set.load_full()
    }

    /// A token names a key that is not among them: the issuer may have a new one.
    pub(crate) fn want_newer(&self) {
        self.wanted.notify_one();
    }

    pub(super) fn wanted(&self) -> Arc<Notify> {
        Arc::clone(&self.wanted)
    }

    /// Takes keys in. The same keys stay the set that they are.
    pub(super) fn put(&self, set: KeySet) {
        if self.set.load().as_ref().is_none_or(|before| before.digest != set.digest) {
            self.set.store(Some(Arc::new(set)));
        }
    }
}
