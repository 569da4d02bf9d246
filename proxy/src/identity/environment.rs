//! The words of the process's environment about clouds, by the names that the clouds' own SDKs read. Read once, at the start.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The names that are read.
const NAMES: [&str; 2] = [GOOGLE_APPLICATION_CREDENTIALS, GCE_METADATA_HOST];

pub(super) const GOOGLE_APPLICATION_CREDENTIALS: &str = "GOOGLE_APPLICATION_CREDENTIALS";
pub(super) const GCE_METADATA_HOST: &str = "GCE_METADATA_HOST";

/// The environment's words about clouds.
#[derive(Clone, Default)]
pub(crate) struct CloudEnvironment(Arc<BTreeMap<&'static str, String>>);

impl CloudEnvironment {
    /// As the process was started with it.
    #[expect(clippy::disallowed_methods, reason = "the clouds' SDKs read these names; they are no settings of ours")]
    pub(crate) fn read() -> Self {
        let said = |name: &'static str| Some((name, std::env::var(name).ok()?));
        Self(Arc::new(NAMES.into_iter().filter_map(said).collect()))
    }

    /// The value of a name, if there is one.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }
}
