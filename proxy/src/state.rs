//! The snapshot made ready to run: handles resolved, routes indexed, header values written.
//!
//! Built on the control thread, once per configuration; a call holds the one it began under to its end. What must
//! outlive a configuration (circuits, connections, cached answers, counters) is held elsewhere by stable ids, and only
//! looked up here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Uri};
use sluicegate_config::compile::Credentials;
use sluicegate_config::{
    self as config, Model, ObjectId, PoolTimeouts, ProviderKind, Retry, Snapshot, Strategy, Timeouts,
};
use sluicegate_dialects::Dialect;

use crate::account::{Metrics, ProviderIx, RouteIx, Table};
use crate::balance::Split;
use crate::cache;
use crate::call::models::Models;
use crate::call::route::{Index, RuleAt};
use crate::endpoint::{Endpoint, EndpointKey, PoolState, Registry};
use crate::source::Change;
use crate::upstream::Origin;

/// What outlives a configuration, to resolve a new one against.
#[derive(Clone)]
pub struct Lasting {
    /// Circuits, cooldowns, budgets.
    pub registry: Arc<Registry>,
    /// The cache's memory layers.
    pub cache: Arc<cache::Shared>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// A configuration, ready to run.
pub struct Ready {
    /// Names by number, for the ledger.
    pub(crate) names: Arc<Table>,
    /// The models that callers can ask for.
    pub(crate) models: Models,
    index: Index,
    routes: Vec<Route>,
}

/// A route.
pub(crate) struct Route {
    pub(crate) ix: RouteIx,
    created: i64,
    pub(crate) rules: Vec<Rule>,
}

/// A rule.
pub(crate) struct Rule {
    pub(crate) targets: Vec<Target>,
    pub(crate) split: Split,
    /// Where the split stands; begins anew with each configuration.
    pub(crate) turn: AtomicU64,
    pub(crate) fallbacks: Vec<Target>,
    pub(crate) cache: Option<Arc<cache::Plan>>,
    pub(crate) timeouts: Timeouts,
}

/// A pool that a rule may ask.
pub(crate) struct Target {
    pub(crate) pool: Arc<Pool>,
    pub(crate) weight: u32,
    pub(crate) model: Option<String>,
}

/// A pool.
pub(crate) struct Pool {
    pub(crate) state: Arc<PoolState>,
    pub(crate) strategy: Strategy,
    pub(crate) max_open_percent: u32,
    pub(crate) timeouts: PoolTimeouts,
    pub(crate) retry: Retry,
    pub(crate) providers: Vec<Arc<Provider>>,
}

/// A provider of a pool.
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) ix: ProviderIx,
    /// What it speaks; `None`: whatever it is spoken to in.
    pub(crate) dialect: Option<Dialect>,
    pub(crate) origin: Origin,
    pub(crate) address: Arc<str>,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) paths: Paths,
    pub(crate) weight: u32,
    pub(crate) priority: u32,
    pub(crate) models: BTreeMap<String, Model>,
    pub(crate) defaults: sluicegate_dialects::Target,
    /// The credential, in the header that this kind of provider reads.
    pub(crate) credential: Option<(HeaderName, HeaderValue)>,
    pub(crate) set_headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) remove_headers: Vec<HeaderName>,
}

/// Where a provider takes what.
pub(crate) struct Paths {
    openai: Uri,
    anthropic: Uri,
    count_tokens: Uri,
}

impl Ready {
    /// Nothing is configured: every model is unknown.
    #[must_use]
    pub fn empty(lasting: &Lasting) -> Self {
        Self::build(&Snapshot::default(), &Credentials::default(), lasting)
    }

    /// Resolves a snapshot. What is wrong with one provider takes that provider out, not its siblings: the compiler has
    /// reported it, so here it is logged.
    #[must_use]
    pub fn build(snapshot: &Snapshot, credentials: &Credentials, lasting: &Lasting) -> Self {
        let names = lasting.metrics.configure(snapshot);
        lasting.cache.apply(snapshot);
        let resolving = Resolving { credentials, lasting, names: &names, now: Instant::now() };
        let pools: BTreeMap<&ObjectId, Arc<Pool>> =
            snapshot.pools.iter().map(|(id, pool)| (id, Arc::new(resolving.pool(id, pool)))).collect();
        let routes: Vec<Route> = snapshot.routes.iter().map(|(id, route)| resolving.route(id, route, &pools)).collect();
        let index = Index::build(snapshot.routes.iter());
        let models = Models::of(snapshot, &index);
        Self { names, models, index, routes }
    }

    /// The rule that takes a call for this model with these headers, and where it is.
    pub(crate) fn find(&self, model: &str, headers: &http::HeaderMap) -> Option<(RouteIx, RuleAt, &Rule)> {
        let at = self.index.find(model, headers)?;
        let route = self.routes.get(at.route)?;
        Some((route.ix, at, route.rules.get(at.rule)?))
    }

    /// When the route was created that serves this model, listed or not; `None`: no route takes it, or no provider
    /// behind one serves it.
    pub(crate) fn model(&self, name: &str) -> Option<i64> {
        let serving = |at: RuleAt| {
            let route = self.routes.get(at.route)?;
            route.rules.get(at.rule)?.serves(name).then_some(route.created)
        };
        self.models.created(name).or_else(|| self.index.reaching(name).find_map(serving))
    }
}

/// Makes configurations ready, one after the other, on the control thread.
pub struct Builder {
    lasting: Lasting,
    snapshot: Snapshot,
    credentials: Credentials,
    ready: Arc<Ready>,
}

impl Builder {
    /// Nothing is configured yet.
    #[must_use]
    pub fn new(lasting: Lasting) -> Self {
        let (snapshot, credentials) = (Snapshot::default(), Credentials::default());
        let ready = Arc::new(Ready::build(&snapshot, &credentials, &lasting));
        Self { lasting, snapshot, credentials, ready }
    }

    /// What was made last.
    #[must_use]
    pub fn ready(&self) -> Arc<Ready> {
        Arc::clone(&self.ready)
    }

    /// The next one, as a whole.
    pub fn replace(&mut self, snapshot: &Snapshot, credentials: &Credentials) -> Arc<Ready> {
        self.ready = Arc::new(Ready::build(snapshot, credentials, &self.lasting));
        self.ready()
    }

    /// The next one, by what changes.
    pub fn apply(&mut self, changes: Vec<Change>) -> Arc<Ready> {
        for change in changes {
            match change {
                Change::Pool(id, of_it) => {
                    let (pool, credentials) = *of_it;
                    self.snapshot.pools.insert(id, pool);
                    self.credentials.extend(credentials);
                }
                Change::PoolGone(id) => drop(self.snapshot.pools.remove(&id)),
                Change::Route(id, route) => drop(self.snapshot.routes.insert(id, *route)),
                Change::RouteGone(id) => drop(self.snapshot.routes.remove(&id)),
            }
        }
        self.ready = Arc::new(Ready::build(&self.snapshot, &self.credentials, &self.lasting));
        self.ready()
    }
}

impl Rule {
    fn serves(&self, model: &str) -> bool {
        self.targets.iter().chain(&self.fallbacks).any(|target| {
            let routed = target.model.as_deref().unwrap_or(model);
            target.pool.providers.iter().any(|provider| provider.serves(routed))
        })
    }
}

impl Provider {
    /// What it is spoken to in, by a caller of this dialect.
    pub(crate) fn speaks(&self, caller: Dialect) -> Dialect {
        self.dialect.unwrap_or(caller)
    }

    /// Whether it serves a model by the name that routes use.
    pub(crate) fn serves(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.contains_key(model)
    }

    /// Where it takes generations in a dialect.
    pub(crate) fn path(&self, dialect: Dialect) -> &Uri {
        match dialect {
            Dialect::OpenAiChat => &self.paths.openai,
            Dialect::AnthropicMessages => &self.paths.anthropic,
        }
    }

    /// Where it counts tokens.
    pub(crate) fn count_tokens(&self) -> &Uri {
        &self.paths.count_tokens
    }
}

struct Resolving<'a> {
    credentials: &'a Credentials,
    lasting: &'a Lasting,
    names: &'a Table,
    now: Instant,
}

impl Resolving<'_> {
    fn route(&self, id: &ObjectId, route: &config::Route, pools: &BTreeMap<&ObjectId, Arc<Pool>>) -> Route {
        let rules = route.rules.iter().map(|rule| {
            let asked = targets(&rule.targets, pools);
            Rule {
                split: Split::new(asked.iter().map(|target| target.weight)),
                turn: AtomicU64::new(0),
                targets: asked,
                fallbacks: targets(&rule.fallbacks, pools),
                cache: rule.cache.as_ref().map(|settings| self.lasting.cache.plan(id, &rule.name, settings)),
                timeouts: rule.timeouts,
            }
        });
        Route { ix: self.names.route(id), created: route.created, rules: rules.collect() }
    }

    fn pool(&self, id: &ObjectId, pool: &config::Pool) -> Pool {
        let providers = pool.providers.iter().filter_map(|provider| match self.provider(id, pool, provider) {
            Ok(provider) => Some(Arc::new(provider)),
            Err(why) => {
                tracing::error!(pool = id.0, provider = provider.name, why, "a provider can not be used");
                None
            }
        });
        Pool {
            state: self.lasting.registry.pool(id, self.now),
            strategy: pool.strategy,
            max_open_percent: pool.circuit_breaker.max_open_percent,
            timeouts: pool.timeouts,
            retry: pool.retry.clone(),
            providers: providers.collect(),
        }
    }

    fn provider(&self, id: &ObjectId, pool: &config::Pool, from: &config::Provider) -> Result<Provider, String> {
        let origin = Origin::new(id, from).map_err(|error| error.to_string())?;
        let address = origin.address();
        let key = EndpointKey { pool: id.clone(), provider: from.name.clone(), address: address.clone() };
        let uri = |path: &str| origin.uri(path).map_err(|error| error.to_string());
        let paths = Paths {
            openai: uri("/chat/completions")?,
            anthropic: uri("/messages")?,
            count_tokens: uri("/messages/count_tokens")?,
        };
        Ok(Provider {
            ix: self.names.provider(id, &from.name),
            dialect: match from.kind {
                ProviderKind::OpenAi | ProviderKind::OpenAiCompatible => Some(Dialect::OpenAiChat),
                ProviderKind::Anthropic => Some(Dialect::AnthropicMessages),
                ProviderKind::Simulated => None,
            },
            address: address.into(),
            endpoint: self.lasting.registry.endpoint(&key, pool.circuit_breaker, self.now),
            paths,
            weight: from.weight,
            priority: from.priority,
            models: from.models.clone(),
            defaults: defaults(from),
            credential: self.credential(from)?,
            set_headers: set_headers(from)?,
            remove_headers: from.remove_headers.iter().filter_map(|name| HeaderName::try_from(name).ok()).collect(),
            name: from.name.clone(),
            origin,
        })
    }

    fn credential(&self, from: &config::Provider) -> Result<Option<(HeaderName, HeaderValue)>, String> {
        let Some(id) = &from.credential else { return Ok(None) };
        let value = self.credentials.get(id).ok_or_else(|| format!("its credential {} is missing", id.0))?;
        let secret = value.expose().trim_ascii();
        let (name, prefix): (_, &[u8]) = match from.kind {
            ProviderKind::Anthropic => (HeaderName::from_static("x-api-key"), b""),
            ProviderKind::OpenAi | ProviderKind::OpenAiCompatible => (AUTHORIZATION, b"Bearer "),
            ProviderKind::Simulated => return Ok(None),
        };
        let mut value = HeaderValue::from_bytes(&[prefix, secret].concat())
            .map_err(|_| format!("its credential {} holds bytes that no header can", id.0))?;
        value.set_sensitive(true);
        Ok(Some((name, value)))
    }
}

fn targets(from: &[config::Target], pools: &BTreeMap<&ObjectId, Arc<Pool>>) -> Vec<Target> {
    let target = |target: &config::Target| {
        let pool = Arc::clone(pools.get(&target.pool)?);
        Some(Target { pool, weight: target.weight, model: target.model.clone() })
    };
    from.iter().filter_map(target).collect()
}

fn defaults(from: &config::Provider) -> sluicegate_dialects::Target {
    sluicegate_dialects::Target {
        default_max_tokens: from.defaults.max_tokens,
        default_temperature: from.defaults.temperature.as_ref().and_then(|text| serde_json::from_str(text).ok()),
        compatible: from.kind == ProviderKind::OpenAiCompatible,
    }
}

fn set_headers(from: &config::Provider) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let header = |(name, value): (&String, &String)| {
        let parsed = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
        parsed.ok_or_else(|| format!("header {name} can not be set"))
    };
    from.set_headers.iter().map(header).collect()
}
