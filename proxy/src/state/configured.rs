//! A configuration as calls see it.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sluicegate_config::{
    AffinitySource, BetaAction, FallbackReason, HealthCheck, Hedge, Model, ModelServer, ObjectId, PoolTimeouts, Retry,
    Strategy, StreamFailover, Timeouts,
};
use sluicegate_dialects::verbatim::CachePlan;
use sluicegate_dialects::{Dialect, RequestShape};

use crate::account::{NameTable, Operation, ProviderIx, RouteIx};
use crate::api::profiles::{KindProfile, ModelPublisher, Offer};
use crate::balance::Split;
use crate::cache;
use crate::concurrency::PreparedGate;
use crate::consumer::{Consumers, KnownConsumer, RouteAccess};
use crate::discovery::{DiscoveredModels, DiscoveryKeeper};
use crate::endpoint::{Endpoint, Health, LivePool};
use crate::limit::{AttemptLimits, PreparedBudget, PreparedLimit};
use crate::models::Models;
use crate::persistent::{List, PersistentMap};
use crate::route::{Filed, Index, LookAtAsked};
use crate::upstream::Origin;

use super::provider_key::{Credential, PreparedKey, SentWith};
use super::reasons::Reasons;

/// The bytes that a model's name may not have in a path.
const IN_A_PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b'@');

/// A configuration, ready to run.
#[derive(Default)]
pub struct Ready {
    /// Names by number, for the ledger.
    pub(crate) names: Arc<NameTable>,
    pub(super) index: Index<Route>,
    pub(super) consumers: Consumers,
    /// The numbers of routes by the callers that they are for.
    pub(super) access: AccessCounts,
    /// Every route by its id.
    pub(super) routes: PersistentMap<Id, Arc<Filed<Route>>>,
    /// Pools by their places; a place without one is of a pool that routes name and that is not there.
    pub(super) pools: List<Option<Arc<Pool>>>,
    /// Put together when somebody asks for it, of these lists of providers' own.
    pub(super) models: Mutex<Option<(u64, Arc<Models>)>>,
    /// Providers' own lists of models.
    pub(super) discovery: Arc<DiscoveryKeeper>,
    /// True if there was anything to make ready: until then nothing is known, not even that a model is not there.
    pub(super) configured: bool,
}

/// The numbers of routes by the callers that they are for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AccessCounts {
    /// For anyone, by at least one of their matches.
    pub(super) anyone: usize,
    /// For consumers only, or for some of them.
    pub(super) known: usize,
    /// For some consumers only, as a whole or by a rule.
    pub(super) selected: usize,
    /// True if routes that say nothing are for consumers only.
    pub(super) known_only: bool,
}

impl AccessCounts {
    /// Counts a route, one way or the other.
    pub(super) fn count(&mut self, filed: &Filed<Route>, count: fn(usize, usize) -> usize) {
        let access = &filed.route.access;
        let (is_open, is_selective) = match access {
            RouteAccess::Anyone => (true, false),
            RouteAccess::Known => (false, false),
            RouteAccess::Selector(_) => (false, true),
        };
        let is_selective = is_selective || filed.asks_for_consumers();
        self.anyone = count(self.anyone, usize::from(is_open && filed.takes_anyone()));
        self.known = count(self.known, usize::from(!is_open));
        self.selected = count(self.selected, usize::from(is_selective));
    }
}

/// The outcome of a caller's call for a model.
pub(crate) enum Permission<'a> {
    /// It goes this way.
    Granted(RouteIx, usize, &'a Rule),
    /// It would go some way, and its caller may not.
    Denied,
    /// No route takes it.
    NotFound,
}

/// An id that is found by its text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Id(pub(super) Arc<ObjectId>);

// Equal texts are equal ids and have equal hashes: an id is nothing but its text.
impl Borrow<str> for Id {
    fn borrow(&self) -> &str {
        &self.0.0
    }
}

/// A route.
pub(crate) struct Route {
    pub(super) ix: RouteIx,
    pub(super) rules: Box<[Rule]>,
    /// The callers that it is for.
    pub(super) access: RouteAccess,
    /// Of the compiled form it was made of.
    pub(super) revision: Box<str>,
    /// The pools it names, each as often as it does.
    pub(super) names: Box<[Arc<ObjectId>]>,
}

/// A rule.
pub(crate) struct Rule {
    pub(crate) targets: Vec<TargetRef>,
    pub(crate) split: Split,
    /// The position of the split; begins anew with each form of its route.
    pub(crate) turn: AtomicU64,
    pub(crate) fallbacks: Vec<TargetRef>,
    pub(crate) cache: Option<Arc<cache::Plan>>,
    /// Says which calls are identical, where those share one answer.
    pub(crate) coalesce: Option<PreparedCoalesce>,
    /// The breakpoints that are put into its calls.
    pub(crate) prompt_cache: Option<CachePlan>,
    pub(crate) limits: Box<[PreparedLimit]>,
    pub(crate) budgets: Box<[PreparedBudget]>,
    /// Changes of its calls.
    pub(crate) request: Option<Arc<PreparedChanges>>,
    /// A second attempt elsewhere.
    pub(crate) hedge: Option<Hedge>,
    /// Streams that break half-way go on elsewhere.
    pub(crate) stream_failover: Option<StreamFailover>,
    /// A copy of a share of its calls.
    pub(crate) mirror: Option<Arc<PreparedMirror>>,
    /// The most of its calls that providers work on at once.
    pub(crate) concurrency: Option<PreparedGate>,
    pub(crate) timeouts: Timeouts,
    /// The models that it takes by their exact names.
    pub(super) exact_models: Box<[Box<str>]>,
    /// True if lists tell of its models.
    pub(super) is_listed: bool,
}

/// The sharing of one answer by identical calls, ready to run.
#[derive(Debug)]
pub(crate) struct PreparedCoalesce {
    /// Says which calls are identical.
    pub(crate) recipe: cache::Recipe,
    /// True if those of other proxies share it too.
    pub(crate) with_proxies: bool,
}

/// The changes that a rule makes to its calls.
pub(crate) struct PreparedChanges {
    pub(crate) shape: RequestShape,
    pub(crate) set_headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) remove_headers: Vec<HeaderName>,
}

/// A share of a rule's calls that is copied.
pub(crate) struct PreparedMirror {
    /// The share, in percent.
    pub(crate) percent: u32,
    /// The rule of the copies, of one target.
    pub(crate) rule: Rule,
}

/// A reference to the pool that a rule names.
pub(crate) struct TargetRef {
    /// The pool's place.
    pub(super) pool: usize,
    pub(crate) weight: u32,
    pub(super) model: Option<Box<str>>,
    /// Of a fallback: the reasons to ask it.
    pub(crate) reasons: Reasons,
}

impl Rule {
    /// True if a call that a budget has no room for may land at this one of its fallbacks: it is for that, or, where none says that it is, for
    /// what could not serve.
    pub(crate) fn is_landing(&self, fallback: &TargetRef) -> bool {
        let is_for_budgets = |fallback: &TargetRef| fallback.reasons.has(FallbackReason::Budget);
        let reason = match self.fallbacks.iter().any(is_for_budgets) {
            true => FallbackReason::Budget,
            false => FallbackReason::Unavailable,
        };
        fallback.reasons.has(reason)
    }
}

/// A pool that a call may ask, in the configuration that the call began under.
#[derive(Clone, Copy)]
pub(crate) struct RouteTarget<'a> {
    pub(crate) pool: &'a Arc<Pool>,
    /// The model to ask for instead of the caller's.
    pub(crate) model: Option<&'a str>,
    /// Of a fallback: the reasons to ask it.
    pub(crate) reasons: Option<Reasons>,
}

/// A pool.
pub(crate) struct Pool {
    pub(crate) state: Arc<LivePool>,
    pub(crate) strategy: Strategy,
    /// The least quality of a model, in thousandths, that goes before all others of its tier.
    pub(crate) quality_floor_milli: Option<u32>,
    /// Keeps calls of one conversation together.
    pub(crate) affinity: Option<PreparedAffinity>,
    pub(crate) max_open_percent: u32,
    /// The rule by which endpoints are asked whether they are well.
    pub(crate) health_check: Option<Arc<HealthCheck>>,
    pub(crate) timeouts: PoolTimeouts,
    pub(crate) retry: Retry,
    /// Stands for whatever of the pool's configuration decides what is answered; part of every cache key.
    pub(crate) answers: [u8; 32],
    /// True if some provider is called with the caller's own key, so that answers are each key's own.
    pub(crate) takes_callers_keys: bool,
    /// The smallest window that it says of any model.
    pub(super) smallest_window: Option<u64>,
    /// True if any of its providers is asked for its own list.
    pub(super) discovers: bool,
    pub(crate) providers: Vec<Arc<Provider>>,
}

impl Pool {
    /// True if the time that endpoints let callers wait is measured.
    pub(crate) fn measures_latency(&self) -> bool {
        self.strategy == Strategy::LeastLatency
    }
}

/// A question that an endpoint is asked beside the calls.
pub(crate) enum EndpointQuestion {
    /// Its health.
    Health(Arc<HealthCheck>),
    /// The load of its model server.
    Load(Arc<ModelServer>),
}

impl EndpointQuestion {
    /// The time from one question to the next.
    pub(crate) fn interval(&self) -> Duration {
        match self {
            Self::Health(check) => check.interval.get(),
            Self::Load(server) => server.interval.get(),
        }
    }
}

/// The rule by which calls of one conversation are kept together.
pub(crate) struct PreparedAffinity {
    pub(crate) sources: Vec<AffinitySource>,
    pub(crate) header: Option<HeaderName>,
    pub(crate) max_load_milli: u32,
}

/// A provider of a pool.
pub(crate) struct Provider {
    pub(crate) name: String,
    /// Stands for its endpoint, on every proxy alike.
    pub(crate) identity: u64,
    /// The same, in its pool: no endpoint of another pool has it.
    pub(crate) stands_for: u64,
    pub(crate) ix: ProviderIx,
    /// The row of its kind.
    pub(crate) kind: &'static KindProfile,
    pub(crate) origin: Origin,
    pub(crate) address: Arc<str>,
    pub(crate) endpoint: Arc<Endpoint>,
    /// Its rate limits, of all of its endpoints together.
    pub(crate) limits: Option<Arc<AttemptLimits>>,
    /// The most calls that it, and its endpoint, work on at once.
    pub(crate) gates: Vec<PreparedGate>,
    /// The places of the models in it.
    pub(super) offers: Vec<OfferAt>,
    pub(crate) weight: u32,
    pub(crate) priority: u32,
    /// True if it is in another region than the process.
    pub(crate) is_away: bool,
    /// Model servers there are asked how busy they are.
    pub(crate) model_server: Option<Arc<ModelServer>>,
    /// Larger requests go out compressed.
    pub(crate) compress_over: Option<usize>,
    /// A stream whose caller has left is listened to for so long at most.
    pub(crate) drain_abandoned: Option<Duration>,
    pub(crate) models: Arc<BTreeMap<String, Model>>,
    /// Its own list of them, where it is asked for.
    pub(super) discovered: Option<Arc<DiscoveredModels>>,
    /// The word that configurations have for its type.
    pub(super) type_name: &'static str,
    /// The way in which it is spoken to.
    pub(crate) defaults: Arc<sluicegate_dialects::ProviderProfile>,
    /// The actions on the caller's betas.
    pub(crate) betas: BTreeMap<String, BetaAction>,
    /// `None`: it is called with none, or has several keys.
    pub(crate) credential: Option<Credential>,
    /// Its several keys.
    pub(crate) keys: Vec<PreparedKey>,
    pub(crate) set_headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) pass_headers: Vec<HeaderName>,
    pub(crate) remove_headers: Vec<HeaderName>,
}

impl Pool {
    /// The smallest window of any model that is known; `None`: none is.
    pub(crate) fn smallest_window(&self) -> Option<u64> {
        if !self.discovers {
            return self.smallest_window;
        }
        let found = self.providers.iter().filter_map(|provider| provider.discovered.as_ref()?.smallest_window());
        found.chain(self.smallest_window).min()
    }
}

impl Provider {
    /// True if it is called with the caller's own key: what it says of that is the caller's to hear.
    pub(crate) const fn takes_callers_key(&self) -> bool {
        matches!(self.credential, Some(Credential::OfCaller(_)))
    }
}

impl Provider {
    /// The credential that a call with this key is sent with; `None`: the provider's only one.
    pub(crate) fn credential_of(&self, key: Option<usize>) -> Option<&Credential> {
        match key.and_then(|key| self.keys.get(key)) {
            Some(key) => Some(&key.credential),
            None => self.credential.as_ref(),
        }
    }

    /// The thing that it is called with now.
    pub(crate) fn sent_with(&self, key: Option<usize>) -> SentWith {
        let token = if let Some(Credential::Token(token)) = self.credential_of(key) { token.number() } else { 0 };
        SentWith { key, token }
    }

    /// Its health: its endpoint's, and that of the keys. While all of these rest, or its own rate limits are used up, so does it.
    pub(crate) fn health(&self, now: Instant) -> Health {
        self.with_keys(self.endpoint.health(now), now)
    }

    /// Its health for calls of a model.
    pub(crate) fn health_for(&self, model: impl Fn() -> u64, now: Instant) -> Health {
        self.with_keys(self.endpoint.health_for(model, now), now)
    }

    fn with_keys(&self, of_endpoint: Health, now: Instant) -> Health {
        if (self.keys.is_empty() && self.limits.is_none()) || matches!(of_endpoint, Health::Ejected(_)) {
            return of_endpoint;
        }
        // The first that is usable again; one that is now has no end of a rest, which comes before all.
        let of_keys = self.keys.iter().map(|key| key.rests_until(now)).min().flatten();
        let used_up = self.limits.as_ref().and_then(|limits| limits.rest_until(now));
        match (of_endpoint, of_keys.max(used_up)) {
            (Health::CoolingDown(one), Some(other)) => Health::CoolingDown(one.max(other)),
            (_, Some(until)) => Health::CoolingDown(until),
            (of_endpoint, None) => of_endpoint,
        }
    }
}

/// An operation that a provider offers, and its place there.
pub(crate) struct OfferAt {
    pub(crate) offer: &'static Offer,
    /// Its path, but for the model.
    pub(super) path: Box<str>,
    /// Its URI; `None`: that names the model.
    pub(super) uri: Option<Uri>,
}

impl Ready {
    /// True if this is a configuration, if only an empty one.
    pub(crate) fn is_configured(&self) -> bool {
        self.configured
    }

    /// True if anything depends on who calls.
    pub(crate) fn asks_who_calls(&self) -> bool {
        self.access.known_only || self.access.known > 0 || self.access.selected > 0 || !self.consumers.is_empty()
    }

    /// True if a caller that nobody knows may have anything: a route says so, or there is none yet and the gateway is open.
    pub(crate) fn serves_anyone(&self) -> bool {
        self.access.anyone > 0 || (self.routes.is_empty() && !self.access.known_only)
    }

    /// True if a caller may not tell models that are not there from those that it may not have.
    pub(crate) fn hides_from(&self, consumer: Option<&KnownConsumer>) -> bool {
        match consumer {
            None => self.access.known > 0 || self.access.selected > 0,
            Some(consumer) => consumer.is_limited() || self.keeps_from(consumer),
        }
    }

    /// True if a route, or a match of one, is for other consumers only.
    fn keeps_from(&self, consumer: &KnownConsumer) -> bool {
        let keeps = |filed: &Filed<Route>| !filed.route.access.permits(Some(consumer)) || filed.keeps_from(consumer);
        self.access.selected > 0 && self.routes.iter().any(|(_, filed)| keeps(filed))
    }

    /// The consumers, by their keys.
    pub(crate) fn consumers(&self) -> &Consumers {
        &self.consumers
    }

    /// The rule that takes a caller's call for this model with these headers, and where it is.
    pub(crate) fn find(
        &self,
        model: &str,
        headers: &HeaderMap,
        consumer: Option<&KnownConsumer>,
        asking: LookAtAsked<'_>,
    ) -> Permission<'_> {
        let Some((filed, rule)) = self.index.find(model, headers, consumer, asking) else {
            return Permission::NotFound;
        };
        if !filed.route.access.permits(consumer) || consumer.is_some_and(|consumer| !consumer.may_ask_for(model)) {
            return Permission::Denied;
        }
        let found = filed.route.rules.get(rule);
        found.map_or(Permission::NotFound, |found| Permission::Granted(filed.route.ix, rule, found))
    }

    /// The rule that takes a caller's call to this path, which passes unread, and where it is. It asks for no model.
    pub(crate) fn find_path(
        &self,
        path: &str,
        headers: &HeaderMap,
        consumer: Option<&KnownConsumer>,
    ) -> Option<(RouteIx, usize, &Rule)> {
        let (filed, rule) = self.index.find_path(path, headers, consumer)?;
        let is_permitted = filed.route.access.permits(consumer);
        let found = filed.route.rules.get(rule).filter(|_| is_permitted)?;
        Some((filed.route.ix, rule, found))
    }

    /// True if a rule names this path, for whomever.
    pub(crate) fn names_path(&self, path: &str) -> bool {
        self.index.names_path(path)
    }

    /// True if a rule names any path.
    pub(crate) fn names_paths(&self) -> bool {
        self.index.names_paths()
    }

    /// The rule by which a caller may ask an endpoint of which this is so, and where it is: of all such the first of the oldest route.
    pub(crate) fn find_keeper(
        &self,
        keeps: &dyn Fn(&Provider) -> bool,
        consumer: Option<&KnownConsumer>,
    ) -> Option<(RouteIx, usize, &Rule)> {
        let is_it = |pool: &Pool| pool.providers.iter().any(|provider| keeps(provider));
        let asks = |target: &TargetRef| self.target(target).is_some_and(|target| is_it(target.pool));
        let permitted = self.routes.iter().map(|(_, filed)| filed).filter(|filed| filed.route.access.permits(consumer));
        let rules = permitted.filter_map(|filed| {
            let mut rules = filed.route.rules.iter().enumerate();
            let (at, rule) = rules.find(|(at, rule)| {
                filed.is_for(*at, consumer) && rule.targets.iter().chain(&rule.fallbacks).any(asks)
            })?;
            Some(((filed.created, &*filed.id.0), (filed.route.ix, at, rule)))
        });
        rules.min_by(|(one, _), (other, _)| one.cmp(other)).map(|(_, found)| found)
    }

    /// The endpoints that are asked whether they are well, or how busy they are.
    pub(crate) fn asked(&self) -> impl Iterator<Item = (&Arc<Provider>, EndpointQuestion)> {
        let pools = self.pools.iter().flatten();
        let asked = |provider: &&Arc<Provider>| provider.weight > 0 && &*provider.address != "simulated";
        pools.flat_map(move |pool| {
            pool.providers.iter().filter(asked).flat_map(|provider| {
                let health = pool.health_check.iter().map(|check| EndpointQuestion::Health(Arc::clone(check)));
                let load = provider.model_server.iter().map(|server| EndpointQuestion::Load(Arc::clone(server)));
                health.chain(load).map(move |question| (provider, question))
            })
        })
    }

    /// The pool that a rule names; `None`: it is not there.
    pub(crate) fn target<'a>(&'a self, target_ref: &'a TargetRef) -> Option<RouteTarget<'a>> {
        let pool = self.pools.get(target_ref.pool)?.as_ref()?;
        Some(RouteTarget { pool, model: target_ref.model.as_deref(), reasons: None })
    }
}

impl Provider {
    /// The dialect that it speaks to a call of this operation, about a model by the name that routes use; `None`: it does not
    /// offer that.
    pub(crate) fn speaks(&self, operation: Operation, caller: Dialect, routed: &str) -> Option<Dialect> {
        self.offer(operation, caller, || self.upstream_name(routed)).map(|at| at.offer.dialect)
    }

    /// The offer that it has for a call: the operation in the caller's own dialect, else an answer in its main one. The model,
    /// by its own name of it, is asked for where that matters.
    pub(crate) fn offer<'m>(
        &self,
        operation: Operation,
        caller: Dialect,
        model: impl Fn() -> &'m str,
    ) -> Option<&OfferAt> {
        if operation == Operation::NamedPath {
            return self.offers.iter().find(|at| at.offer.operation == operation);
        }
        let fits = |at: &&OfferAt| {
            let is_it = at.offer.operation == operation
                || (operation.generates() && at.offer.operation.generates())
                || (operation.embeds() && at.offer.operation == Operation::Embeddings);
            is_it && at.offer.publisher.is_none_or(|publisher| publisher == ModelPublisher::of(model()))
        };
        let takes = |at: &&OfferAt| at.offer.models.is_none_or(|words| self.is_called(model(), words));
        let own = self.offers.iter().filter(fits).find(|at| at.offer.dialect == caller);
        if operation.passes() || operation.is_of_stored() {
            return own;
        }
        let mut fitting = self.offers.iter().filter(fits).filter(takes);
        let counts = |at: &&OfferAt| operation == Operation::CountTokens && at.offer.dialect.counts_for_others();
        let embeds = |at: &&OfferAt| operation.embeds() && caller.embeds() && at.offer.dialect.embeds();
        let own = own.or_else(|| fitting.clone().find(|at| at.offer.dialect.is_kin(caller)));
        own.or_else(|| fitting.find(|at| operation.generates() || embeds(at) || counts(at)))
    }

    /// Its own name of a model.
    pub(crate) fn upstream_name<'m>(&'m self, routed: &'m str) -> &'m str {
        self.models.get(routed).and_then(|model| model.upstream_name.as_deref()).unwrap_or(routed)
    }

    /// True if one of the words stands in a model's name: its own here, or one that routes have for it, as an ARN may say nothing.
    fn is_called(&self, model: &str, words: &[&str]) -> bool {
        let names = |name: &str| words.iter().any(|word| name.contains(word));
        let own = |listed: &Model| listed.upstream_name.as_deref() == Some(model);
        names(model) || self.models.iter().any(|(name, listed)| own(listed) && names(name))
    }

    /// True if it serves a model by the name that routes use.
    pub(crate) fn serves(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.contains_key(model)
    }
}

impl OfferAt {
    /// The URI of a path with its query, which stands there as callers write it.
    pub(crate) fn uri_of_path(&self, path: &str) -> Option<Uri> {
        format!("{}{path}", self.path).parse::<PathAndQuery>().ok().map(Uri::from)
    }

    /// The URI of a call to a model; `None`: there is none that names it.
    pub(crate) fn uri(&self, origin: &Origin, model: &str, (stream, translated): (bool, bool)) -> Option<Uri> {
        let path = self.offer.stream_path.filter(|_| stream);
        // A caller of the same dialect says by itself how its stream is to be framed.
        let path = path.map(|path| path.split('?').next().filter(|_| !translated).unwrap_or(path));
        match &self.uri {
            Some(uri) if path.is_none() => Some(uri.clone()),
            _ => {
                // A way up in the path, however it is written.
                if matches!(model, "." | "..") && self.offer.names_the_model() {
                    return None;
                }
                let model = utf8_percent_encode(model, IN_A_PATH).to_string();
                origin.uri(&path.unwrap_or(&self.path).replace("{model}", &model)).ok()
            }
        }
    }
}
