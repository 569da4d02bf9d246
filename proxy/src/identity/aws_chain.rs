//! Amazon's keys for this process: the places where they may be, in the order in which Amazon's own tools look, and a role that is
//! taken on with them.
//!
//! As the "AWS SDKs and Tools Reference Guide" has the standardised credential providers, and the guides of EKS, ECS and EC2 what each
//! of the places answers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use serde::Deserialize;
use sluicegate_config::identity::{AssumedRole, AwsKeys, aws_keys};

use super::aws::AwsSigner;
use super::environment::{self as names, CloudEnvironment};
use super::sts::{self, TemporaryKeys};
use super::token::{CloudCredential, Fetched};
use super::token_client::{Reach, TokenClient, TokenQuestion};

/// Keys without an end are looked at again after this.
const LASTING: Duration = Duration::from_secs(900);
/// No keys are believed for longer.
const LONGEST: Duration = Duration::from_secs(36 * 3600);
/// The hosts that hand out containers' keys without TLS: of ECS, and of EKS.
const CONTAINER_HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];
const MACHINE_PATH: &str = "/latest/meta-data/iam/security-credentials/";
const X_AWS_EC2_METADATA_TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
const X_AWS_EC2_METADATA_TOKEN_TTL_SECONDS: HeaderName =
    HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");

/// The place that keys of Amazon's come from.
pub(super) struct AwsSource {
    /// Keys of a Secret; without them this process's own.
    keys: Option<AwsKeys>,
    /// The role that is taken on with them.
    role: Option<AssumedRole>,
    /// The region that requests are signed for.
    region: String,
}

impl AwsSource {
    pub(super) const fn new(keys: Option<AwsKeys>, role: Option<AssumedRole>, region: String) -> Self {
        Self { keys, role, region }
    }

    /// Its name for people.
    pub(super) fn name(&self) -> String {
        let with = if self.keys.is_some() { "keys of a Secret" } else { "the gateway's own identity" };
        match &self.role {
            Some(role) => format!("{}, taken on with {with}", role.arn),
            None => with.to_owned(),
        }
    }

    /// Gets keys, and signs with them.
    ///
    /// # Errors
    /// There are none; in words without anything secret.
    pub(super) async fn fetch(&self, client: &TokenClient, environment: &CloudEnvironment) -> Result<Fetched, String> {
        let first = match &self.keys {
            Some(keys) => TemporaryKeys { keys: keys.clone(), life: LASTING },
            None => self.own(client, environment).await?,
        };
        let TemporaryKeys { keys, life } = match &self.role {
            None => first,
            Some(role) => {
                let at = (self.region.as_str(), sts::address(&self.region, environment));
                sts::by_keys(role, &first.keys, at, client).await.map_err(|why| format!("AssumeRole: {why}"))?
            }
        };
        Ok(Fetched {
            held: CloudCredential::Signer(Arc::new(AwsSigner::new(keys, &self.region))),
            life: life.min(LONGEST),
        })
    }

    /// This process's own keys: of the first place that is named, and no other where that has none.
    async fn own(&self, client: &TokenClient, environment: &CloudEnvironment) -> Result<TemporaryKeys, String> {
        let said = |name| environment.get(name);
        if let Some((id, secret)) = said(names::AWS_ACCESS_KEY_ID).zip(said(names::AWS_SECRET_ACCESS_KEY)) {
            let token = said(names::AWS_SESSION_TOKEN).map(str::to_owned);
            let keys = AwsKeys { id: id.to_owned(), secret: secret.to_owned(), token };
            return Ok(TemporaryKeys { keys, life: LASTING });
        }
        if let Some(path) = said(names::AWS_SHARED_CREDENTIALS_FILE) {
            let profile = said(names::AWS_PROFILE).unwrap_or("default");
            let text = client.file(path).await?;
            let keys = of_profile(&text, profile).and_then(|text| aws_keys(text.as_bytes()));
            let keys = keys.ok_or_else(|| format!("{path} holds no keys in its profile {profile:?}"))?;
            return Ok(TemporaryKeys { keys, life: LASTING });
        }
        if let Some((path, role)) = said(names::AWS_WEB_IDENTITY_TOKEN_FILE).zip(said(names::AWS_ROLE_ARN)) {
            let session = said(names::AWS_ROLE_SESSION_NAME).unwrap_or(sts::SESSION);
            let region = said(names::AWS_REGION).or(said(names::AWS_DEFAULT_REGION)).unwrap_or(&self.region);
            let (token, at) = (client.file(path).await?, sts::address(region, environment));
            let got = sts::by_web_identity((role, session), &token, at, client).await;
            return got.map_err(|why| format!("AssumeRoleWithWebIdentity for {role}: {why}"));
        }
        if let Some(url) = container_url(environment)? {
            return of_container(url, client, environment).await.map_err(|why| format!("the container's keys: {why}"));
        }
        if said(names::AWS_EC2_METADATA_DISABLED).is_some_and(|word| word.eq_ignore_ascii_case("true")) {
            return Err(
                "no variable names a place where keys are, and the machine's metadata are switched off".to_owned()
            );
        }
        of_machine(client, environment).await.map_err(|why| format!("the machine's metadata: {why}"))
    }
}

/// The lines of a profile in a file of Amazon's tools.
pub(super) fn of_profile(text: &str, profile: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| {
        line.strip_prefix('[').and_then(|line| line.strip_suffix(']')).is_none_or(|name| name.trim() != profile)
    });
    lines.next()?;
    Some(lines.take_while(|line| !line.starts_with('[')).collect::<Vec<_>>().join("\n"))
}

/// The address where a container's keys are, if one is named.
///
/// # Errors
/// It is one that would hand them to whoever listens in between.
fn container_url(environment: &CloudEnvironment) -> Result<Option<String>, String> {
    if let Some(path) = environment.get(names::AWS_CONTAINER_CREDENTIALS_RELATIVE_URI) {
        return Ok(Some(format!("http://169.254.170.2{path}")));
    }
    let Some(url) = environment.get(names::AWS_CONTAINER_CREDENTIALS_FULL_URI) else { return Ok(None) };
    let uri: Uri = url.parse().map_err(|_| "AWS_CONTAINER_CREDENTIALS_FULL_URI is no address".to_owned())?;
    let host = uri.host().unwrap_or_default();
    let is_this_machine = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if uri.scheme_str() == Some("https") || is_this_machine || CONTAINER_HOSTS.contains(&host) {
        return Ok(Some(url.to_owned()));
    }
    Err("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor one of Amazon's own addresses".to_owned())
}

async fn of_container(
    url: String,
    client: &TokenClient,
    environment: &CloudEnvironment,
) -> Result<TemporaryKeys, String> {
    // The file is renewed by the kubelet: it is read each time.
    let token = match environment.get(names::AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE) {
        Some(path) => Some(client.file(path).await?),
        None => environment.get(names::AWS_CONTAINER_AUTHORIZATION_TOKEN).map(str::to_owned),
    };
    let header =
        token.map(|token| HeaderValue::try_from(token).map_err(|_| "its token is none that a header can carry"));
    let headers = header.transpose()?.map(|value| (AUTHORIZATION, value)).into_iter().collect();
    let (status, body) = client.ask(Reach::Local, TokenQuestion::get(url, headers)).await?;
    read(status, &body, SystemTime::now())
}

/// The keys of a machine's role, by a session as version 2 of its metadata has it.
async fn of_machine(client: &TokenClient, environment: &CloudEnvironment) -> Result<TemporaryKeys, String> {
    let is_v6 = environment.get(names::AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE).is_some_and(|mode| mode == "IPv6");
    let usual = if is_v6 { "http://[fd00:ec2::254]" } else { "http://169.254.169.254" };
    let base = environment.get(names::AWS_EC2_METADATA_SERVICE_ENDPOINT).unwrap_or(usual).trim_end_matches('/');
    let session = TokenQuestion {
        url: format!("{base}/latest/api/token"),
        method: Method::PUT,
        headers: vec![(X_AWS_EC2_METADATA_TOKEN_TTL_SECONDS, HeaderValue::from_static("300"))],
        body: Bytes::new(),
        ca_pem: None,
    };
    let ok = |(status, body): (StatusCode, Bytes)| match status {
        StatusCode::OK => Ok(body),
        status => Err(format!("it answered with status {}", status.as_u16())),
    };
    let session = client.ask(Reach::Local, session).await.and_then(ok)?;
    let session = HeaderValue::from_bytes(session.trim_ascii()).map_err(|_| "it gave no session".to_owned())?;
    let get = |url| TokenQuestion::get(url, vec![(X_AWS_EC2_METADATA_TOKEN, session.clone())]);
    let roles = client.ask(Reach::Local, get(format!("{base}{MACHINE_PATH}"))).await.and_then(ok)?;
    let role = std::str::from_utf8(&roles).ok().and_then(|roles| roles.lines().next()).unwrap_or_default().trim();
    if role.is_empty() || !role.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte)) {
        return Err("the machine has no role".to_owned());
    }
    let (status, body) = client.ask(Reach::Local, get(format!("{base}{MACHINE_PATH}{role}"))).await?;
    read(status, &body, SystemTime::now())
}

/// Reads keys as containers and machines are given them.
pub(super) fn read(status: StatusCode, body: &[u8], now: SystemTime) -> Result<TemporaryKeys, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct GivenKeys {
        access_key_id: String,
        secret_access_key: String,
        token: String,
        expiration: String,
    }
    #[derive(Deserialize)]
    struct KeyRefusal {
        #[serde(alias = "Code")]
        code: String,
    }
    let code = || serde_json::from_slice(body).ok().map(|KeyRefusal { code }| code).filter(|code| code != "Success");
    if status != StatusCode::OK {
        return Err(sts::refusal(status, code().as_deref()));
    }
    let Ok(given) = serde_json::from_slice(body) else {
        // The metadata say of a role that nobody may take on that it has failed, under a good status.
        let code = code().filter(|code| code.bytes().all(|byte| byte.is_ascii_alphabetic()) && code.len() <= 60);
        return Err(code.map_or_else(|| "its answer holds no keys".to_owned(), |code| format!("it says {code}")));
    };
    let GivenKeys { access_key_id: id, secret_access_key: secret, token, expiration } = given;
    TemporaryKeys::until(AwsKeys { id, secret, token: Some(token) }, &expiration, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_or_it_is_told_why_there_are_none() {
        let now = SystemTime::from("2026-01-02T03:00:00Z".parse::<jiff::Timestamp>().unwrap());
        let good = r#"{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"ASIA","SecretAccessKey":"s/e","Token":"t=","Expiration":"2026-01-02T09:00:00Z"}"#;
        let got = read(StatusCode::OK, good.as_bytes(), now).unwrap();
        assert_eq!((got.keys.id.as_str(), got.keys.token.as_deref(), got.life.as_secs()), ("ASIA", Some("t="), 21600));
        for (status, text, why) in [
            (
                200,
                r#"{"Code":"AssumeRoleUnauthorizedAccess","Message":"planted"}"#,
                "it says AssumeRoleUnauthorizedAccess",
            ),
            (200, r#"{"Code":"planted secret"}"#, "its answer holds no keys"),
            (200, "<html>", "its answer holds no keys"),
            (
                403,
                r#"{"code":"AccessDeniedException","message":"planted"}"#,
                "it answered with status 403 (AccessDeniedException)",
            ),
            (500, "planted", "it answered with status 500"),
            (200, &good.replace("T09", "T01"), "its keys are over already"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(read(status, text.as_bytes(), now).err().as_deref(), Some(why), "{text}");
        }
    }

    #[test]
    fn a_containers_keys_are_asked_for_where_nobody_listens_in_between() {
        let of = |url: &str| {
            container_url(&CloudEnvironment::of([(names::AWS_CONTAINER_CREDENTIALS_FULL_URI, url)])).map(Option::unwrap)
        };
        for url in [
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
            "http://127.0.0.1:8080/x",
            "http://[::1]/x",
            "https://keys.example/x",
        ] {
            assert_eq!(of(url).as_deref(), Ok(url));
        }
        for url in ["http://keys.example/x", "http://169.254.169.254/x", "ftp://x"] {
            assert!(of(url).is_err(), "{url}");
        }
        let relative = CloudEnvironment::of([(names::AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, "/v2/x")]);
        assert_eq!(container_url(&relative).unwrap().as_deref(), Some("http://169.254.170.2/v2/x"));
        assert_eq!(container_url(&CloudEnvironment::default()), Ok(None));
    }

    #[test]
    fn a_profile_is_found_among_others() {
        let text = "[default]\naws_access_key_id=a\naws_secret_access_key=b\n[ other ]\naws_access_key_id=c\naws_secret_access_key=d\n[x]\n";
        let of = |profile| aws_keys(of_profile(text, profile)?.as_bytes()).map(|keys| keys.id);
        assert_eq!((of("default"), of("other")), (Some("a".to_owned()), Some("c".to_owned())));
        assert_eq!((of("x"), of("y")), (None, None));
    }
}
