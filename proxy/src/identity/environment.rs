//! The words of the process's environment about clouds, by the names that the clouds' own SDKs read. Read once, at the start.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The names that are read.
const NAMES: [&str; 30] = [
    AWS_ACCESS_KEY_ID,
    AWS_CONTAINER_AUTHORIZATION_TOKEN,
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE,
    AWS_CONTAINER_CREDENTIALS_FULL_URI,
    AWS_CONTAINER_CREDENTIALS_RELATIVE_URI,
    AWS_DEFAULT_REGION,
    AWS_EC2_METADATA_DISABLED,
    AWS_EC2_METADATA_SERVICE_ENDPOINT,
    AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE,
    AWS_ENDPOINT_URL_STS,
    AWS_PROFILE,
    AWS_REGION,
    AWS_ROLE_ARN,
    AWS_ROLE_SESSION_NAME,
    AWS_SECRET_ACCESS_KEY,
    AWS_SESSION_TOKEN,
    AWS_SHARED_CREDENTIALS_FILE,
    AWS_WEB_IDENTITY_TOKEN_FILE,
    AZURE_AUTHORITY_HOST,
    AZURE_CLIENT_ID,
    AZURE_CLIENT_SECRET,
    AZURE_FEDERATED_TOKEN_FILE,
    AZURE_POD_IDENTITY_AUTHORITY_HOST,
    AZURE_TENANT_ID,
    GCE_METADATA_HOST,
    GOOGLE_APPLICATION_CREDENTIALS,
    IDENTITY_ENDPOINT,
    IDENTITY_HEADER,
    OPENAI_AUTH_URL,
    OPENAI_IDENTITY_TOKEN_FILE,
];

pub(super) const AWS_ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
pub(super) const AWS_CONTAINER_AUTHORIZATION_TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
pub(super) const AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
pub(super) const AWS_CONTAINER_CREDENTIALS_FULL_URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
pub(super) const AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
pub(super) const AWS_DEFAULT_REGION: &str = "AWS_DEFAULT_REGION";
pub(super) const AWS_EC2_METADATA_DISABLED: &str = "AWS_EC2_METADATA_DISABLED";
pub(super) const AWS_EC2_METADATA_SERVICE_ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
pub(super) const AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
pub(super) const AWS_ENDPOINT_URL_STS: &str = "AWS_ENDPOINT_URL_STS";
pub(super) const AWS_PROFILE: &str = "AWS_PROFILE";
pub(super) const AWS_REGION: &str = "AWS_REGION";
pub(super) const AWS_ROLE_ARN: &str = "AWS_ROLE_ARN";
pub(super) const AWS_ROLE_SESSION_NAME: &str = "AWS_ROLE_SESSION_NAME";
pub(super) const AWS_SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
pub(super) const AWS_SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
pub(super) const AWS_SHARED_CREDENTIALS_FILE: &str = "AWS_SHARED_CREDENTIALS_FILE";
pub(super) const AWS_WEB_IDENTITY_TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
pub(super) const AZURE_AUTHORITY_HOST: &str = "AZURE_AUTHORITY_HOST";
pub(super) const AZURE_CLIENT_ID: &str = "AZURE_CLIENT_ID";
pub(super) const AZURE_CLIENT_SECRET: &str = "AZURE_CLIENT_SECRET";
pub(super) const AZURE_FEDERATED_TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
pub(super) const AZURE_POD_IDENTITY_AUTHORITY_HOST: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
pub(super) const AZURE_TENANT_ID: &str = "AZURE_TENANT_ID";
pub(super) const GCE_METADATA_HOST: &str = "GCE_METADATA_HOST";
pub(super) const GOOGLE_APPLICATION_CREDENTIALS: &str = "GOOGLE_APPLICATION_CREDENTIALS";
pub(super) const IDENTITY_ENDPOINT: &str = "IDENTITY_ENDPOINT";
pub(super) const IDENTITY_HEADER: &str = "IDENTITY_HEADER";
pub(super) const OPENAI_AUTH_URL: &str = "OPENAI_AUTH_URL";
pub(super) const OPENAI_IDENTITY_TOKEN_FILE: &str = "OPENAI_IDENTITY_TOKEN_FILE";

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

    #[cfg(test)]
    pub(super) fn of<const N: usize>(words: [(&'static str, &str); N]) -> Self {
        Self(Arc::new(words.into_iter().map(|(name, value)| (name, value.to_owned())).collect()))
    }
}
