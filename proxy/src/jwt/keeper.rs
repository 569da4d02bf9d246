//! The keeper of issuers' keys: fetched before anybody asks for them, renewed, and let go with the configuration that wanted them.
//! One task for each issuer, on the control thread: no call waits for a fetch, and no two fetch the same.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use http::header::ACCEPT;
use http::{HeaderValue, StatusCode};
use rand::RngExt as _;
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until};

use crate::account::JwksStat;
use crate::count::Count;
use crate::identity::token_client::{Reach, TokenClient, TokenQuestion};
use crate::upstream::Outward;

use super::key_set::KeySet;
use super::source::{JwksSource, JwtCounts};

/// Keys are fetched anew after this, up to a fifth of it earlier by chance.
const RENEWAL: Duration = Duration::from_secs(300);
/// However many tokens name keys that are not known, there is so long between two fetches for their sake.
const LEAST_PAUSE: Duration = Duration::from_secs(10);
/// Between two attempts that fail, the first and the longest time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The path of an issuer's description, under its name.
const DISCOVERY: &str = ".well-known/openid-configuration";

/// The issuers whose keys are kept, by their names, the addresses of their keys, and who vouches for them.
type Known = HashMap<(Box<str>, Option<Box<str>>, Option<Box<str>>), Weak<JwksSource>>;

/// All keys of issuers that are kept.
#[derive(Default)]
pub(crate) struct JwksKeeper {
    known: Mutex<Known>,
    /// Those that no task keeps yet: as many as a configuration brought.
    new: Mutex<Vec<Weak<JwksSource>>>,
    came: Notify,
    counts: Arc<JwtCounts>,
    fetched: Count,
    failed: Count,
}

impl fmt::Debug for JwksKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JwksKeeper(…)")
    }
}

#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: String,
}

impl JwksKeeper {
    /// The keys of an issuer that stand in the configuration: nobody fetches them.
    pub(crate) fn given(&self, issuer: &str, jwks: &str) -> Arc<JwksSource> {
        let source = JwksSource::new(issuer, (None, None), Arc::clone(&self.counts)).without_keeper();
        match KeySet::read(jwks.as_bytes()) {
            Ok(set) => source.put(set),
            Err(why) => tracing::warn!(issuer, why, "an issuer's keys in the configuration are of no use"),
        }
        Arc::new(source)
    }

    /// The keys of an issuer, kept already or from now on.
    pub(crate) fn kept(&self, issuer: &str, url: Option<&str>, ca_pem: Option<&str>) -> Arc<JwksSource> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (issuer.into(), url.map(Into::into), ca_pem.map(Into::into));
        if let Some(source) = known.get(&name).and_then(Weak::upgrade) {
            return source;
        }
        known.retain(|_, source| source.strong_count() > 0);
        let source = Arc::new(JwksSource::new(issuer, (url, ca_pem), Arc::clone(&self.counts)));
        known.insert(name, Arc::downgrade(&source));
        self.new.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&source));
        self.came.notify_one();
        source
    }

    /// Keeps them, for ever. Issuers are reached as providers are, and where no provider may be no issuer is either.
    pub(crate) async fn run(self: Arc<Self>, outward: Outward) {
        let client = TokenClient::new(outward);
        loop {
            let new = std::mem::take(&mut *self.new.lock().unwrap_or_else(PoisonError::into_inner));
            for source in new {
                tokio::task::spawn_local(keep(source, client.clone(), Arc::clone(&self)));
            }
            self.came.notified().await;
        }
    }

    /// The counts, and how many issuers' keys are kept, for the metrics.
    pub(crate) fn stat(&self) -> JwksStat {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: Vec<Arc<JwksSource>> = known.values().filter_map(Weak::upgrade).collect();
        let usable = kept.iter().filter(|source| source.keys().is_some()).count();
        let JwtCounts { cached, verified, refused, unverifiable } = &*self.counts;
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        JwksStat {
            tokens: vec![
                ("cached", cached.get()),
                ("verified", verified.get()),
                ("refused", refused.get()),
                ("unverifiable", unverifiable.get()),
            ],
            fetches: vec![("ok", self.fetched.get()), ("failed", self.failed.get())],
            kept: count(kept.len()),
            usable: count(usable),
        }
    }
}

async fn keep(kept: Weak<JwksSource>, client: TokenClient, keeper: Arc<JwksKeeper>) {
    let (mut failures, mut may_be_early) = (0_u32, Instant::now());
    loop {
        let began = Instant::now();
        let Some(source) = kept.upgrade() else { return };
        let fetched = fetch(&client, &source).await;
        let pause = match fetched {
            Ok(set) => {
                keeper.fetched.add();
                failures = 0;
                tracing::debug!(issuer = &*source.issuer, keys = set.len(), "an issuer's keys were fetched");
                source.put(set);
                RENEWAL.mul_f64(0.8 + 0.2 * rand::rng().random::<f64>())
            }
            Err(why) => {
                keeper.failed.add();
                failures = failures.saturating_add(1);
                let has_keys = source.keys().is_some();
                tracing::warn!(
                    issuer = &*source.issuer,
                    why,
                    failures,
                    has_keys,
                    "an issuer's keys can not be had; they are asked for again"
                );
                FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST_PAUSE)
            }
        };
        source.was_asked(began);
        let wanted = source.wanted();
        drop(source);
        let early = async {
            wanted.notified().await;
            sleep_until(may_be_early.into()).await;
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = early => may_be_early = Instant::now() + LEAST_PAUSE,
        }
    }
}

/// Fetches an issuer's keys.
async fn fetch(client: &TokenClient, source: &JwksSource) -> Result<KeySet, String> {
    let url = match &source.url {
        Some(url) => url.to_string(),
        None => discover(client, source).await?,
    };
    let answer = get(client, (url.clone(), source)).await?;
    KeySet::read(&answer).map_err(|why| format!("{url}: {why}"))
}

/// The address of an issuer's keys, as it says itself.
async fn discover(client: &TokenClient, source: &JwksSource) -> Result<String, String> {
    let url = format!("{}/{DISCOVERY}", source.issuer.trim_end_matches('/'));
    let answer = get(client, (url.clone(), source)).await?;
    let found: Discovered =
        serde_json::from_slice(&answer).map_err(|_| format!("{url}: it names no issuer and jwks_uri"))?;
    if found.issuer != *source.issuer {
        return Err(format!("{url}: it is the description of another issuer"));
    }
    Ok(found.jwks_uri)
}

async fn get(client: &TokenClient, (url, source): (String, &JwksSource)) -> Result<bytes::Bytes, String> {
    let headers = vec![(ACCEPT, HeaderValue::from_static("application/json"))];
    let asked =
        client.ask(Reach::OfPool, TokenQuestion::get(url.clone(), headers).trusting(source.ca_pem.as_deref())).await;
    match asked.map_err(|why| format!("{url}: {why}"))? {
        (StatusCode::OK, body) => Ok(body),
        (status, _) => Err(format!("{url}: it answers with {}", status.as_u16())),
    }
}
