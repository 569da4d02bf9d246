//! One question to a provider for the list of its models, page by page, each bounded.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::header::ACCEPT;
use http::{HeaderName, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sluicegate_config::ProviderKind;
use sluicegate_dialects::{ListedModel, ModelPage};
use tokio::time::timeout_at;

use crate::api::model_lists::{ListAddress, address};
use crate::upstream::{Origin, SendLimits, UpstreamClient};

/// To have a connection, and to have a whole page.
const CONNECT: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(30);
/// The largest page, the most pages, the most models, and the longest name.
const LARGEST: usize = 8 << 20;
const MOST_PAGES: usize = 50;
const MOST_MODELS: usize = 5_000;
const LONGEST_NAME: usize = 256;

/// The way in which a provider is asked.
pub(crate) struct DiscoveryQuestion {
    pub(crate) origin: Origin,
    pub(crate) kind: ProviderKind,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// It is asked anew after this.
    pub(crate) interval: Duration,
}

impl DiscoveryQuestion {
    /// True if the other one asks the same of the same.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        (self.kind, self.interval, self.origin.address(), &self.headers)
            == (other.kind, other.interval, other.origin.address(), &other.headers)
    }

    /// Asks, page by page.
    ///
    /// # Errors
    /// There is no whole list; in words without anything secret.
    pub(super) async fn ask(&self, client: &UpstreamClient) -> Result<BTreeMap<String, ListedModel>, String> {
        let address = address(self.kind).ok_or("this kind of provider has no list of what can be called there")?;
        let (mut found, mut token) = (BTreeMap::new(), None::<String>);
        for _ in 0..MOST_PAGES {
            let ModelPage { models, next } = self.page(client, &address, token.as_deref()).await?;
            let known = models.into_iter().filter(|model| is_name(&model.name));
            found.extend(known.map(bounded).map(|model| (model.name.clone(), model)));
            if found.len() > MOST_MODELS {
                return Err(format!("it lists more than {MOST_MODELS} models"));
            }
            if next.is_none() {
                return Ok(found);
            }
            token = next;
        }
        Err(format!("its list has more than {MOST_PAGES} pages"))
    }

    async fn page(&self, client: &UpstreamClient, at: &ListAddress, token: Option<&str>) -> Result<ModelPage, String> {
        let uri = self.uri(at, token)?;
        let request = || {
            let mut request = Request::new(bytes::Bytes::new());
            *request.uri_mut() = uri.clone();
            request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
            request.headers_mut().extend(self.headers.iter().cloned());
            request
        };
        let now = Instant::now();
        let limits = SendLimits { connect: CONNECT, until: now + WHOLE, now, resend: true };
        let sent = client.send(&self.origin, request, limits).await.map_err(|error| error.in_words())?;
        let status = sent.response.status();
        let whole = Limited::new(sent.response.into_body(), LARGEST).collect();
        let body = timeout_at((now + WHOLE).into(), whole).await.map_err(|_| "its answer does not end".to_owned())?;
        let body = body.map_err(|_| "its answer broke off, or is too large".to_owned())?;
        if status != StatusCode::OK {
            return Err(format!("it answers with {}", status.as_u16()));
        }
        at.dialect.read_models(&body.to_bytes()).ok_or_else(|| "its answer is no list of models".to_owned())
    }

    fn uri(&self, at: &ListAddress, token: Option<&str>) -> Result<Uri, String> {
        let mut path = at.path.to_owned();
        if let Some((token, member)) = token.zip(at.page) {
            path += &format!("&{member}={}", utf8_percent_encode(token, NON_ALPHANUMERIC));
        }
        let uri = if at.beside { self.origin.uri_beside(&path) } else { self.origin.uri(&path) };
        uri.map_err(|error| error.to_string())
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control)
}

fn bounded(mut model: ListedModel) -> ListedModel {
    model.display_name = model.display_name.filter(|name| is_name(name));
    model
}
