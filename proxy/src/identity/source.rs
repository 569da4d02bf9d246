//! The source of a token: which cloud it is of, and what it is got with.

use super::aws_chain::AwsSource;
use super::azure::AzureSource;
use super::environment::CloudEnvironment;
use super::gcp::GcpSource;
use super::openai::OpenAiSource;
use super::token::Fetched;
use super::token_client::TokenClient;

/// The place that a token comes from, and what it is got with.
pub(super) enum TokenSource {
    /// Google's.
    Google(GcpSource),
    /// Amazon's.
    Amazon(AwsSource),
    /// Azure's.
    Azure(AzureSource),
    /// OpenAI's.
    OpenAi(OpenAiSource),
}

impl TokenSource {
    /// The cloud's name, for metrics.
    pub(super) const fn cloud(&self) -> &'static str {
        match self {
            Self::Google(_) => "gcp",
            Self::Amazon(_) => "aws",
            Self::Azure(_) => "azure",
            Self::OpenAi(_) => "openai",
        }
    }

    /// Its name for people; nothing secret is in it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Google(source) => source.name(),
            Self::Amazon(source) => source.name(),
            Self::Azure(source) => source.name(),
            Self::OpenAi(source) => source.name(),
        }
    }

    /// Gets a token.
    ///
    /// # Errors
    /// There is none; in words without anything secret.
    pub(super) async fn fetch(&self, client: &TokenClient, environment: &CloudEnvironment) -> Result<Fetched, String> {
        match self {
            Self::Google(source) => source.fetch(client, environment).await,
            Self::Amazon(source) => source.fetch(client, environment).await,
            Self::Azure(source) => source.fetch(client, environment).await,
            Self::OpenAi(source) => source.fetch(client, environment).await,
        }
    }
}
