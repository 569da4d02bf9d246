//! Rules across fields: each rule once, as CEL for an API server and as a message that says what to write instead.
//!
//! `config::compile` makes the same checks with the same messages where no API server stands before it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::patterns::DURATION;

/// A CEL rule and what it tells the one who breaks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CelRule {
    /// The expression; `self` is the value that it is attached to.
    pub cel: &'static str,
    /// The fault, and what to write instead.
    pub message: &'static str,
}

/// As the value of `x-kubernetes-validations`.
#[must_use]
pub fn validations(rules: &[CelRule]) -> Value {
    rules.iter().map(|rule| json!({"rule": guarded(rule.cel), "message": rule.message})).collect()
}

/// A rule that computes with durations holds while one of them is spelt wrong: that is told by the field itself, and one
/// mistake is one complaint.
fn guarded(cel: &str) -> String {
    const CALL: &str = "duration(self.";
    let calls = cel.split(CALL).skip(1).filter_map(|rest| rest.split_once(')').map(|(field, _)| field));
    let fields: BTreeSet<&str> = calls.collect();
    if fields.is_empty() {
        return cel.to_owned();
    }
    let spelt_wrong = |field: &&str| format!("(has(self.{field}) && !self.{field}.matches(r\"{DURATION}\"))");
    let guards: Vec<String> = fields.iter().map(spelt_wrong).collect();
    format!("{} || ({cel})", guards.join(" || "))
}

/// The source and the name of the header go together.
pub const AFFINITY_HEADER: CelRule = CelRule {
    cel: "has(self.header) == (has(self.sources) && self.sources.exists(source, source == 'Header'))",
    message: "header goes with the source Header: write Header among sources and the name of the header in header, or neither",
};
/// Only the strategy that looks at costs has to be kept from the cheap and bad.
pub const QUALITY_FLOOR: CelRule = CelRule {
    cel: "!has(self.qualityFloor) || (has(self.strategy) && self.strategy == 'CostOptimized')",
    message: "qualityFloor goes with the strategy CostOptimized, the one that looks at costs: write that strategy, or remove qualityFloor",
};
/// Changes change something.
pub const REQUEST_EMPTY: CelRule = CelRule {
    cel: "has(self.defaults) || has(self.overrides) || has(self.remove) || has(self.maxTokensCap) || has(self.prepend) || has(self.append) || has(self.headers)",
    message: "request is empty: write defaults, overrides, remove, maxTokensCap, prepend, append or headers, or remove request",
};
/// A condition on how much a call asks for says something.
pub const COMPLEXITY_EMPTY: CelRule = CelRule {
    cel: "has(self.maxInputTokens) || has(self.maxMessages) || has(self.tools) || has(self.images) || has(self.stream) || has(self.thinking)",
    message: "complexity is empty: write maxInputTokens, maxMessages, tools, images, stream or thinking, or remove complexity",
};
/// Nobody is asked all the time.
pub const CHECK_INTERVAL: CelRule = CelRule {
    cel: "!has(self.interval) || duration(self.interval) >= duration('1s')",
    message: "healthCheck.interval must be at least 1s: write a time such as 10s",
};
/// No server is asked all the time.
pub const METRICS_INTERVAL: CelRule = CelRule {
    cel: "!has(self.interval) || (duration(self.interval) >= duration('500ms') && duration(self.interval) <= duration('1m'))",
    message: "modelServer.interval must be from 500ms to 1m: write a time such as 1s",
};
/// Vendors tell nobody how busy they are.
pub const MODEL_SERVERS_OWN: CelRule = CelRule {
    cel: "!has(self.modelServer) || self.type == 'OpenAICompatible'",
    message: "modelServer is for model servers such as vLLM: write type OpenAICompatible, or remove modelServer",
};
/// An answer comes before the next question.
pub const CHECK_TIMEOUT: CelRule = CelRule {
    cel: "!has(self.timeout) || !has(self.interval) || (duration(self.timeout) > duration('0s') && duration(self.timeout) <= duration(self.interval))",
    message: "healthCheck.timeout must be more than 0s and no longer than interval: lower timeout or raise interval",
};
/// A second attempt is not made at once.
pub const HEDGE_POSITIVE: CelRule = CelRule {
    cel: "!has(self.after) || duration(self.after) > duration('0s')",
    message: "hedge.after must be more than 0s: write a time such as 800ms, or leave it out for what 95 of 100 calls wait at most",
};
/// Providers but simulated ones have an address.
pub const ADDRESS_MISSING: CelRule = CelRule {
    cel: "self.type in ['Simulated', 'VertexAI'] || has(self.url) || has(self.serviceRef)",
    message: "url or serviceRef is required: write url, the provider's address such as https://api.openai.com, or serviceRef, a Service in the pool's namespace (only the types Simulated and VertexAI do without)",
};
/// Providers have one address.
pub const ADDRESS_TWICE: CelRule = CelRule {
    cel: "!(has(self.url) && has(self.serviceRef))",
    message: "url and serviceRef are both there: keep url for an address, or serviceRef for the pods of a Service, and remove the other",
};
/// Several regions share one key, which is nobody's of a region.
pub const REGIONS_BESIDE_URL: CelRule = CelRule {
    cel: "!has(self.regions) || size(self.regions) == 0 || (has(self.url) && self.type in ['OpenAI', 'Anthropic', 'Gemini', 'Cohere', 'OpenAICompatible'])",
    message: "regions stand beside url, for the types OpenAI, Anthropic, Gemini, Cohere and OpenAICompatible: elsewhere write one provider for each region, with region",
};
/// Amazon's and the simulated ones read no compressed requests.
pub const COMPRESSED_UNSIGNED: CelRule = CelRule {
    cel: "!(self.type in ['Bedrock', 'Simulated']) || !has(self.connection) || !has(self.connection.compressRequestsOver)",
    message: "providers of the types Bedrock and Simulated read no compressed requests: remove compressRequestsOver",
};
/// Simulated ones have none.
pub const ADDRESS_ON_SIMULATED: CelRule = CelRule {
    cel: "self.type != 'Simulated' || !(has(self.url) || has(self.serviceRef))",
    message: "a Simulated provider has no url and no serviceRef: remove it, or set type to OpenAI, Anthropic, Gemini, Cohere, AzureOpenAI, Bedrock, VertexAI or OpenAICompatible",
};
/// Simulated ones need no key.
pub const CREDENTIALS_ON_SIMULATED: CelRule = CelRule {
    cel: "self.type != 'Simulated' || !has(self.credentials)",
    message: "a Simulated provider takes no credentials: remove credentials",
};
/// Only simulated ones can be told how to behave.
pub const SIMULATED_ON_OTHERS: CelRule = CelRule {
    cel: "self.type == 'Simulated' || !has(self.simulated)",
    message: "simulated is only for type Simulated: remove simulated, or set type to Simulated",
};
/// Only look-alikes differ in the forms of their messages.
pub const FORMS_OF_LOOK_ALIKES: CelRule = CelRule {
    cel: "self.type == 'OpenAICompatible' || !has(self.compatibility) || !(has(self.compatibility.profile) || has(self.compatibility.content) || has(self.compatibility.systemMessages) || has(self.compatibility.reasoningContent))",
    message: "compatibility.profile, content, systemMessages and reasoningContent are only for type OpenAICompatible: remove them, or set type to OpenAICompatible",
};
/// Only Anthropic's dialect has betas.
pub const BETAS_OF_ANTHROPIC: CelRule = CelRule {
    cel: "self.type in ['Anthropic', 'Bedrock', 'VertexAI'] || !has(self.compatibility) || !has(self.compatibility.betas) || size(self.compatibility.betas) == 0",
    message: "compatibility.betas is only for the types Anthropic, Bedrock and VertexAI: remove it, or set type to one of them",
};
/// Only Azure's API has versions to choose from.
pub const API_VERSION_OF_AZURE: CelRule = CelRule {
    cel: "self.type == 'AzureOpenAI' || !has(self.apiVersion)",
    message: "apiVersion is only for type AzureOpenAI: remove it, or set type to AzureOpenAI",
};
/// Only Bedrock's requests are signed.
pub const AWS_OF_BEDROCK: CelRule = CelRule {
    cel: "self.type == 'Bedrock' || !has(self.credentials) || !has(self.credentials.type) || self.credentials.type != 'AWS'",
    message: "credentials of type AWS are only for type Bedrock: remove credentials.type, or set the provider's type to Bedrock",
};
/// A call to Vertex AI names a project and a location.
pub const PLACE_OF_VERTEX: CelRule = CelRule {
    cel: "(self.type == 'VertexAI') == has(self.vertexAI)",
    message: "vertexAI goes with type VertexAI and with no other: write vertexAI with project and location, or remove it",
};
/// Only Vertex AI takes Google's tokens.
pub const GCP_OF_VERTEX: CelRule = CelRule {
    cel: "self.type == 'VertexAI' || !has(self.credentials) || !has(self.credentials.type) || self.credentials.type != 'GCP'",
    message: "credentials of type GCP are only for type VertexAI: remove credentials.type, or set the provider's type to VertexAI",
};
/// The gateway's own identity is shown to Google, and to nobody that a pool names. This machine's own addresses can ask for it themselves.
pub const OWN_TO_GOOGLE: CelRule = CelRule {
    cel: "!has(self.credentials) || has(self.credentials.secretRef) || has(self.credentials.keys) || !has(self.credentials.type) || self.credentials.type != 'GCP' || (!has(self.serviceRef) && (!has(self.url) || self.url.matches('^(https://[-a-z0-9.]+[.]googleapis[.]com|http://127[.]0[.]0[.]1)(:[0-9]+)?(/.*)?$')))",
    message: "the gateway's own identity is shown to Google alone: leave url and serviceRef out, write a url of https://….googleapis.com, or name a service account's key in secretRef",
};
/// A credential is in a Secret, but for the gateway's own identity and the caller's key.
pub const SECRET_OF_CREDENTIALS: CelRule = CelRule {
    cel: "has(self.secretRef) || has(self.keys) || (has(self.type) && self.type != 'Secret')",
    message: "secretRef is required: write the name of a Secret (only the types AWS, GCP, Azure and OpenAI do without, for the gateway's own identity, and Passthrough)",
};
/// A caller's key is in no Secret.
pub const SECRET_OF_PASSTHROUGH: CelRule = CelRule {
    cel: "!has(self.type) || self.type != 'Passthrough' || !(has(self.secretRef) || has(self.keys))",
    message: "secretRef and keys do not go with type Passthrough, which sends the caller's own key: remove one of the two",
};
/// One key or several.
pub const KEYS_BESIDE_SECRET: CelRule = CelRule {
    cel: "!has(self.secretRef) || !has(self.keys)",
    message: "secretRef and keys are both there: write secretRef for one key, or keys for several",
};
/// Requests that Amazon's keys do not sign need no place in its network.
pub const OWN_TO_AMAZON: CelRule = CelRule {
    cel: "!has(self.credentials) || has(self.credentials.secretRef) || has(self.credentials.keys) || !has(self.credentials.type) || self.credentials.type != 'AWS' || (has(self.url) && self.url.matches('^(https://([-a-z0-9]+[.])?bedrock-runtime(-fips)?[.][-a-z0-9.]+[.]amazonaws[.]com([.]cn)?|http://127[.]0[.]0[.]1)(:[0-9]+)?(/.*)?$'))",
    message: "the gateway's own identity is shown to Amazon alone: write a url of https://bedrock-runtime.….amazonaws.com, or name keys in secretRef",
};
/// Only Azure takes Entra ID's tokens.
pub const AZURE_OF_AZURE: CelRule = CelRule {
    cel: "self.type == 'AzureOpenAI' || !has(self.credentials) || !has(self.credentials.type) || self.credentials.type != 'Azure'",
    message: "credentials of type Azure are only for type AzureOpenAI: remove credentials.type, or set the provider's type to AzureOpenAI",
};
/// The gateway's own identity is shown to Azure, and to nobody that a pool names.
pub const OWN_TO_AZURE: CelRule = CelRule {
    cel: "!has(self.credentials) || has(self.credentials.secretRef) || has(self.credentials.keys) || !has(self.credentials.type) || self.credentials.type != 'Azure' || (has(self.url) && self.url.matches('^(https://[-a-z0-9]+[.](openai|cognitiveservices|services[.]ai)[.]azure[.](com|us|cn)|http://127[.]0[.]0[.]1)(:[0-9]+)?(/.*)?$'))",
    message: "the gateway's own identity is shown to Azure alone: write a url of https://….openai.azure.com, or name a client's secret in secretRef",
};
/// Only OpenAI takes tokens of its own.
pub const OPENAI_OF_OPENAI: CelRule = CelRule {
    cel: "self.type == 'OpenAI' || !has(self.credentials) || !has(self.credentials.type) || self.credentials.type != 'OpenAI'",
    message: "credentials of type OpenAI are only for type OpenAI: remove credentials.type, or set the provider's type to OpenAI",
};
/// A token that the gateway's own identity was exchanged for is shown to OpenAI, and to nobody that a pool names.
pub const OWN_TO_OPENAI: CelRule = CelRule {
    cel: "!has(self.credentials) || !has(self.credentials.type) || self.credentials.type != 'OpenAI' || (has(self.url) && self.url.matches('^(https://([-a-z0-9]+[.])?api[.]openai[.]com|http://127[.]0[.]0[.]1)(:[0-9]+)?(/.*)?$'))",
    message: "the gateway's own identity is shown to OpenAI alone: write a url of https://api.openai.com, or name a key in secretRef",
};
/// An exchange is by a provider of identities and for a service account.
pub const ACCOUNT_OF_OPENAI: CelRule = CelRule {
    cel: "(has(self.type) && self.type == 'OpenAI') ? (has(self.identityProviderID) && has(self.serviceAccountID)) : (!has(self.identityProviderID) && !has(self.serviceAccountID))",
    message: "identityProviderID and serviceAccountID go with type OpenAI, both of them, and with no other: write both, or remove them",
};
/// A token that is exchanged is in no Secret.
pub const SECRET_OF_OPENAI: CelRule = CelRule {
    cel: "!has(self.type) || self.type != 'OpenAI' || !(has(self.secretRef) || has(self.keys))",
    message: "secretRef and keys do not go with type OpenAI, which exchanges the gateway's own token: remove one of the two (a key of OpenAI's goes without a type)",
};
/// Only some kinds of providers have a list of what can be called there.
pub const DISCOVERY_KINDS: CelRule = CelRule {
    cel: "!has(self.discovery) || self.type in ['OpenAI', 'OpenAICompatible', 'Anthropic', 'Gemini', 'Cohere']",
    message: "discovery is only for the types OpenAI, OpenAICompatible, Anthropic, Gemini and Cohere, whose lists say what can be called: write models instead",
};
/// A list of models is asked for neither all the time nor never.
pub const DISCOVERY_INTERVAL: CelRule = CelRule {
    cel: "!has(self.interval) || (duration(self.interval) >= duration('10s') && duration(self.interval) <= duration('24h'))",
    message: "interval must be from 10s to 24h: write a time such as 5m",
};
/// Only Amazon's roles are taken on.
pub const ROLE_OF_AWS: CelRule = CelRule {
    cel: "!has(self.assumeRole) || (has(self.type) && self.type == 'AWS')",
    message: "assumeRole goes with type AWS: remove it, or write type: AWS",
};
/// Only Azure has tenants and clients.
pub const CLIENT_OF_AZURE: CelRule = CelRule {
    cel: "(!has(self.tenantID) && !has(self.clientID)) || (has(self.type) && self.type == 'Azure')",
    message: "tenantID and clientID go with type Azure: remove them, or write type: Azure",
};
/// A client's secret is nothing without the client.
pub const CLIENT_OF_SECRET: CelRule = CelRule {
    cel: "!has(self.type) || self.type != 'Azure' || !(has(self.secretRef) || has(self.keys)) || (has(self.tenantID) && has(self.clientID))",
    message: "a client's secret needs its client: write tenantID and clientID beside secretRef",
};
/// Only signatures are made for a region.
pub const REGION_OF_AWS: CelRule = CelRule {
    cel: "!has(self.region) || (has(self.type) && self.type == 'AWS')",
    message: "region goes with type AWS and with no other: write type: AWS, or remove region",
};
/// A new name goes with a renaming.
pub const FIELD_TO: CelRule = CelRule {
    cel: "(self.action == 'Rename') == has(self.to)",
    message: "to goes with the action Rename and with no other: write the provider's name of the field as to, or remove to",
};
/// Fields that every call needs stay.
pub const FIELD_RESERVED: CelRule = CelRule {
    cel: "!(self.name in ['model', 'messages', 'stream']) && !(has(self.to) && self.to in ['model', 'messages', 'stream'])",
    message: "model, messages and stream are the gateway's to write: leave this rule out (a model's other name belongs in models[].upstreamName)",
};
/// Some provider takes calls.
pub const PROVIDER_WEIGHTS: CelRule = CelRule {
    cel: "self.exists(p, !has(p.weight) || p.weight > 0)",
    message: "every weight is 0, so no provider would take a call: give at least one a weight above 0",
};
/// Namespaces are selected where they are said to be.
pub const SELECTOR_WITH_FROM: CelRule = CelRule {
    cel: "(self.from == 'Selector') == has(self.selector)",
    message: "selector goes with from: Selector and with no other: write from: Selector and a selector such as matchLabels: {team: a}, or remove selector",
};
/// A requirement on a label says what its operator needs.
pub const SELECTOR_VALUES: CelRule = CelRule {
    cel: "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
    message: "values go with the operators In and NotIn and with no other: write at least one value for these, or remove values",
};
/// No timeout of a pool is zero.
pub const TIMEOUTS_POSITIVE: CelRule = CelRule {
    cel: "duration(self.connect) > duration('0s') && duration(self.firstToken) > duration('0s') && duration(self.idle) > duration('0s') && (!has(self.total) || duration(self.total) > duration('0s'))",
    message: "a timeout of 0 would fail every call: write a time above 0, or leave the field out for its default",
};
/// The first token comes within the whole.
pub const FIRST_TOKEN_WITHIN_TOTAL: CelRule = CelRule {
    cel: "duration(self.firstToken) <= (has(self.total) ? duration(self.total) : duration('600s'))",
    message: "firstToken must not exceed total: lower firstToken or raise total",
};
/// A connection comes within the whole.
pub const CONNECT_WITHIN_TOTAL: CelRule = CelRule {
    cel: "duration(self.connect) <= (has(self.total) ? duration(self.total) : duration('600s'))",
    message: "connect must not exceed total: lower connect or raise total",
};
/// The first wait is not above the longest.
pub const BACKOFF_ORDER: CelRule = CelRule {
    cel: "duration(self.initial) <= duration(self.max)",
    message: "initial must not exceed max: lower initial or raise max",
};
/// A circuit's first open time is not above the longest.
pub const OPEN_ORDER: CelRule = CelRule {
    cel: "duration(self.openFor) <= duration(self.maxOpenFor)",
    message: "openFor must not exceed maxOpenFor: lower openFor or raise maxOpenFor",
};
/// Failures are counted over some time, and a circuit opens for some time.
pub const BREAKER_POSITIVE: CelRule = CelRule {
    cel: "duration(self.window) > duration('0s') && duration(self.openFor) > duration('0s')",
    message: "window and openFor must be above 0: write times such as 30s and 10s",
};
/// The connections kept idle are part of those that may be open.
pub const IDLE_CONNECTIONS: CelRule = CelRule {
    cel: "!has(self.maxIdle) || self.maxIdle <= (has(self.maxConnections) ? self.maxConnections : 1024)",
    message: "maxIdle must not exceed maxConnections: lower maxIdle or raise maxConnections",
};
/// A header is set once, whatever its case.
pub const HEADERS_ONCE: CelRule = CelRule {
    cel: "!has(self.set) || !has(self.remove) || self.set.all(h, !(h.name in self.remove))",
    message: "a header is both in set and in remove: keep it in one of them",
};
/// A status is for failures that have one.
pub const FAILURE_STATUS: CelRule = CelRule {
    cel: "(self.kind == 'Status') == has(self.status)",
    message: "status goes with kind Status and with no other: write kind Status and a status such as 503, or remove status",
};
/// Tokens come first only in answers that have begun.
pub const FAILURE_AFTER_TOKENS: CelRule = CelRule {
    cel: "!has(self.afterTokens) || self.kind in ['Cut', 'Stall', 'StreamError']",
    message: "afterTokens is only for the kinds Cut, Stall and StreamError: remove it, or choose one of them",
};
/// A model is matched in one way.
pub const MODEL_ONE_OF: CelRule = CelRule {
    cel: "[has(self.exact), has(self.prefix), has(self.regex)].exists_one(given, given)",
    message: "write exactly one of exact, prefix and regex",
};
/// A header is matched in one way.
pub const HEADER_ONE_OF: CelRule = CelRule {
    cel: "[has(self.exact), has(self.regex), has(self.present)].exists_one(given, given)",
    message: "write exactly one of exact, regex and present: true",
};
/// A match says something.
pub const MATCH_EMPTY: CelRule = CelRule {
    cel: "has(self.model) || has(self.headers) || has(self.consumers) || has(self.complexity) || has(self.path)",
    message: "an empty match says nothing: write model, headers, consumers, complexity or path, or leave matches out to match every call",
};
/// A path is matched in one way.
pub const PATH_ONE_OF: CelRule =
    CelRule { cel: "has(self.exact) != has(self.prefix)", message: "write exactly one of exact and prefix of a path" };
/// Of a call that passes unread nothing is known but its head.
pub const PATH_BESIDE_MODEL: CelRule = CelRule {
    cel: "!has(self.path) || !(has(self.model) || has(self.complexity))",
    message: "path stands beside headers and consumers alone: a call that passes unread is asked for no model, so remove model and complexity, or write them in a match of their own",
};
/// A list of matches has one.
pub const MATCHES_EMPTY: CelRule = CelRule {
    cel: "size(self) > 0",
    message: "an empty list of matches could be read as every call and as none: leave matches out to take every call, or write at least one match",
};
/// A list of headers has one.
pub const HEADERS_EMPTY: CelRule = CelRule {
    cel: "size(self) > 0",
    message: "an empty list of headers says nothing: leave headers out, or write at least one header",
};
/// Rules are told apart by name.
pub const RULE_NAMES: CelRule = CelRule {
    cel: "self.all(a, self.exists_one(b, b.name == a.name))",
    message: "two rules have the same name: give each rule of a route a name of its own",
};
/// Some target takes calls.
pub const TARGET_WEIGHTS: CelRule = CelRule {
    cel: "self.exists(t, !has(t.weight) || t.weight > 0)",
    message: "every weight is 0, so no target would take a call: give at least one a weight above 0",
};
/// The first token comes within the whole, where both are said.
pub const ROUTE_FIRST_TOKEN_WITHIN_TOTAL: CelRule = CelRule {
    cel: "!has(self.firstToken) || !has(self.total) || duration(self.firstToken) <= duration(self.total)",
    message: "firstToken must not exceed total: lower firstToken or raise total",
};
/// No timeout of a route is zero.
pub const ROUTE_TIMEOUTS_POSITIVE: CelRule = CelRule {
    cel: "(!has(self.firstToken) || duration(self.firstToken) > duration('0s')) && (!has(self.idle) || duration(self.idle) > duration('0s')) && (!has(self.total) || duration(self.total) > duration('0s'))",
    message: "a timeout of 0 would fail every call: write a time above 0, or leave the field out for the pool's",
};
/// A selector of consumers selects some.
pub const CONSUMERS_EMPTY: CelRule = CelRule {
    cel: "(has(self.namespaces) && size(self.namespaces) > 0) || (has(self.names) && size(self.names) > 0) || (has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
    message: "an empty selector says nothing: write names, matchLabels, matchExpressions or namespaces",
};
/// Consumers are selected where they are said to be.
pub const ACCESS_SELECTOR: CelRule = CelRule {
    cel: "(self.from == 'Selector') == has(self.selector)",
    message: "selector goes with from: Selector and with no other: write from: Selector and a selector such as matchLabels: {team: a}, or remove selector",
};
/// A header is named where values of one are told apart.
pub const LIMIT_HEADER: CelRule = CelRule {
    cel: "(self.per == 'Header') == has(self.header)",
    message: "header goes with per: Header and with no other: write per: Header and the header's name such as x-team, or remove header",
};
/// A window is long enough to be measured, and short enough to be remembered.
pub const LIMIT_WINDOW: CelRule = CelRule {
    cel: "!has(self.window) || (duration(self.window) >= duration('1s') && duration(self.window) <= duration('24h'))",
    message: "window must be from 1s to 24h: write a time such as 1m",
};
/// A queue is for those that wait.
pub const LIMIT_QUEUE: CelRule = CelRule {
    cel: "!has(self.queue) || (has(self.onExceeded) && self.onExceeded == 'Queue')",
    message: "queue goes with onExceeded: Queue: write that beside it, or remove queue",
};
/// Calls and tokens are whole.
pub const LIMIT_WHOLE: CelRule = CelRule {
    cel: "self.unit == 'Cost' || (double(self.amount) >= 1.0 && double(self.amount) <= 1000000000000.0 && double(self.amount) == double(int(double(self.amount))))",
    message: "a limit of Requests or tokens is a whole number of them, from 1 to 1000000000000: write one such as amount: 100000, or write unit: Cost",
};
/// Billionths of a dollar are counted in 53 bits.
pub const LIMIT_COST: CelRule = CelRule {
    cel: "self.unit != 'Cost' || (double(self.amount) > 0.0 && double(self.amount) <= 1000000.0)",
    message: "a limit of Cost is more than 0 and at most 1000000 dollars: write dollars such as amount: \"2.50\"",
};
/// Prices are for money.
pub const LIMIT_PRICE: CelRule = CelRule {
    cel: "!has(self.unknownPrice) || self.unit == 'Cost'",
    message: "unknownPrice goes with unit: Cost and with no other: remove it, or write unit: Cost",
};
/// Limits that limit nothing are a mistake.
pub const LIMITS_ANY: CelRule = CelRule {
    cel: "has(self.rate) || has(self.budgets) || has(self.concurrency)",
    message: "limits are empty: write rate, budgets or concurrency, or remove limits",
};
/// Limits of a provider that limit nothing are a mistake.
pub const PROVIDER_LIMITS_ANY: CelRule = CelRule {
    cel: "has(self.rate) || has(self.concurrency) || has(self.endpointConcurrency) || has(self.adaptive)",
    message: "limits are empty: write rate, concurrency, endpointConcurrency or adaptive, or remove limits",
};
/// Limits of a key that limit nothing are a mistake.
pub const KEY_LIMITS_ANY: CelRule = CelRule {
    cel: "has(self.rate) || has(self.concurrency)",
    message: "limits are empty: write rate or concurrency, or remove limits",
};
/// Two limits of a provider, or of a key, do not count the same.
pub const PROVIDER_LIMITS_ONCE: CelRule = CelRule {
    cel: "self.all(a, self.exists_one(b, b.unit == a.unit && (has(b.window) ? b.window : '1m') == (has(a.window) ? a.window : '1m')))",
    message: "two limits count in the same unit and window: keep the one with the smaller amount",
};
/// An endpoint has one limit.
pub const ADAPTIVE_ALONE: CelRule = CelRule {
    cel: "!(has(self.adaptive) && has(self.endpointConcurrency))",
    message: "adaptive and endpointConcurrency are both there: keep one of them; adaptive.max holds in any case",
};
/// A limit that finds itself has room to.
pub const ADAPTIVE_BOUNDS: CelRule =
    CelRule { cel: "self.min <= self.max", message: "min must not be above max: lower min or raise max" };
/// Calls wait a while, and not for ever.
pub const QUEUE_TIMEOUT: CelRule = CelRule {
    cel: "!has(self.timeout) || (duration(self.timeout) >= duration('100ms') && duration(self.timeout) <= duration('10m'))",
    message: "timeout must be from 100ms to 10m: write a time such as 10s",
};
/// Calls come of age before they are refused.
pub const QUEUE_AGEING: CelRule = CelRule {
    cel: "!has(self.ageing) || (duration(self.ageing) > duration('0s') && duration(self.ageing) <= (has(self.timeout) ? duration(self.timeout) : duration('10s')))",
    message: "ageing must be above 0 and not above timeout (10s where it is left out): lower ageing or raise timeout",
};
/// Tokens are whole.
pub const BUDGET_TOKENS: CelRule = CelRule {
    cel: "!has(self.unit) || self.unit != 'Tokens' || !self.amount.matches('^(0|[0-9]+[.][0-9]+)$')",
    message: "a budget of Tokens is a whole number of them: write one such as amount: \"1000000\"",
};
/// Picodollars are counted in 63 bits.
pub const BUDGET_DOLLARS: CelRule = CelRule {
    cel: "(has(self.unit) && self.unit == 'Tokens') || !self.amount.matches('^(0([.]0+)?|(9[0-9]{6}|[1-9][0-9]{7,})([.][0-9]+)?)$')",
    message: "a budget of USD is more than 0 and less than 9000000: write dollars such as amount: \"12.50\"",
};
/// Totals have no calendar: they never begin anew.
pub const BUDGET_ZONE: CelRule = CelRule {
    cel: "!has(self.timeZone) || self.period != 'Total'",
    message: "a Total never begins anew, so that no calendar counts: remove timeZone, or write another period",
};
/// Two budgets do not count the same. What is not there is the default: nothing is filled in within a list.
pub const BUDGETS_ONCE: CelRule = CelRule {
    cel: "self.all(a, self.exists_one(b, b.period == a.period && (has(b.unit) ? b.unit : 'USD') == (has(a.unit) ? a.unit : 'USD') && (has(b.timeZone) ? b.timeZone : 'UTC') == (has(a.timeZone) ? a.timeZone : 'UTC') && (has(b.mode) ? b.mode : 'Enforce') == (has(a.mode) ? a.mode : 'Enforce') && has(b.per) == has(a.per)))",
    message: "two budgets count the same in the same unit and period: keep the one with the smaller amount",
};
/// Two limits do not count the same. A window that is not there is the default: nothing is filled in within a list.
pub const LIMITS_ONCE: CelRule = CelRule {
    cel: "self.all(a, self.exists_one(b, b.per == a.per && b.unit == a.unit && (has(b.window) ? b.window : '1m') == (has(a.window) ? a.window : '1m') && (has(b.header) ? b.header : '') == (has(a.header) ? a.header : '')))",
    message: "two limits count the same calls in the same unit and window: keep the one with the smaller amount",
};
/// A key comes from one place.
pub const KEY_ONE_OF: CelRule = CelRule {
    cel: "has(self.secretRef) != has(self.generate)",
    message: "write exactly one of secretRef and generate: secretRef for a key that is in a Secret, generate for one that the operator makes",
};
/// Each generated key has a Secret of its own.
pub const GENERATED_ONCE: CelRule = CelRule {
    cel: "self.all(a, !has(a.generate) || self.exists_one(b, has(b.generate) && b.generate.secretName == a.generate.secretName))",
    message: "two keys are generated into one Secret: give each a secretName of its own",
};
/// Keys overlap where they follow each other.
pub const OVERLAP_OF_ROTATION: CelRule = CelRule {
    cel: "!has(self.overlap) || has(self.rotateEvery)",
    message: "overlap goes with rotateEvery: write rotateEvery, such as 720h, or remove overlap",
};
/// A rotation leaves time to follow it, and comes.
pub const ROTATION_BOUNDS: CelRule = CelRule {
    cel: "!has(self.rotateEvery) || (duration(self.rotateEvery) >= duration('10s') && duration(self.rotateEvery) <= duration('87600h'))",
    message: "rotateEvery must be from 10s to 87600h: write a time such as 720h",
};
/// Of three keys the first is over.
pub const OVERLAP_WITHIN_ROTATION: CelRule = CelRule {
    cel: "!has(self.overlap) || !has(self.rotateEvery) || duration(self.overlap) < duration(self.rotateEvery)",
    message: "overlap must be shorter than rotateEvery: lower overlap or raise rotateEvery",
};
/// A consumer is known by something.
pub const CONSUMER_KNOWN: CelRule = CelRule {
    cel: "(has(self.keys) && size(self.keys) > 0) || has(self.jwt) || has(self.members)",
    message: "nobody is known without a key or a token: write at least one of keys, or jwt; or members, for a group of others",
};
/// A group counts what others spend, and no more.
pub const CONSUMER_GROUP: CelRule = CelRule {
    cel: "!has(self.members) || ((!has(self.keys) || size(self.keys) == 0) && !has(self.jwt) && !has(self.models) && !has(self.priority) && !(has(self.disabled) && self.disabled) && has(self.limits) && has(self.limits.budgets) && self.limits.budgets.all(b, !has(b.per)) && !has(self.limits.concurrency) && (!has(self.limits.rate) || size(self.limits.rate) == 0))",
    message: "a group (members) calls nothing itself: write limits.budgets of all its members together beside members, and nothing else",
};
/// An issuer's keys are somewhere.
pub const JWT_DISCOVERY: CelRule = CelRule {
    cel: "has(self.jwksUrl) || has(self.jwks) || self.issuer.startsWith('https://') || self.issuer.startsWith('http://')",
    message: "the issuer is no address at which its keys could be found: write jwksUrl, the address of its keys",
};
/// Keys come from one place.
pub const JWT_KEYS_ONCE: CelRule = CelRule {
    cel: "!(has(self.jwks) && has(self.jwksUrl))",
    message: "jwks and jwksUrl are both there: write the keys, or the address at which they are found",
};
/// An authority is trusted where something is fetched.
pub const JWT_CERTIFICATE: CelRule = CelRule {
    cel: "!(has(self.jwks) && has(self.caCertificate))",
    message: "caCertificate is for keys that are fetched, and jwks are the keys themselves: remove one of the two",
};
/// The labels that calls are told with say something.
pub const CHARGEBACK_LABELS: CelRule = CelRule {
    cel: "!has(self.chargeback) || self.chargeback.labels.all(name, has(self.labels) && name in self.labels)",
    message: "chargeback names a label that is not among labels: write it in labels, or remove it",
};
/// Clocks differ by little.
pub const JWT_SKEW: CelRule = CelRule {
    cel: "!has(self.clockSkew) || duration(self.clockSkew) <= duration('5m')",
    message: "clockSkew must be up to 5m: write a time such as 60s",
};
