//! From a compiled pool or route to what calls run on: addresses parsed, live state found, header values written.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use http::{HeaderName, HeaderValue};
use sluicegate_config::compile::Credentials;
use sluicegate_config::identity::{Identity, aws_keys};
use sluicegate_config::{self as config, CoalesceScope, CredentialId, ObjectId, ProviderKind};

use sluicegate_dialects::RequestShape;
use sluicegate_dialects::vendors::{LookAlike, SideOperation};
use sluicegate_dialects::verbatim::CachePlan;

use super::exact_models::exact_models;
use crate::account::{Metrics, Operation, ProviderIx, RouteIx};
use crate::api::profiles::{self, KindProfile, Offer};
use crate::balance::Split;
use crate::cache;
use crate::concurrency::{GateScope, PreparedGate};
use crate::consumer::RouteAccess;
use crate::discovery::{DiscoveredModels, DiscoveryKeeper, DiscoveryQuestion};
use crate::endpoint::{Endpoint, EndpointKey, KeyValue, LiveKeyId, Registry};
use crate::identity::aws::AwsSigner;
use crate::identity::keeper::Tokens;
use crate::jwt::JwksKeeper;
use crate::limit::{AttemptLimits, LimitScope, PreparedBudget, PreparedLimit, SharedLimits};
use crate::upstream::{Origin, Outward};

use super::configured::{
    OfferAt, Pool, PreparedAffinity, PreparedChanges, PreparedCoalesce, PreparedMirror, Provider, Route, Rule,
    TargetRef,
};
use super::profile;
use super::provider_key::{Credential, PreparedKey};
use super::reasons::Reasons;

/// With several endpoints behind one provider, weights are told apart this finely.
const SHARES: u64 = 1_000;

/// The things that outlive a configuration, to resolve a new one against.
#[derive(Clone)]
pub struct Lasting {
    /// Circuits, cooldowns, budgets.
    pub registry: Arc<Registry>,
    /// The cache's memory layers.
    pub cache: Arc<cache::SharedCache>,
    /// The limits, and all that has been taken of them.
    pub limits: Arc<SharedLimits>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The way in which providers are reached.
    pub outward: Outward,
    /// The tokens that providers are called with.
    pub(crate) tokens: Arc<Tokens>,
    /// The keys of issuers whose tokens callers bring.
    pub(crate) jwks: Arc<JwksKeeper>,
    /// Providers' own lists of models.
    pub(crate) discovery: Arc<DiscoveryKeeper>,
    /// True if routes that do not say who may call them are for consumers only.
    pub known_only: bool,
    /// The region that the process runs in.
    pub region: Option<Arc<str>>,
}

/// Resolves a route. `place` says where a pool is, or will be, and how it is called.
pub(super) fn route(
    lasting: &Lasting,
    id: &ObjectId,
    route: &config::Route,
    ix: RouteIx,
    mut place: impl FnMut(&ObjectId) -> (usize, Arc<ObjectId>),
) -> Route {
    lasting.cache.make_room(id, route);
    let mut names = Vec::new();
    let mut target_refs = |from: &[config::Target]| -> Vec<TargetRef> {
        let target_ref = |target: &config::Target| {
            let (pool, name) = place(&target.pool);
            names.push(name);
            TargetRef {
                pool,
                weight: target.weight,
                model: target.model.as_deref().map(Into::into),
                reasons: Reasons::of(&target.reasons),
            }
        };
        from.iter().map(target_ref).collect()
    };
    let mut rules = Vec::with_capacity(route.rules.len());
    for rule in &route.rules {
        rules.push(Rule {
            split: Split::new(rule.targets.iter().map(|target| target.weight)),
            turn: AtomicU64::new(0),
            targets: target_refs(&rule.targets),
            fallbacks: target_refs(&rule.fallbacks),
            cache: rule.cache.as_ref().map(|settings| lasting.cache.plan(id, &rule.name, settings)),
            coalesce: rule.coalesce.as_ref().map(|settings| PreparedCoalesce {
                recipe: cache::Recipe::of_shared(id, &rule.name, settings),
                with_proxies: settings.scope == CoalesceScope::Cluster,
            }),
            prompt_cache: rule.prompt_cache.map(cache_plan),
            limits: limits(lasting, id, rule),
            budgets: rule.budgets.iter().map(|budget| PreparedBudget::of(lasting.limits.gateway(), budget)).collect(),
            request: rule.request.as_ref().map(|request| Arc::new(changes(request))),
            hedge: rule.hedge,
            stream_failover: rule.stream_failover,
            mirror: rule.mirror.as_ref().map(|mirror| Arc::new(self::mirror(mirror, rule, &mut target_refs))),
            concurrency: concurrency(lasting, id, rule),
            timeouts: rule.timeouts,
            exact_models: exact_models(rule),
            is_listed: !rule.unlisted,
        });
    }
    let access = RouteAccess::of(route.access.as_ref(), lasting.known_only);
    Route { ix, access, rules: rules.into(), revision: route.revision.as_str().into(), names: names.into() }
}

fn changes(from: &config::RequestChanges) -> PreparedChanges {
    let pairs = |fields: &std::collections::BTreeMap<String, String>| {
        fields.iter().map(|(name, json)| (name.clone(), json.clone())).collect()
    };
    let header = |(name, value): (&String, &String)| {
        HeaderName::try_from(name.as_str()).ok().zip(HeaderValue::try_from(value.as_str()).ok())
    };
    PreparedChanges {
        shape: RequestShape {
            defaults: pairs(&from.defaults),
            overrides: pairs(&from.overrides),
            remove: from.remove.clone(),
            max_tokens: from.max_tokens,
            prepend: from.prepend.clone(),
            append: from.append.clone(),
        },
        set_headers: from.set_headers.iter().filter_map(header).collect(),
        remove_headers: names(&from.remove_headers),
    }
}

/// The copies of a rule's calls go their own way: nothing limits or keeps them.
fn mirror(
    mirror: &config::Mirror,
    rule: &config::Rule,
    target_refs: &mut impl FnMut(&[config::Target]) -> Vec<TargetRef>,
) -> PreparedMirror {
    let rule = Rule {
        targets: target_refs(std::slice::from_ref(&mirror.target)),
        split: Split::new([1]),
        turn: AtomicU64::new(0),
        fallbacks: Vec::new(),
        cache: None,
        coalesce: None,
        prompt_cache: rule.prompt_cache.map(cache_plan),
        limits: Box::default(),
        budgets: Box::default(),
        request: None,
        hedge: None,
        stream_failover: None,
        mirror: None,
        concurrency: None,
        exact_models: Box::default(),
        is_listed: false,
        timeouts: rule.timeouts,
    };
    PreparedMirror { percent: mirror.percent, rule }
}

fn cache_plan(from: config::PromptCache) -> CachePlan {
    let config::PromptCache { tools, system, turns, for_an_hour } = from;
    CachePlan { tools, system, turns: turns.into(), for_an_hour }
}

/// The limits of a rule.
fn limits(lasting: &Lasting, id: &ObjectId, rule: &config::Rule) -> Box<[PreparedLimit]> {
    if !rule.limits.is_empty() || !rule.budgets.is_empty() {
        lasting.limits.put_in_use();
    }
    let scope = LimitScope::Route(&id.0, rule.own_limits.then_some(rule.name.as_str()));
    rule.limits.iter().map(|limit| PreparedLimit::of(lasting.limits.gateway(), scope, limit)).collect()
}

/// The limit on how many of a rule's calls are worked on at once.
fn concurrency(lasting: &Lasting, id: &ObjectId, rule: &config::Rule) -> Option<PreparedGate> {
    let scope = GateScope::Route(&id.0, rule.own_concurrency.then_some(rule.name.as_str()));
    rule.concurrency.as_ref().map(|limit| lasting.limits.gate(scope, limit))
}

/// A spot of a provider: its address under one of its urls, or one of the endpoints behind it.
#[derive(Clone, Copy)]
struct Spot<'a> {
    from: &'a config::Provider,
    at: Option<&'a str>,
    is_away: bool,
}

/// A pool on its way from its compiled form.
pub(super) struct Resolving<'a> {
    pub(super) id: &'a ObjectId,
    pub(super) pool: &'a config::Pool,
    pub(super) credentials: &'a Credentials,
    pub(super) lasting: &'a Lasting,
    pub(super) now: Instant,
}

impl Resolving<'_> {
    /// Resolves it. What is wrong with one provider takes that provider out, not its siblings: the compiler has
    /// reported it, so here it is logged.
    pub(super) fn pool(&self, numbers: &[ProviderIx]) -> Pool {
        let mut providers = Vec::new();
        for (from, ix) in self.pool.providers.iter().zip(numbers) {
            match self.provider(from, *ix) {
                Ok(endpoints) => providers.extend(endpoints.into_iter().map(Arc::new)),
                Err(why) => {
                    tracing::error!(pool = self.id.0, provider = from.name, why, "a provider can not be used");
                }
            }
        }
        Pool {
            state: self.lasting.registry.pool(self.id, self.now),
            strategy: self.pool.strategy,
            quality_floor_milli: self.pool.quality_floor_milli,
            affinity: self.pool.affinity.as_ref().map(affinity),
            health_check: self.pool.health_check.clone().map(Arc::new),
            max_open_percent: self.pool.circuit_breaker.max_open_percent,
            timeouts: self.pool.timeouts,
            retry: self.pool.retry.clone(),
            answers: answers(self.pool),
            smallest_window: smallest_window(self.pool),
            discovers: self.pool.providers.iter().any(|provider| provider.discovery.is_some()),
            takes_callers_keys: self.pool.providers.iter().any(|one| one.identity == Some(Identity::Passthrough)),
            providers,
        }
    }

    /// A provider once for each of its endpoints.
    fn provider(&self, from: &config::Provider, ix: ProviderIx) -> Result<Vec<Provider>, String> {
        let models = Arc::new(from.models.clone());
        let kind = profiles::of(from);
        let profile = Arc::new(profile::of(from));
        let from = &*profile::completed(from, profile.look_alike.as_ref());
        let credential = self.credential(from, from.credential.as_ref())?;
        let keys = self.keys(from)?;
        let stands_for = self.stands_for_credential(from.credential.as_ref());
        let set_headers = set_headers(from)?;
        let model_server = from.model_server.clone().map(Arc::new);
        let discovered =
            self.discovered(from, credential.as_ref().or(keys.first().map(|key| &key.credential)), &set_headers)?;
        let limits = self.rate(LimitScope::Provider { pool: &self.id.0, provider: &from.name }, &from.rate);
        let own = &self.place(from);
        let make = |place: &Spot<'_>, weight: u32, endpoint: Option<Arc<Endpoint>>| {
            let origin =
                Origin::at(self.id, place.from, place.at, &self.lasting.outward).map_err(|error| error.to_string())?;
            let address = origin.address();
            Ok(Provider {
                ix,
                endpoint: endpoint.unwrap_or_else(|| self.known(from, &address, stands_for)),
                identity: identity(&from.name, &address),
                stands_for: identity(&format!("{}\0{}", self.id.0, from.name), &address),
                limits: limits.clone(),
                gates: self.gates(from, &address),
                address: address.as_str().into(),
                offers: offers((&origin, from), kind, profile.look_alike.as_ref())?,
                kind,
                weight,
                priority: from.priority,
                is_away: place.is_away,
                model_server: model_server.clone(),
                compress_over: compress_over(from),
                drain_abandoned: from.connection.drain_abandoned.map(config::Millis::get),
                models: Arc::clone(&models),
                discovered: discovered.clone(),
                type_name: profiles::type_name(from.kind),
                defaults: Arc::clone(&profile),
                betas: from.compatibility.betas.clone(),
                credential: credential.clone(),
                keys: keys.clone(),
                set_headers: set_headers.clone(),
                pass_headers: names(&from.pass_headers),
                remove_headers: names(&from.remove_headers),
                name: from.name.clone(),
                origin,
            })
        };
        match &from.endpoints {
            None if from.regions.is_empty() => Ok(vec![make(own, self.share(from.weight, 1), None)?]),
            None => self.regional(own, profile.look_alike.as_ref(), |place, weight| make(place, weight, None)),
            // It is known and serves nothing: a place that takes no calls, and that nobody learns anything about.
            Some(none) if none.is_empty() => {
                let nobody = Arc::new(Endpoint::new(self.pool.circuit_breaker, self.now));
                Ok(vec![make(own, 0, Some(nobody))?])
            }
            Some(endpoints) => {
                let weight = self.share(from.weight, endpoints.len());
                endpoints.iter().map(|address| make(&Spot { at: Some(address), ..*own }, weight, None)).collect()
            }
        }
    }

    /// The endpoint at an address, as it is known by now.
    fn known(&self, from: &config::Provider, address: &str, stands_for: u64) -> Arc<Endpoint> {
        let key = EndpointKey { pool: self.id.clone(), provider: from.name.clone(), address: address.to_owned() };
        let endpoint = self.lasting.registry.endpoint(&key, self.pool.circuit_breaker, self.now);
        endpoint.called_with(stands_for);
        if from.endpoint_concurrency.as_ref().is_none_or(|limit| limit.min.is_none()) {
            endpoint.has_no_own_limit();
        }
        endpoint
    }

    /// A provider once for each of its regions. Its weight is shared by those that are called together: the near ones, and, where
    /// none of these can serve, the others.
    fn regional(
        &self,
        own: &Spot<'_>,
        look_alike: Option<&LookAlike>,
        make: impl Fn(&Spot<'_>, u32) -> Result<Provider, String>,
    ) -> Result<Vec<Provider>, String> {
        let further = own.from.regions.iter().map(|(region, url)| {
            let at = config::Provider { url: url.clone(), region: Some(region.clone()), ..own.from.clone() };
            profile::completed(&at, look_alike).into_owned()
        });
        let further: Vec<config::Provider> = further.collect();
        let places: Vec<Spot<'_>> = std::iter::once(*own).chain(further.iter().map(|from| self.place(from))).collect();
        let weight = |is_away| {
            let together = places.iter().filter(|place| place.is_away == is_away).count();
            self.share(own.from.weight, together)
        };
        places.iter().map(|place| make(place, weight(place.is_away))).collect()
    }

    /// The place at a provider's url. What says no region is near to all.
    fn place<'p>(&self, from: &'p config::Provider) -> Spot<'p> {
        let regions = self.lasting.region.as_deref().zip(from.region.as_deref());
        Spot { from, at: None, is_away: regions.is_some_and(|(own, of)| own != of) }
    }

    /// The rate limits of a provider, or of one of its keys.
    fn rate(&self, scope: LimitScope<'_>, from: &[config::RateLimit]) -> Option<Arc<AttemptLimits>> {
        let limits = AttemptLimits::of(self.lasting.limits.gateway(), scope, from)?;
        self.lasting.limits.put_in_use();
        Some(limits)
    }

    /// The limits on how many calls a provider, and one of its endpoints, work on at once.
    fn gates(&self, from: &config::Provider, address: &str) -> Vec<PreparedGate> {
        let (limits, pool) = (&self.lasting.limits, &self.id.0);
        let all = from.concurrency.iter().map(|limit| limits.gate(GateScope::Provider(pool, &from.name), limit));
        let each = from.endpoint_concurrency.iter();
        all.chain(each.map(|limit| limits.gate(GateScope::Endpoint(pool, &from.name, address), limit))).collect()
    }

    /// Its own list of models, where it is asked for.
    fn discovered(
        &self,
        from: &config::Provider,
        credential: Option<&Credential>,
        set_headers: &[(HeaderName, HeaderValue)],
    ) -> Result<Option<Arc<DiscoveredModels>>, String> {
        let Some(interval) = from.discovery else { return Ok(None) };
        let first = from.endpoints.iter().flatten().next().map(String::as_str);
        let origin = Origin::at(self.id, from, first, &self.lasting.outward).map_err(|error| error.to_string())?;
        let said = profiles::of(from).offers.first().map_or(&[][..], |offer| offer.headers);
        let said = said.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut headers: Vec<_> = said.chain(set_headers.iter().cloned()).collect();
        // A caller's key is the caller's: the list is asked for without one.
        if let Some(Credential::Header(name, value)) = credential {
            headers.push((name.clone(), value.clone()));
        }
        let question = DiscoveryQuestion { origin, kind: from.kind, headers, interval: interval.get() };
        Ok(Some(self.lasting.discovery.kept((&self.id.0, &from.name, &from.url), question)))
    }

    /// The share of each of a provider's endpoints in its weight, among endpoints of the whole pool.
    fn share(&self, weight: u32, endpoints: usize) -> u32 {
        let is_one = |provider: &config::Provider| provider.endpoints.is_none() && provider.regions.is_empty();
        if weight == 0 || self.pool.providers.iter().all(is_one) {
            return weight;
        }
        let shares = u64::from(weight) * SHARES / u64::try_from(endpoints.max(1)).unwrap_or(u64::MAX);
        u32::try_from(shares.max(1)).unwrap_or(u32::MAX)
    }

    /// Its several keys. One that can not be used is left out, and not the others.
    fn keys(&self, from: &config::Provider) -> Result<Vec<PreparedKey>, String> {
        let mut keys = Vec::with_capacity(from.keys.len());
        for config::ProviderKey { name, credential, rate, concurrency } in &from.keys {
            let prepared = match self.credential(from, Some(credential)) {
                Ok(prepared) => prepared,
                Err(why) => {
                    tracing::error!(pool = self.id.0, provider = from.name, key = name, why, "a key can not be used");
                    continue;
                }
            };
            let id = LiveKeyId { pool: self.id.clone(), provider: from.name.clone(), key: name.clone() };
            let (pool, provider) = (self.id.0.as_str(), from.name.as_str());
            let scope = GateScope::Key(pool, provider, name);
            let limited = LimitScope::Key { pool, provider, key: name };
            keys.extend(prepared.map(|prepared| PreparedKey {
                name: name.as_str().into(),
                credential: prepared,
                live: self.lasting.registry.key(&id, self.key_value(credential), self.now),
                limits: self.rate(limited, rate),
                gate: concurrency.as_ref().map(|limit| Arc::new(self.lasting.limits.gate(scope, limit))),
                identity: identity(&from.name, name),
            }));
        }
        if keys.is_empty() && !from.keys.is_empty() {
            return Err("none of its keys can be used".to_owned());
        }
        Ok(keys)
    }

    /// Stands for the value of a credential in this process, and says nothing of it.
    fn stands_for_credential(&self, id: Option<&CredentialId>) -> u64 {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let value = id.and_then(|id| self.credentials.get(id));
        KEY.hash_one(value.map(|value| value.expose().trim_ascii())).max(1)
    }

    /// The value of a key, as far as it has to be told from another one. Two bytes of a digest say nothing of it.
    fn key_value(&self, id: &CredentialId) -> KeyValue {
        let mut digest = blake3::Hasher::new_derive_key("sluicegate value of a key among proxies v1");
        self.credentials.get(id).iter().for_each(|value| _ = digest.update(value.expose().trim_ascii()));
        let mut tag = [0; 2];
        digest.finalize_xof().fill(&mut tag);
        KeyValue { number: self.stands_for_credential(Some(id)), tag }
    }

    /// The thing that a provider is called with, by the credential of this id.
    fn credential(&self, from: &config::Provider, id: Option<&CredentialId>) -> Result<Option<Credential>, String> {
        let value = id.map(|id| self.credentials.get(id).ok_or_else(|| format!("its credential {} is missing", id.0)));
        let secret = value.transpose()?.map(|value| value.expose().trim_ascii());
        let of = |why: String| match id {
            Some(id) => format!("its credential {}: {why}", id.0),
            None => why,
        };
        let tokens = &self.lasting.tokens;
        let kept = match (&from.identity, secret) {
            (Some(Identity::Aws { region, role: None }), Some(secret)) => {
                let keys = aws_keys(secret).ok_or_else(|| of("it holds no keys".to_owned()))?;
                return Ok(Some(Credential::Signed(Arc::new(AwsSigner::new(keys, region)))));
            }
            (Some(Identity::Aws { region, role }), secret) => tokens.amazon(secret, role.as_ref(), region),
            (Some(Identity::Gcp), secret) => tokens.google(secret),
            (Some(Identity::Azure { tenant, client }), secret) => {
                tokens.azure(secret, (tenant.as_deref(), client.as_deref()), &from.url)
            }
            (Some(Identity::OpenAi { provider, account }), _) => tokens.openai(provider, account),
            (Some(Identity::Passthrough), _) => {
                return Ok(profiles::of(from).auth.as_ref().map(Credential::OfCaller));
            }
            (None, Some(secret)) => return in_a_header(from, secret).map_err(of),
            (None, None) => return Ok(None),
        };
        kept.map(Credential::Token).map(Some).map_err(of)
    }
}

fn affinity(from: &config::Affinity) -> PreparedAffinity {
    PreparedAffinity {
        sources: from.sources.clone(),
        header: from.header.as_deref().and_then(|name| HeaderName::try_from(name).ok()),
        max_load_milli: from.max_load_milli,
    }
}

/// Requests above this size go out compressed.
fn compress_over(from: &config::Provider) -> Option<usize> {
    from.connection.compress_requests_over.map(|over| usize::try_from(over).unwrap_or(usize::MAX))
}

/// Stands for an endpoint, on every proxy alike.
fn identity(provider: &str, address: &str) -> u64 {
    let mut digest = blake3::Hasher::new();
    digest.update(provider.as_bytes()).update(&[0]).update(address.as_bytes());
    let [a, b, c, d, e, f, g, h, ..] = *digest.finalize().as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// A key in the header where the kind of provider has it.
fn in_a_header(from: &config::Provider, secret: &[u8]) -> Result<Option<Credential>, String> {
    let Some(auth) = &profiles::of(from).auth else { return Ok(None) };
    let (name, value) = auth.carrying(secret).ok_or("it holds bytes that no header can")?;
    Ok(Some(Credential::Header(name, value)))
}

/// A digest of what decides a pool's answers: where its providers are, what they serve, and what of the gateway's own goes
/// into their requests. Pods that come and go, weights and prices decide no answer.
fn answers(pool: &config::Pool) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for provider in &pool.providers {
        let config::Provider {
            name,
            kind,
            url,
            api_version,
            service,
            endpoints: _,
            model_server: _,
            credential: _,
            keys: _,
            identity: _,
            weight: _,
            priority: _,
            region: _,
            regions,
            models,
            discovery: _,
            defaults,
            connection: _,
            set_headers,
            pass_headers,
            remove_headers,
            compatibility,
            rate: _,
            concurrency: _,
            endpoint_concurrency: _,
            simulated,
        } = provider;
        let model = |(name, model): (&String, &config::Model)| {
            let config::Model {
                upstream_name,
                max_output_tokens,
                quality_milli: _,
                facts: _,
                price: _,
                price_listed: _,
            } = model;
            (name.clone(), upstream_name.clone(), *max_output_tokens)
        };
        let models: Vec<_> = models.iter().map(model).collect();
        let headers = (set_headers, pass_headers, remove_headers);
        let decisive = (name, kind, (url, api_version), service, models, defaults, headers, compatibility, simulated);
        let mut bytes = serde_json::to_vec(&decisive).unwrap_or_default();
        if !regions.is_empty() {
            bytes.extend(serde_json::to_vec(regions).unwrap_or_default());
        }
        hasher.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(&bytes);
    }
    *hasher.finalize().as_bytes()
}

/// The smallest window that a pool says of any of its models.
fn smallest_window(pool: &config::Pool) -> Option<u64> {
    let models = pool.providers.iter().flat_map(|provider| provider.models.values());
    models.filter_map(|model| model.facts.context_window).min()
}

/// The operations that a kind of provider offers, at this one.
fn offers(
    (origin, from): (&Origin, &config::Provider),
    kind: &'static KindProfile,
    look_alike: Option<&LookAlike>,
) -> Result<Vec<OfferAt>, String> {
    let is_there = |offer: &&Offer| {
        let beside = match offer.operation {
            Operation::TextCompletion => SideOperation::Completions,
            Operation::Embeddings => SideOperation::Embeddings,
            Operation::File | Operation::StoredBatch => SideOperation::Files,
            Operation::ImageGeneration => SideOperation::ImageGenerations,
            Operation::ImageEdit => SideOperation::ImageEdits,
            Operation::ImageVariation => SideOperation::ImageVariations,
            Operation::Speech => SideOperation::Speech,
            Operation::Transcription => SideOperation::Transcriptions,
            Operation::Translation => SideOperation::Translations,
            Operation::Moderation => SideOperation::Moderations,
            Operation::Rerank => SideOperation::Rerank,
            _ => return true,
        };
        look_alike.is_none_or(|row| row.has(beside))
    };
    let offer = |offer: &'static Offer| {
        let path = offer.path.replace("{version}", from.api_version.as_deref().unwrap_or_default());
        let uri = if offer.names_the_model() { Ok(None) } else { origin.uri(&path).map(Some) };
        uri.map(|uri| OfferAt { offer, path: path.into(), uri }).map_err(|error| error.to_string())
    };
    let above = origin.above_its_api(from.kind == ProviderKind::AzureOpenAi);
    let named = OfferAt { offer: &profiles::NAMED_PATH, path: above.into(), uri: None };
    kind.offers.iter().filter(is_there).map(offer).chain([Ok(named)]).collect()
}

fn names(from: &[String]) -> Vec<HeaderName> {
    from.iter().filter_map(|name| HeaderName::try_from(name).ok()).collect()
}

fn set_headers(from: &config::Provider) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let header = |(name, value): (&String, &String)| {
        let parsed = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
        parsed.ok_or_else(|| format!("header {name} can not be set"))
    };
    from.set_headers.iter().map(header).collect()
}
