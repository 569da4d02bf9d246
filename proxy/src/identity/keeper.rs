//! The keeper of tokens: gets each before anybody asks for it, renews it before its end, and lets it go with the configuration that
//! wanted it. One task for each, on the control thread: no call waits for a renewal, and no two fetch the same.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rand::RngExt as _;
use serde::Serialize;
use sluicegate_config::identity::{AssumedRole, aws_keys};
use tokio::sync::Notify;
use tokio::time::sleep_until;

use crate::account::TokenStat;
use crate::upstream::Outward;

use super::aws_chain::AwsSource;
use super::azure::AzureSource;
use super::environment::CloudEnvironment;
use super::gcp::GcpSource;
use super::openai::OpenAiSource;
use super::source::TokenSource;
use super::token::{Fetched, Token, Watched};
use super::token_client::TokenClient;

/// A token is let go of so long before its end, or a tenth of its life: a call on its way is to arrive with it.
const MARGIN: Duration = Duration::from_secs(10);
/// Between two attempts, the first and the longest time; and from one to what a provider's refusal makes of it.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const AFTER_REFUSAL: Duration = Duration::from_secs(15);

/// All tokens that are kept.
#[derive(Default)]
pub(crate) struct Tokens {
    environment: CloudEnvironment,
    /// By a digest of what each is got with.
    known: Mutex<HashMap<[u8; 32], KnownToken>>,
    /// Those that no task keeps yet: as many as a configuration brought.
    new: Mutex<Vec<TokenTask>>,
    came: Notify,
    counts: Mutex<BTreeMap<&'static str, FetchCounts>>,
}

/// The counts of tokens of a cloud that were got, and of those that were not.
#[derive(Debug, Clone, Copy, Default)]
struct FetchCounts {
    ok: u64,
    failed: u64,
}

struct KnownToken {
    token: Weak<Token>,
    cloud: &'static str,
    name: String,
}

/// A token to be kept, and how it is got.
struct TokenTask {
    token: Weak<Token>,
    watched: Watched,
    source: TokenSource,
}

/// A token as the pages of the admin address show it: nothing secret is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenStanding {
    /// The cloud that it is for.
    pub(crate) cloud: &'static str,
    /// The name of what it is got with.
    pub(crate) source: String,
    /// For so many seconds it is good.
    pub(crate) good_for_seconds: u64,
    /// The reason why there is no newer one, where the last attempt to get it has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failing: Option<Arc<str>>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(…)")
    }
}

impl Tokens {
    /// Tokens for a process that was started in this environment.
    pub(crate) fn new(environment: CloudEnvironment) -> Self {
        Self { environment, ..Self::default() }
    }

    /// The token of Google's for a service account's key, or without one for whoever this process is there.
    ///
    /// # Errors
    /// The key can not be used; nothing of it is told.
    pub(crate) fn google(&self, secret: Option<&[u8]>) -> Result<Arc<Token>, String> {
        let source = || GcpSource::of(secret).map(TokenSource::Google);
        self.kept(&[b"gcp", secret.unwrap_or_default()], source)
    }

    /// Amazon's keys for a role that is taken on with a Secret's, or for whoever this process is there; with them requests are
    /// signed for a region.
    ///
    /// # Errors
    /// The keys can not be used; nothing of them is told.
    pub(crate) fn amazon(
        &self,
        secret: Option<&[u8]>,
        role: Option<&AssumedRole>,
        region: &str,
    ) -> Result<Arc<Token>, String> {
        let said = format!("{role:?}");
        self.kept(&[b"aws", secret.unwrap_or_default(), said.as_bytes(), region.as_bytes()], || {
            let keys = secret.map(|secret| aws_keys(secret).ok_or_else(|| "it holds no keys".to_owned()));
            Ok(TokenSource::Amazon(AwsSource::new(keys.transpose()?, role.cloned(), region.to_owned())))
        })
    }

    /// The token of Azure's for a client's secret, or for whoever this process is there, to call a provider at this address.
    ///
    /// # Errors
    /// The secret can not be used; nothing of it is told.
    pub(crate) fn azure(
        &self,
        secret: Option<&[u8]>,
        (tenant, client): (Option<&str>, Option<&str>),
        url: &str,
    ) -> Result<Arc<Token>, String> {
        let source = AzureSource::of(secret, (tenant, client), url)?;
        let (said, resource) = (format!("{tenant:?} {client:?}"), source.resource());
        self.kept(&[b"azure", secret.unwrap_or_default(), said.as_bytes(), resource.as_bytes()], || {
            Ok(TokenSource::Azure(source))
        })
    }

    /// The token of OpenAI's that this process's own is exchanged for, by a workload identity provider and for a service account.
    pub(crate) fn openai(&self, provider: &str, account: &str) -> Result<Arc<Token>, String> {
        self.kept(&[b"openai", provider.as_bytes(), account.as_bytes()], || {
            Ok(TokenSource::OpenAi(OpenAiSource::new(provider, account)))
        })
    }

    /// The token that is got with all `parts`, kept already or from now on.
    fn kept(
        &self,
        parts: &[&[u8]],
        source: impl FnOnce() -> Result<TokenSource, String>,
    ) -> Result<Arc<Token>, String> {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes()).update(part);
        }
        let digest = *hasher.finalize().as_bytes();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = known.get(&digest).and_then(|known| known.token.upgrade()) {
            return Ok(token);
        }
        let source = source()?;
        let token = Arc::new(Token::new());
        known.retain(|_, known| known.token.strong_count() > 0);
        let (cloud, name) = (source.cloud(), source.name());
        known.insert(digest, KnownToken { token: Arc::downgrade(&token), cloud, name });
        let work = TokenTask { token: Arc::downgrade(&token), watched: token.watch(), source };
        self.new.lock().unwrap_or_else(PoisonError::into_inner).push(work);
        self.came.notify_one();
        Ok(token)
    }

    /// Keeps them, for ever. What pools name is reached by `outward`.
    pub(crate) async fn run(self: Arc<Self>, outward: Outward) {
        let client = TokenClient::new(outward);
        loop {
            let new = std::mem::take(&mut *self.new.lock().unwrap_or_else(PoisonError::into_inner));
            for work in new {
                tokio::task::spawn_local(keep(work, client.clone(), Arc::clone(&self)));
            }
            self.came.notified().await;
        }
    }

    /// The counts and the tokens, for the metrics.
    pub(crate) fn stat(&self) -> TokenStat {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let fetches = counts
            .iter()
            .flat_map(|(cloud, FetchCounts { ok, failed })| [(*cloud, "ok", *ok), (*cloud, "failed", *failed)]);
        let mut kept: BTreeMap<&'static str, (u64, u64)> = BTreeMap::new();
        for standing in self.standings() {
            let (all, good) = kept.entry(standing.cloud).or_default();
            *all += 1;
            *good += u64::from(standing.good_for_seconds > 0);
        }
        let kept = kept.into_iter().map(|(cloud, (all, good))| (cloud, all, good)).collect();
        TokenStat { fetches: fetches.collect(), kept }
    }

    fn count(&self, cloud: &'static str, is_good: bool) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = counts.entry(cloud).or_default();
        *(if is_good { &mut counts.ok } else { &mut counts.failed }) += 1;
    }

    /// All that are kept now, by cloud and name.
    pub(crate) fn standings(&self) -> Vec<TokenStanding> {
        let now = Instant::now();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = |known: &KnownToken| {
            let (left, failing) = known.token.upgrade()?.standing(now);
            let (cloud, source) = (known.cloud, known.name.clone());
            Some(TokenStanding { cloud, source, good_for_seconds: left.as_secs(), failing })
        };
        let mut standings: Vec<TokenStanding> = known.values().filter_map(standing).collect();
        standings.sort_by(|a, b| (a.cloud, &a.source).cmp(&(b.cloud, &b.source)));
        standings
    }
}

async fn keep(work: TokenTask, client: TokenClient, tokens: Arc<Tokens>) {
    let TokenTask { token, mut watched, source } = work;
    let refusal = watched.refusal();
    loop {
        let began = Instant::now();
        let got = tokio::select! {
            got = source.fetch(&client, &tokens.environment) => got,
            () = watched.is_let_go() => return,
        };
        let Some(token) = token.upgrade() else { return };
        let pause = match got {
            Ok(Fetched { held, life }) => {
                tokens.count(source.cloud(), true);
                token.put(held, began + life.saturating_sub(MARGIN.min(life / 10)));
                renewal(life, rand::rng().random())
            }
            Err(why) => {
                tokens.count(source.cloud(), false);
                let failures = token.fail(&why);
                let (cloud, source) = (source.cloud(), source.name());
                tracing::warn!(cloud, source, why, failures, "no token from a provider's cloud; it is asked for again");
                pause(failures, rand::rng().random())
            }
        };
        drop(token);
        // A refusal brings the next attempt forward, and never puts one off.
        let due = Instant::now() + pause;
        let wait = async {
            tokio::select! {
                () = sleep_until(due.into()) => {}
                () = refusal.notified() => sleep_until(due.min(began + AFTER_REFUSAL).into()).await,
            }
        };
        tokio::select! {
            () = wait => {}
            () = watched.is_let_go() => return,
        }
    }
}

/// The time after which a token of this life is renewed: between 60 and 80 in a hundred of it, by chance, so that the proxies of
/// a fleet do not come at once.
fn renewal(life: Duration, chance: f64) -> Duration {
    life.mul_f64(0.6 + 0.2 * chance.clamp(0.0, 1.0)).max(FIRST_PAUSE)
}

/// The pause after so many failures: twice as long each time, to a bound, and half of it by chance.
fn pause(failures: u32, chance: f64) -> Duration {
    let whole = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
    whole.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::super::token::CloudCredential;
    use super::*;

    #[test]
    fn renewals_come_before_the_end_and_pauses_grow_to_a_bound() {
        let seconds = |time: Duration| time.as_secs_f64();
        let hour = Duration::from_secs(3600);
        assert_eq!((seconds(renewal(hour, 0.0)), seconds(renewal(hour, 1.0))), (2160.0, 2880.0));
        assert_eq!(renewal(Duration::ZERO, 0.5), FIRST_PAUSE);
        assert_eq!((seconds(pause(1, 0.0)), seconds(pause(1, 1.0)), seconds(pause(3, 1.0))), (0.25, 0.5, 2.0));
        assert_eq!(pause(u32::MAX, 1.0), LONGEST_PAUSE);
    }

    #[tokio::test(flavor = "local")]
    async fn a_token_is_shared_while_somebody_wants_it() {
        let tokens = Tokens::default();
        let one = tokens.google(None).unwrap();
        assert!(Arc::ptr_eq(&one, &tokens.google(None).unwrap()));
        assert_eq!(tokens.new.lock().unwrap().len(), 1);
        assert!(!one.is_good(Instant::now()));
        let ends = Instant::now() + Duration::from_secs(60);
        one.put(CloudCredential::Bearer("Bearer a".parse().unwrap()), ends);
        assert_eq!(one.fail("it is away"), 1);
        assert!(one.is_here(ends).await, "the last good one is kept to its end");
        assert!(!one.is_good(ends));
        let standing = &tokens.standings()[0];
        assert_eq!((standing.cloud, standing.failing.as_deref()), ("gcp", Some("it is away")));
        assert!((59..=60).contains(&standing.good_for_seconds));
        drop(one);
        assert!(tokens.standings().is_empty());
        assert!(!tokens.google(None).unwrap().is_good(Instant::now()));
        assert!(tokens.google(Some(b"{}")).is_err());
        assert!(!format!("{:?}", Token::new()).contains("Bearer"));
    }
}
