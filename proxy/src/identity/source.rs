//! The source of a token: which cloud it is of, and what it is got with.

use super::environment::CloudEnvironment;
use super::gcp::GcpSource;
use super::token::Fetched;
use super::token_client::TokenClient;

/// The place that a token comes from, and what it is got with.
pub(super) enum TokenSource {
    /// Google's.
    Google(GcpSource),
}

impl TokenSource {
    /// The cloud's name, for metrics.
    pub(super) const fn cloud(&self) -> &'static str {
        match self {
            Self::Google(_) => "gcp",
        }
    }

    /// Its name for people; nothing secret is in it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Google(source) => source.name(),
        }
    }

    /// Gets a token.
    ///
    /// # Errors
    /// There is none; in words without anything secret.
    pub(super) async fn fetch(&self, client: &TokenClient, environment: &CloudEnvironment) -> Result<Fetched, String> {
        match self {
            Self::Google(source) => source.fetch(client, environment).await,
        }
    }
}
