//! The client that token services are asked with: one small question and one small answer at a time, each bounded; and the small
//! files that hold a part of the question.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::AsyncReadExt as _;
use tokio::time::{timeout, timeout_at};

use crate::upstream::{Origin, Outward, SendLimits, UpstreamClient};

/// To have a connection, and to have the whole answer.
const CONNECT: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(10);
/// The largest answer that is read, and the largest file.
const LARGEST: u64 = 64 << 10;

/// The way to a token service, by who has named it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// A Secret that a pool names: as providers are reached, and where no provider may be no token service is either.
    OfPool,
    /// The cloud, or who runs the gateway: through the egress proxy, and anywhere.
    OfGateway,
    /// The metadata of this machine: around every proxy, and anywhere.
    Local,
}

/// A question to a token service.
pub(crate) struct TokenQuestion {
    pub(super) url: String,
    pub(super) method: Method,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
    /// Authorities that are trusted beside the system's, in PEM.
    pub(super) ca_pem: Option<String>,
}

impl TokenQuestion {
    /// A question without a body.
    pub(crate) fn get(url: String, headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        Self { url, method: Method::GET, headers, body: Bytes::new(), ca_pem: None }
    }

    /// JSON that is posted.
    pub(super) fn json(url: String, value: &serde_json::Value) -> Self {
        let json = HeaderValue::from_static("application/json");
        let headers = vec![(CONTENT_TYPE, json.clone()), (ACCEPT, json)];
        Self { url, method: Method::POST, headers, body: value.to_string().into(), ca_pem: None }
    }

    /// A form that is posted.
    pub(super) fn form(url: String, form: String) -> Self {
        let headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ];
        Self { url, method: Method::POST, headers, body: form.into(), ca_pem: None }
    }

    /// The same, of a service that these authorities may vouch for.
    pub(crate) fn trusting(self, ca_pem: Option<&str>) -> Self {
        Self { ca_pem: ca_pem.map(str::to_owned), ..self }
    }
}

/// Asks token services, and reads files.
#[derive(Clone)]
pub(crate) struct TokenClient {
    client: UpstreamClient,
    of_pools: Outward,
}

impl TokenClient {
    /// A client that goes out as calls do.
    pub(crate) fn new(of_pools: Outward) -> Self {
        Self { client: UpstreamClient::new(1, std::sync::Arc::default()), of_pools }
    }

    /// Asks, and reads the answer to its end.
    ///
    /// # Errors
    /// No answer came; in words without anything secret.
    pub(crate) async fn ask(&self, reach: Reach, question: TokenQuestion) -> Result<(StatusCode, Bytes), String> {
        let TokenQuestion { url, method, headers, body, ca_pem } = question;
        let (base, path) = split(&url);
        let outward = match reach {
            Reach::OfPool => self.of_pools.clone(),
            Reach::OfGateway => Outward { egress: self.of_pools.egress.clone(), denied: Default::default() },
            Reach::Local => Outward::default(),
        };
        let origin =
            Origin::of_service("token-service", (base, ca_pem), &outward).map_err(|error| error.to_string())?;
        let uri = origin.uri(path).map_err(|error| error.to_string())?;
        let request = || {
            let mut request = Request::new(body.clone());
            (*request.method_mut(), *request.uri_mut()) = (method.clone(), uri.clone());
            request.headers_mut().extend(headers.iter().cloned());
            request
        };
        let now = Instant::now();
        let limits = SendLimits { connect: CONNECT, until: now + WHOLE, now, resend: true };
        let sent = self.client.send(&origin, request, limits).await.map_err(|error| error.in_words())?;
        let status = sent.response.status();
        let most = usize::try_from(LARGEST).unwrap_or(usize::MAX);
        let whole = Limited::new(sent.response.into_body(), most).collect();
        let body = timeout_at((now + WHOLE).into(), whole).await.map_err(|_| "its answer does not end".to_owned())?;
        let body = body.map_err(|_| "its answer broke off, or is too large".to_owned())?;
        Ok((status, body.to_bytes()))
    }

    /// Reads a file of the machine's own, such as a token that the kubelet renews.
    ///
    /// # Errors
    /// It is not there, too large, or no text; in words without what stands in it.
    pub(super) async fn file(&self, path: &str) -> Result<String, String> {
        let read = async {
            let file = tokio::fs::File::open(path).await?;
            let mut text = String::new();
            file.take(LARGEST + 1).read_to_string(&mut text).await.map(|_| text)
        };
        let text = timeout(WHOLE, read).await.map_err(|_| format!("{path} can not be read in time"))?;
        let text = text.map_err(|error| format!("{path} can not be read: {error}"))?;
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > LARGEST || text.trim().is_empty() {
            return Err(format!("{path} is empty, or too large to hold a token"));
        }
        // Some editors begin a file with the mark of its byte order.
        Ok(text.trim_start_matches('\u{feff}').trim().to_owned())
    }
}

/// A URL without its path, and the path.
fn split(url: &str) -> (&str, &str) {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(host..).and_then(|rest| rest.find(['/', '?'])).map_or(url.len(), |at| host + at);
    let (base, path) = url.split_at_checked(end).unwrap_or((url, ""));
    (base, if path.is_empty() { "/" } else { path })
}

/// A form, in the order of its fields.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let field = |(name, value): &(&str, &str)| format!("{name}={}", percent_encoded(value));
    fields.iter().map(field).collect::<Vec<_>>().join("&")
}

/// A value as forms and queries have it.
pub(super) fn percent_encoded(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split_and_forms_encoded() {
        for (url, expected) in [
            ("https://x", ("https://x", "/")),
            ("https://x:1/a/b?c=d", ("https://x:1", "/a/b?c=d")),
            ("http://x?c", ("http://x", "?c")),
            ("x", ("x", "/")),
        ] {
            assert_eq!(split(url), expected, "{url}");
        }
        assert_eq!(form(&[("a", "b c&d"), ("e", "f:/")]), "a=b%20c%26d&e=f%3A%2F");
    }
}
