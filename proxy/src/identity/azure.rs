//! Azure's tokens: how one is asked for, by a client's secret, by a token that the cluster gives a pod, or of the machine, and what the
//! answer says.
//!
//! As "OAuth 2.0 client credentials flow", "Workload identity federation", "How to use managed identities for Azure resources on an
//! Azure VM" and "How to use managed identities for App Service" of Microsoft's documents have it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;

use super::environment::{self as names, CloudEnvironment};
use super::token::{CloudCredential, Fetched};
use super::token_client::{Reach, TokenClient, TokenQuestion, form, percent_encoded};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// No token is believed for longer.
const LONGEST: Duration = Duration::from_secs(25 * 3600);
const METADATA: HeaderName = HeaderName::from_static("metadata");
const X_IDENTITY_HEADER: HeaderName = HeaderName::from_static("x-identity-header");

/// Azure's clouds: where one logs in, and the name of what is called.
struct AzureCloud {
    /// The end of its hosts.
    hosts: &'static str,
    authority: &'static str,
    resource: &'static str,
}

const PUBLIC: AzureCloud = AzureCloud {
    hosts: ".azure.com",
    authority: "https://login.microsoftonline.com",
    resource: "https://cognitiveservices.azure.com",
};

const CLOUDS: [AzureCloud; 2] = [
    AzureCloud {
        hosts: ".azure.us",
        authority: "https://login.microsoftonline.us",
        resource: "https://cognitiveservices.azure.us",
    },
    AzureCloud {
        hosts: ".azure.cn",
        authority: "https://login.chinacloudapi.cn",
        resource: "https://cognitiveservices.azure.cn",
    },
];

/// The place that a token of Azure's comes from.
pub(super) struct AzureSource {
    /// A client's secret; without it this process's own identity.
    secret: Option<String>,
    tenant: Option<String>,
    client: Option<String>,
    cloud: &'static AzureCloud,
}

impl AzureSource {
    /// Of a client of a tenant, for a provider at this address.
    ///
    /// # Errors
    /// The secret is no text.
    pub(super) fn of(
        secret: Option<&[u8]>,
        (tenant, client): (Option<&str>, Option<&str>),
        url: &str,
    ) -> Result<Self, String> {
        let secret = secret.map(|secret| std::str::from_utf8(secret).map(str::to_owned));
        let host = url.split_once("://").map_or(url, |(_, rest)| rest).split(['/', ':']).next().unwrap_or_default();
        Ok(Self {
            secret: secret.transpose().map_err(|_| "it is no text".to_owned())?,
            tenant: tenant.map(str::to_owned),
            client: client.map(str::to_owned),
            cloud: CLOUDS.iter().find(|cloud| host.ends_with(cloud.hosts)).unwrap_or(&PUBLIC),
        })
    }

    /// The cloud that it is of, as a part of what tells it from others.
    pub(super) const fn resource(&self) -> &'static str {
        self.cloud.resource
    }

    /// Its name for people.
    pub(super) fn name(&self) -> String {
        match (&self.secret, &self.client) {
            (Some(_), Some(client)) => format!("the secret of the client {client}"),
            (_, Some(client)) => format!("the gateway's own identity, as the client {client}"),
            _ => "the gateway's own identity".to_owned(),
        }
    }

    /// Gets a token.
    ///
    /// # Errors
    /// There is none; in words without anything secret.
    pub(super) async fn fetch(&self, client: &TokenClient, environment: &CloudEnvironment) -> Result<Fetched, String> {
        let tenant = self.tenant.as_deref().or(environment.get(names::AZURE_TENANT_ID));
        let id = self.client.as_deref().or(environment.get(names::AZURE_CLIENT_ID));
        let of_client = || tenant.zip(id).ok_or("neither the pool nor the environment says tenant and client");
        if let Some(secret) = self.secret.as_deref().or(environment.get(names::AZURE_CLIENT_SECRET)) {
            return self.log_in(of_client()?, &[("client_secret", secret)], (client, environment)).await;
        }
        if let Some(path) = environment.get(names::AZURE_FEDERATED_TOKEN_FILE) {
            // The kubelet renews it: it is read each time.
            let assertion = client.file(path).await?;
            let proof = [("client_assertion_type", JWT_BEARER), ("client_assertion", assertion.as_str())];
            return self.log_in(of_client()?, &proof, (client, environment)).await;
        }
        // Both, or it is another service's endpoint, which wants a file of its machine read.
        let app = environment.get(names::IDENTITY_ENDPOINT).zip(environment.get(names::IDENTITY_HEADER));
        if let Some(app) = app {
            return self.of_app(app, (client, environment)).await.map_err(|why| format!("the app's identity: {why}"));
        }
        self.of_machine(client, environment).await.map_err(|why| format!("the machine's metadata: {why}"))
    }

    /// Asks the endpoint that App Service, Functions and Container Apps give their containers, with the word that goes with it.
    async fn of_app(
        &self,
        (endpoint, word): (&str, &str),
        (client, environment): (&TokenClient, &CloudEnvironment),
    ) -> Result<Fetched, String> {
        let resource = percent_encoded(self.cloud.resource);
        let id = self.client.as_deref().or(environment.get(names::AZURE_CLIENT_ID));
        let which = id.map(|id| format!("&client_id={}", percent_encoded(id))).unwrap_or_default();
        let mark = if endpoint.contains('?') { '&' } else { '?' };
        let url = format!("{endpoint}{mark}api-version=2019-08-01&resource={resource}{which}");
        let mut word = HeaderValue::try_from(word).map_err(|_| "IDENTITY_HEADER is none that a header can carry")?;
        word.set_sensitive(true);
        let (status, body) = client.ask(Reach::Local, TokenQuestion::get(url, vec![(X_IDENTITY_HEADER, word)])).await?;
        read(status, &body)
    }

    /// Logs a client in.
    async fn log_in(
        &self,
        (tenant, id): (&str, &str),
        proof: &[(&str, &str)],
        (client, environment): (&TokenClient, &CloudEnvironment),
    ) -> Result<Fetched, String> {
        let authority = environment.get(names::AZURE_AUTHORITY_HOST).unwrap_or(self.cloud.authority);
        let url = format!("{}/{tenant}/oauth2/v2.0/token", authority.trim_end_matches('/'));
        let scope = format!("{}/.default", self.cloud.resource);
        let mut fields = vec![("client_id", id), ("scope", &scope), ("grant_type", "client_credentials")];
        fields.extend_from_slice(proof);
        let (status, body) = client.ask(Reach::OfGateway, TokenQuestion::form(url, form(&fields))).await?;
        read(status, &body)
    }

    /// Asks the machine's metadata; which of its identities, a client says.
    async fn of_machine(&self, client: &TokenClient, environment: &CloudEnvironment) -> Result<Fetched, String> {
        let base = environment.get(names::AZURE_POD_IDENTITY_AUTHORITY_HOST).unwrap_or("http://169.254.169.254");
        let resource = percent_encoded(self.cloud.resource);
        let id = self.client.as_deref().or(environment.get(names::AZURE_CLIENT_ID));
        let which = id.map(|id| format!("&client_id={}", percent_encoded(id))).unwrap_or_default();
        let base = base.trim_end_matches('/');
        let url = format!("{base}/metadata/identity/oauth2/token?api-version=2018-02-01&resource={resource}{which}");
        let question = TokenQuestion::get(url, vec![(METADATA, HeaderValue::from_static("true"))]);
        let (status, body) = client.ask(Reach::Local, question).await?;
        read(status, &body)
    }
}

/// Reads an answer.
pub(super) fn read(status: StatusCode, body: &[u8]) -> Result<Fetched, String> {
    #[derive(Deserialize)]
    struct EntraAnswer {
        access_token: String,
        expires_in: Option<EntraSeconds>,
        /// App Service says the end alone, in seconds since 1970.
        expires_on: Option<EntraSeconds>,
    }
    /// The machine's metadata say it as a text.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum EntraSeconds {
        Number(u64),
        Text(String),
    }
    if status != StatusCode::OK {
        return Err(refusal(status, body));
    }
    let token: EntraAnswer = serde_json::from_slice(body).map_err(|_| "its answer holds no token".to_owned())?;
    let seconds = |said: EntraSeconds| match said {
        EntraSeconds::Number(seconds) => Some(seconds),
        EntraSeconds::Text(text) => text.parse().ok(),
    };
    let left = |end: u64| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        end.checked_sub(now)
    };
    let life = match (token.expires_in, token.expires_on) {
        (Some(life), _) => seconds(life),
        (None, Some(end)) => seconds(end).and_then(left),
        (None, None) => return Err("its answer holds no token".to_owned()),
    };
    let life = life.map(Duration::from_secs).filter(|life| !life.is_zero()).ok_or("its token is over already")?;
    let sound = !token.access_token.is_empty() && token.access_token.bytes().all(|byte| byte.is_ascii_graphic());
    let header = HeaderValue::try_from(format!("Bearer {}", token.access_token)).ok().filter(|_| sound);
    let mut header = header.ok_or("its token is empty, or none that a header can carry")?;
    header.set_sensitive(true);
    Ok(Fetched { held: CloudCredential::Bearer(header), life: life.min(LONGEST) })
}

/// The words for an answer that refuses: OAuth's code and the number that Microsoft explains it by, and nothing else of it.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct EntraFault {
        error: String,
        #[serde(default)]
        error_codes: Vec<u64>,
    }
    let fault: Option<EntraFault> = serde_json::from_slice(body).ok();
    let is_code = |code: &String| {
        (1..=40).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let mut words: Vec<String> = Vec::new();
    if let Some(EntraFault { error, error_codes }) = fault {
        words.extend(Some(error).filter(is_code));
        words.extend(error_codes.first().map(|number| format!("AADSTS{number}")));
    }
    let words = if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) };
    format!("it answered with status {}{words}", status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_token_or_says_why_it_is_none() {
        let life = |body: &str| read(StatusCode::OK, body.as_bytes()).map(|fetched| fetched.life.as_secs());
        assert_eq!(
            life(r#"{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"eyJ"}"#),
            Ok(3599)
        );
        assert_eq!(life(r#"{"access_token":"eyJ","expires_in":"86400","resource":"x"}"#), Ok(86400));
        let refused =
            r#"{"error":"invalid_client","error_description":"AADSTS7000215: planted","error_codes":[7000215]}"#;
        for (status, body, why) in [
            (401, refused, "it answered with status 401 (invalid_client, AADSTS7000215)"),
            (400, r#"{"error":"eyJ.secret"}"#, "it answered with status 400"),
            (404, "", "it answered with status 404"),
            (200, "{}", "its answer holds no token"),
            (200, r#"{"access_token":"x","expires_in":"soon"}"#, "its token is over already"),
            (200, r#"{"access_token":"x\ny","expires_in":9}"#, "its token is empty, or none that a header can carry"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(read(status, body.as_bytes()).err().as_deref(), Some(why), "{body}");
        }
    }

    #[test]
    fn each_of_azures_clouds_has_a_login_and_a_name_of_its_own() {
        for (url, resource) in [
            ("https://x.openai.azure.com/openai", "https://cognitiveservices.azure.com"),
            ("https://x.openai.azure.us", "https://cognitiveservices.azure.us"),
            ("https://x.openai.azure.cn:443/openai", "https://cognitiveservices.azure.cn"),
            ("http://127.0.0.1:1", "https://cognitiveservices.azure.com"),
        ] {
            let source = AzureSource::of(None, (None, None), url).unwrap();
            assert_eq!(source.resource(), resource, "{url}");
        }
    }
}
