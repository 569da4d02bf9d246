//! The providers of a pool.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sluicegate_crds::{self as crds, rules};

use super::address;
use super::advice;
use super::certificates;
use super::compatibility;
use super::concurrency;
use super::facts;
use super::limits;
use super::pattern::header_name;
use super::report::Report;
use super::scalar::{bytes, millis, scaled, thousandths};
use super::services;
use crate::forwarding;
use crate::identity::{AssumedRole, Identity};
use crate::{
    Connection, CredentialId, Defaults, FailureKind, HttpVersion, Millis, Model, ModelServer, ObjectId, Provider,
    ProviderKey, ProviderKind, ServicePort, Simulated, SimulatedFailure,
};

/// Headers that the connection, the codec or the credential decides: set by hand they would break the call or hide a key
/// where everyone who may read the pool can read it.
const RESERVED_HEADERS: [&str; 14] = [
    "accept-encoding",
    "api-key",
    "authorization",
    "cdn-loop",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
];

/// For how long connections are kept idle where nothing is said. Vendors were seen to close theirs after 15 seconds, model
/// servers on uvicorn after 5: a connection that is let go first never meets a call with its end.
const IDLE: Millis = Millis(10_000);
const IDLE_PODS: Millis = Millis(4_000);

/// Compiles the providers, sorted by tier and name.
pub(super) fn compile_all(specs: &[crds::Provider], namespace: &str, report: &mut Report<'_>) -> Vec<Provider> {
    report.rule("spec.providers", rules::PROVIDER_WEIGHTS, specs.iter().any(|spec| spec.weight > 0));
    let mut seen = BTreeSet::new();
    let mut providers = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        let path = format!("spec.providers[{index}]");
        if !seen.insert(spec.name.as_str()) {
            report.invalid(
                &path,
                format!("Duplicate value: {{\"name\":{:?}}}: give each provider a name of its own", spec.name),
            );
        }
        providers.push(compile(spec, namespace, &path, report));
    }
    providers.sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
    providers
}

fn compile(spec: &crds::Provider, namespace: &str, path: &str, report: &mut Report<'_>) -> Provider {
    let crds::Provider {
        name,
        kind,
        url: _,
        api_version,
        vertex_ai: _,
        service_ref,
        credentials,
        weight,
        priority,
        region,
        regions: _,
        models,
        discovery,
        defaults,
        connection,
        limits,
        model_server,
        headers,
        compatibility: _,
        simulated,
    } = spec;
    address_rules(spec, path, report);
    credential_rules(spec, path, report);
    let HeaderEdits { set: set_headers, pass: pass_headers, remove: remove_headers } =
        self::headers(headers.as_ref(), path, report);
    let (concurrency, endpoint_concurrency) = concurrency::of_provider(limits.as_ref(), path, report);
    Provider {
        name: name.clone(),
        kind: self::kind(*kind),
        url: address(spec, namespace, path, report),
        api_version: api_version.clone(),
        service: service_ref
            .as_ref()
            .map(|service| ServicePort { id: ObjectId(format!("{namespace}/{}", service.name)), port: service.port }),
        endpoints: None,
        model_server: model_server.as_ref().map(|server| self::model_server(server, path, report)),
        credential: credentials
            .as_ref()
            .and_then(|credentials| credentials.secret_ref.as_ref())
            .map(|secret| credential(secret, namespace)),
        keys: self::keys(credentials.as_ref(), namespace, path, report),
        identity: credentials.as_ref().and_then(|given| identity(given, spec, path, report)),
        weight: *weight,
        priority: *priority,
        region: region.clone(),
        regions: self::regions(spec, path, report),
        models: self::models(models, path, report),
        discovery: discovery.as_ref().map(|discovery| self::interval(discovery, (*kind, path), report)),
        defaults: self::defaults(defaults.as_ref(), path, report),
        connection: self::connection(connection, service_ref.is_some(), path, report),
        set_headers,
        pass_headers,
        remove_headers,
        compatibility: compatibility::compile(spec, path, report),
        rate: limits::of_provider(limits.as_ref(), path, report),
        concurrency,
        endpoint_concurrency,
        simulated: simulated.as_ref().map(|spec| self::simulated(spec, path, report)),
    }
}

fn model_server(spec: &crds::ModelServer, path: &str, report: &mut Report<'_>) -> ModelServer {
    let crds::ModelServer { metrics_path, interval, max_waiting, max_cache_percent } = spec;
    let path = format!("{path}.modelServer");
    let interval = report.check(&format!("{path}.interval"), millis(interval));
    report.rule(&path, rules::METRICS_INTERVAL, (Millis(500)..=Millis(60_000)).contains(&interval));
    ModelServer {
        metrics_path: metrics_path.clone(),
        interval,
        max_waiting: *max_waiting,
        max_cache_percent: *max_cache_percent,
    }
}

fn credential(crds::SecretKeyRef { name, key }: &crds::SecretKeyRef, namespace: &str) -> CredentialId {
    CredentialId(format!("{namespace}/{name}/{key}"))
}

/// Its several keys, sorted by name.
fn keys(given: Option<&crds::Credentials>, namespace: &str, path: &str, report: &mut Report<'_>) -> Vec<ProviderKey> {
    let mut keys: Vec<ProviderKey> = Vec::new();
    for (index, key) in given.iter().flat_map(|given| given.keys.iter().flatten()).enumerate() {
        let crds::ProviderKey { name, secret_ref, limits } = key;
        let path = format!("{path}.credentials.keys[{index}]");
        let credential = credential(secret_ref, namespace);
        if keys.iter().any(|other| other.name == *name) {
            report.invalid(&path, format!("Duplicate value: {{\"name\":{name:?}}}: give each key a name of its own"));
        } else if let Some(other) = keys.iter().find(|other| other.credential == credential) {
            let message = format!("it is the key {:?} again: one key has one limit, write each once", other.name);
            report.invalid(&format!("{path}.secretRef"), message);
        }
        let path = format!("{path}.limits");
        let (mut rate, mut concurrency) = (Vec::new(), None);
        if let Some(crds::ProviderKeyLimits { rate: rates, concurrency: limit }) = limits {
            report.rule(&path, rules::KEY_LIMITS_ANY, !rates.is_empty() || limit.is_some());
            rate = limits::of_attempts(rates, &path, report);
            concurrency = concurrency::compile(limit.as_ref(), &format!("{path}.concurrency"), report);
        }
        keys.push(ProviderKey { name: name.clone(), credential, rate, concurrency });
    }
    keys.sort_by(|a, b| a.name.cmp(&b.name));
    keys
}

/// True if a provider of this kind is called with a key that is of no region.
const fn takes_regions(kind: crds::ProviderType) -> bool {
    use crds::ProviderType as Type;
    matches!(kind, Type::OpenAI | Type::Anthropic | Type::Gemini | Type::Cohere | Type::OpenAICompatible)
}

/// Its addresses in further regions.
fn regions(spec: &crds::Provider, path: &str, report: &mut Report<'_>) -> BTreeMap<String, String> {
    let default = address::default_path(spec.kind);
    let mut regions = BTreeMap::new();
    for (index, crds::RegionalAddress { name, url }) in spec.regions.iter().enumerate() {
        let path = format!("{path}.regions[{index}]");
        let normalised = address::normalise(url, default).and_then(|url| address::of_kind(spec.kind, url));
        let url = report.check(&format!("{path}.url"), normalised);
        if regions.insert(name.clone(), url).is_some() || spec.region.as_ref() == Some(name) {
            report.invalid(
                &path,
                format!("Duplicate value: {{\"name\":{name:?}}}: write each region once, as region or in regions"),
            );
        }
    }
    regions
}

/// The rules on the addresses of a provider, and on what goes there.
fn address_rules(spec: &crds::Provider, path: &str, report: &mut Report<'_>) {
    let crds::Provider { kind, url, vertex_ai, service_ref, credentials, regions, connection, simulated, .. } = spec;
    let is_simulated = *kind == crds::ProviderType::Simulated;
    let is_vertex = *kind == crds::ProviderType::VertexAI;
    report.rule(path, rules::ADDRESS_MISSING, is_simulated || is_vertex || url.is_some() || service_ref.is_some());
    report.rule(path, rules::PLACE_OF_VERTEX, is_vertex == vertex_ai.is_some());
    report.rule(path, rules::ADDRESS_TWICE, url.is_none() || service_ref.is_none());
    report.rule(path, rules::ADDRESS_ON_SIMULATED, !is_simulated || (url.is_none() && service_ref.is_none()));
    report.rule(path, rules::CREDENTIALS_ON_SIMULATED, !is_simulated || credentials.is_none());
    report.rule(path, rules::SIMULATED_ON_OTHERS, is_simulated || simulated.is_none());
    let takes_regions = url.is_some() && takes_regions(*kind);
    report.rule(path, rules::REGIONS_BESIDE_URL, regions.is_empty() || takes_regions);
    let is_plain = is_simulated || *kind == crds::ProviderType::Bedrock;
    let is_alike = *kind == crds::ProviderType::OpenAICompatible;
    report.rule(path, rules::MODEL_SERVERS_OWN, is_alike || spec.model_server.is_none());
    report.rule(path, rules::COMPRESSED_UNSIGNED, !is_plain || connection.compress_requests_over.is_none());
}

/// The rules on who may be called with which version, and with which kind of credential.
fn credential_rules(spec: &crds::Provider, path: &str, report: &mut Report<'_>) {
    let is_azure = spec.kind == crds::ProviderType::AzureOpenAI;
    report.rule(path, rules::API_VERSION_OF_AZURE, is_azure || spec.api_version.is_none());
    let Some(given) = &spec.credentials else { return };
    let is_signed = given.kind == crds::CredentialType::Aws;
    report.rule(path, rules::AWS_OF_BEDROCK, !is_signed || spec.kind == crds::ProviderType::Bedrock);
    let is_token = given.kind == crds::CredentialType::Gcp;
    report.rule(path, rules::GCP_OF_VERTEX, !is_token || spec.kind == crds::ProviderType::VertexAI);
    let has_key = given.secret_ref.is_some() || given.keys.is_some();
    let is_own = is_token && !has_key;
    let is_googles = spec.service_ref.is_none() && spec.url.as_deref().is_none_or(address::is_googles);
    report.rule(path, rules::OWN_TO_GOOGLE, !is_own || is_googles);
    let shown_to = |is_of: fn(&str) -> bool| has_key || spec.url.as_deref().is_some_and(is_of);
    report.rule(path, rules::OWN_TO_AMAZON, !is_signed || shown_to(address::is_amazons));
    let is_entra = given.kind == crds::CredentialType::Azure;
    report.rule(path, rules::AZURE_OF_AZURE, !is_entra || spec.kind == crds::ProviderType::AzureOpenAI);
    report.rule(path, rules::OWN_TO_AZURE, !is_entra || shown_to(address::is_azures));
    let is_exchanged = given.kind == crds::CredentialType::OpenAI;
    report.rule(path, rules::OPENAI_OF_OPENAI, !is_exchanged || spec.kind == crds::ProviderType::OpenAI);
    let is_openais = spec.url.as_deref().is_some_and(address::is_openais);
    report.rule(path, rules::OWN_TO_OPENAI, !is_exchanged || is_openais);
}

const fn kind(kind: crds::ProviderType) -> ProviderKind {
    match kind {
        crds::ProviderType::OpenAI => ProviderKind::OpenAi,
        crds::ProviderType::Anthropic => ProviderKind::Anthropic,
        crds::ProviderType::Gemini => ProviderKind::Gemini,
        crds::ProviderType::Cohere => ProviderKind::Cohere,
        crds::ProviderType::AzureOpenAI => ProviderKind::AzureOpenAi,
        crds::ProviderType::Bedrock => ProviderKind::Bedrock,
        crds::ProviderType::VertexAI => ProviderKind::VertexAi,
        crds::ProviderType::OpenAICompatible => ProviderKind::OpenAiCompatible,
        crds::ProviderType::Simulated => ProviderKind::Simulated,
    }
}

fn address(spec: &crds::Provider, namespace: &str, path: &str, report: &mut Report<'_>) -> String {
    let default = address::default_path(spec.kind);
    let below = spec.vertex_ai.as_ref().map(address::below_vertex).unwrap_or_default();
    let origin = match (&spec.url, &spec.service_ref) {
        (Some(url), _) => {
            let normalised = address::normalise(url, default).and_then(|url| address::of_kind(spec.kind, url));
            report.check(&format!("{path}.url"), normalised)
        }
        (None, Some(service)) => {
            report.check(&format!("{path}.serviceRef"), services::url(service, namespace, default))
        }
        (None, None) => spec.vertex_ai.as_ref().map(address::of_vertex).unwrap_or_default(),
    };
    origin + &below
}

/// The kind of a credential, where it is more than a key in a header.
fn identity(given: &crds::Credentials, of: &crds::Provider, path: &str, report: &mut Report<'_>) -> Option<Identity> {
    let path = format!("{path}.credentials");
    let crds::Credentials { kind, secret_ref, keys, region, assume_role, tenant_id, client_id, .. } = given;
    let account = given.identity_provider_id.as_ref().zip(given.service_account_id.as_ref());
    let has_key = secret_ref.is_some() || keys.is_some();
    let is = |wanted: crds::CredentialType| *kind == wanted;
    let is_signed = is(crds::CredentialType::Aws);
    let has_client = tenant_id.is_some() && client_id.is_some();
    let is_azures = is(crds::CredentialType::Azure);
    report.rule(&path, rules::SECRET_OF_CREDENTIALS, !is(crds::CredentialType::Secret) || has_key);
    report.rule(&path, rules::SECRET_OF_PASSTHROUGH, !is(crds::CredentialType::Passthrough) || !has_key);
    report.rule(&path, rules::KEYS_BESIDE_SECRET, secret_ref.is_none() || keys.is_none());
    report.rule(&path, rules::REGION_OF_AWS, is_signed || region.is_none());
    report.rule(&path, rules::ROLE_OF_AWS, is_signed || assume_role.is_none());
    report.rule(&path, rules::CLIENT_OF_AZURE, is_azures || (tenant_id.is_none() && client_id.is_none()));
    report.rule(&path, rules::CLIENT_OF_SECRET, !is_azures || !has_key || has_client);
    let is_openais = is(crds::CredentialType::OpenAI);
    let has_none = given.identity_provider_id.is_none() && given.service_account_id.is_none();
    report.rule(&path, rules::ACCOUNT_OF_OPENAI, if is_openais { account.is_some() } else { has_none });
    report.rule(&path, rules::SECRET_OF_OPENAI, !is_openais || !has_key);
    // At any other type they are refused already: what they lack there helps nobody.
    match (kind, of.kind) {
        (crds::CredentialType::Gcp, crds::ProviderType::VertexAI) => Some(Identity::Gcp),
        (crds::CredentialType::Azure, crds::ProviderType::AzureOpenAI) => {
            Some(Identity::Azure { tenant: tenant_id.clone(), client: client_id.clone() })
        }
        (crds::CredentialType::OpenAI, crds::ProviderType::OpenAI) => {
            account.map(|(provider, account)| Identity::OpenAi { provider: provider.clone(), account: account.clone() })
        }
        (crds::CredentialType::Passthrough, _) => Some(Identity::Passthrough),
        (crds::CredentialType::Aws, crds::ProviderType::Bedrock) => {
            let region = region.as_deref().or_else(|| region_of(of)).unwrap_or_default().to_owned();
            if region.is_empty() {
                let message = "the url's host names no region of Amazon's: write region, such as us-east-1";
                report.invalid(&format!("{path}.region"), message);
            }
            let role = assume_role.as_ref().map(|crds::AssumeRole { arn, external_id, session_name }| AssumedRole {
                arn: arn.clone(),
                external_id: external_id.clone(),
                session_name: session_name.clone(),
            });
            Some(Identity::Aws { region, role })
        }
        _ => None,
    }
}

/// The region of Amazon's that the host of a url names.
fn region_of(provider: &crds::Provider) -> Option<&str> {
    let host = provider.url.as_deref()?.split_once("://")?.1.split(['/', ':']).next()?;
    let (service, rest) = host.split_once('.')?;
    (service.starts_with("bedrock-runtime") && rest.contains(".amazonaws.")).then_some(())?;
    rest.split('.').next()
}

fn models(specs: &[crds::Model], path: &str, report: &mut Report<'_>) -> BTreeMap<String, Model> {
    let mut models = BTreeMap::new();
    for (index, spec) in specs.iter().enumerate() {
        let crds::Model { name, upstream_name, max_output_tokens, quality, price, .. } = spec;
        let path = format!("{path}.models[{index}]");
        advice::literal(name, &format!("{path}.name"), report);
        let model = Model {
            upstream_name: upstream_name.clone(),
            max_output_tokens: max_output_tokens.map(u64::from),
            quality_milli: quality
                .as_ref()
                .map(|quality| report.check(&format!("{path}.quality"), thousandths(quality))),
            facts: facts::of_model(spec),
            price: price.as_ref().map(|price| Arc::new(super::price::compiled(price, &path, report))),
            price_listed: None,
        };
        if models.insert(name.clone(), model).is_some() {
            report.invalid(&path, format!("Duplicate value: {{\"name\":{name:?}}}: list each model once"));
        }
    }
    models
}

/// The shortest and the longest time between two questions for a list of models.
const INTERVAL: (Millis, Millis) = (Millis(10_000), Millis(86_400_000));

fn interval(spec: &crds::Discovery, (kind, path): (crds::ProviderType, &str), report: &mut Report<'_>) -> Millis {
    use crds::ProviderType as Type;
    let is_listing =
        matches!(kind, Type::OpenAI | Type::OpenAICompatible | Type::Anthropic | Type::Gemini | Type::Cohere);
    report.rule(path, rules::DISCOVERY_KINDS, is_listing);
    let path = format!("{path}.discovery");
    match millis(&spec.interval) {
        Ok(interval) => {
            report.rule(&path, rules::DISCOVERY_INTERVAL, (INTERVAL.0..=INTERVAL.1).contains(&interval));
            interval
        }
        wrong @ Err(_) => report.check(&format!("{path}.interval"), wrong),
    }
}

fn defaults(spec: Option<&crds::Defaults>, path: &str, report: &mut Report<'_>) -> Defaults {
    let Some(crds::Defaults { max_tokens, temperature }) = spec else { return Defaults::default() };
    if let Some(decimal) = temperature {
        let path = format!("{path}.defaults.temperature");
        if report.check(&path, scaled(decimal, 4)) > 20_000 {
            report.invalid(&path, format!("{:?} is above 2: write a temperature from \"0\" to \"2\"", decimal.0));
        }
    }
    Defaults { max_tokens: max_tokens.map(u64::from), temperature: temperature.as_ref().map(|t| t.0.clone()) }
}

fn connection(spec: &crds::Connection, pods: bool, path: &str, report: &mut Report<'_>) -> Connection {
    let crds::Connection { http, max_connections, max_idle, idle_timeout, tcp_keepalive, dns_ttl, tls, .. } = spec;
    let path = format!("{path}.connection");
    let max_idle = max_idle.unwrap_or(*max_connections);
    report.rule(&path, rules::IDLE_CONNECTIONS, max_idle <= *max_connections);
    let (ca_pem, server_name) = match tls {
        Some(crds::Tls { ca_certificate, server_name }) => (ca_certificate.clone(), server_name.clone()),
        None => (None, None),
    };
    if let Some(Err(message)) = ca_pem.as_deref().map(certificates::check) {
        report.invalid(&format!("{path}.tls.caCertificate"), message);
    }
    let keepalive: Millis = report.check(&format!("{path}.tcpKeepalive"), millis(tcp_keepalive));
    Connection {
        http: match http {
            crds::HttpVersion::Auto => HttpVersion::Auto,
            crds::HttpVersion::Http1 => HttpVersion::Http1,
            crds::HttpVersion::Http2 => HttpVersion::Http2,
        },
        max_connections: *max_connections,
        max_idle,
        idle_timeout: idle_timeout.as_ref().map_or(if pods { IDLE_PODS } else { IDLE }, |idle| {
            report.check(&format!("{path}.idleTimeout"), millis(idle))
        }),
        idle_said: idle_timeout.is_some(),
        tcp_keepalive: (keepalive > Millis(0)).then_some(keepalive),
        compress_requests_over: spec
            .compress_requests_over
            .as_ref()
            .map(|size| report.check(&format!("{path}.compressRequestsOver"), bytes(size))),
        drain_abandoned: spec
            .drain_abandoned
            .as_ref()
            .map(|most| report.check(&format!("{path}.drainAbandoned"), millis(most)))
            .filter(|most| *most > Millis(0)),
        dns_ttl: dns_ttl.as_ref().map(|ttl| report.check(&format!("{path}.dnsTTL"), millis(ttl))),
        ca_pem,
        server_name,
    }
}

/// Headers to set, to pass and to remove, by lower-case name.
#[derive(Default)]
pub(super) struct HeaderEdits {
    pub(super) set: BTreeMap<String, String>,
    pass: Vec<String>,
    pub(super) remove: Vec<String>,
}

fn headers(spec: Option<&crds::Headers>, path: &str, report: &mut Report<'_>) -> HeaderEdits {
    let Some(crds::Headers { set, pass, remove }) = spec else { return HeaderEdits::default() };
    header_edits((set.as_slice(), pass.as_slice(), remove.as_slice()), path, report)
}

/// Headers that are added, that go on, and that are taken out.
pub(super) fn header_edits(
    (set, pass, remove): (&[crds::Header], &[String], &[String]),
    path: &str,
    report: &mut Report<'_>,
) -> HeaderEdits {
    let mut set_headers = BTreeMap::new();
    for (index, crds::Header { name, value }) in set.iter().enumerate() {
        let path = format!("{path}.headers.set[{index}]");
        let name = editable(name, &path, report);
        if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            report.invalid(&path, "the value has characters that no header can carry: write printable ASCII");
        }
        if set_headers.insert(name.clone(), value.clone()).is_some() {
            report.invalid(&path, format!("the header {name:?} is set twice: set it once"));
        }
    }
    let mut removed = BTreeSet::new();
    for (index, name) in remove.iter().enumerate() {
        let path = format!("{path}.headers.remove[{index}]");
        let name = editable(name, &path, report);
        report.rule(&path, rules::HEADERS_ONCE, !set_headers.contains_key(&name));
        removed.insert(name);
    }
    let mut passed = BTreeSet::new();
    for (index, name) in pass.iter().enumerate() {
        let path = format!("{path}.headers.pass[{index}]");
        let name = report.check(&path, header_name(name));
        if forwarding::stays_here(&name) {
            let why = "says who the caller is, holds a key, names an account or belongs to one connection";
            report.invalid(&path, format!("the header {name:?} {why}, so it never goes on: leave it out"));
        }
        passed.insert(name);
    }
    HeaderEdits { set: set_headers, pass: passed.into_iter().collect(), remove: removed.into_iter().collect() }
}

/// The lower-case name of a header that may be changed.
fn editable(name: &str, path: &str, report: &mut Report<'_>) -> String {
    let name = report.check(path, header_name(name));
    if RESERVED_HEADERS.contains(&name.as_str()) {
        report.invalid(
            path,
            format!("the header {name:?} is the gateway's to write: leave it out, and put a key in credentials"),
        );
    }
    name
}

fn simulated(spec: &crds::Simulated, path: &str, report: &mut Report<'_>) -> Simulated {
    let crds::Simulated { first_token, token_interval, tokens, text, failure, requests_per_minute } = spec;
    let path = format!("{path}.simulated");
    Simulated {
        first_token: first_token.as_ref().map(|d| report.check(&format!("{path}.firstToken"), millis(d))),
        token_interval: token_interval.as_ref().map(|d| report.check(&format!("{path}.tokenInterval"), millis(d))),
        tokens: *tokens,
        text: text.clone(),
        failure: failure.as_ref().map(|spec| self::failure(spec, &path, report)),
        requests_per_minute: *requests_per_minute,
    }
}

fn failure(spec: &crds::Failure, path: &str, report: &mut Report<'_>) -> SimulatedFailure {
    let crds::Failure { kind, percent, status, after_tokens } = spec;
    let path = format!("{path}.failure");
    let (kind, counts_tokens) = match kind {
        crds::FailureKind::Reset => (FailureKind::Reset, false),
        crds::FailureKind::Silent => (FailureKind::Silent, false),
        crds::FailureKind::Status => (FailureKind::Status, false),
        crds::FailureKind::Cut => (FailureKind::Cut, true),
        crds::FailureKind::Stall => (FailureKind::Stall, true),
        crds::FailureKind::StreamError => (FailureKind::StreamError, true),
    };
    report.rule(&path, rules::FAILURE_STATUS, (kind == FailureKind::Status) == status.is_some());
    report.rule(&path, rules::FAILURE_AFTER_TOKENS, after_tokens.is_none() || counts_tokens);
    SimulatedFailure { kind, percent: *percent, status: *status, after_tokens: *after_tokens }
}
