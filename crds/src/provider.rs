//! One provider of a pool: what it speaks, where it is, what it serves and how it is reached.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::compatibility::Compatibility;
use crate::model::{Discovery, Modality, ModelCapability};
use crate::model_server::ModelServer;
use crate::patterns;
use crate::price::Price;
use crate::provider_limits::{ProviderKeyLimits, ProviderLimits};
use crate::rules::{self, validations};
use crate::scalar::{ByteSize, Decimal, Duration};
use crate::simulated::Simulated;

/// One provider: an address that answers calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[
    rules::ADDRESS_MISSING, rules::ADDRESS_TWICE, rules::ADDRESS_ON_SIMULATED, rules::CREDENTIALS_ON_SIMULATED,
    rules::SIMULATED_ON_OTHERS, rules::FORMS_OF_LOOK_ALIKES, rules::BETAS_OF_ANTHROPIC, rules::API_VERSION_OF_AZURE,
    rules::AWS_OF_BEDROCK, rules::PLACE_OF_VERTEX, rules::GCP_OF_VERTEX, rules::OWN_TO_GOOGLE,
    rules::OWN_TO_AMAZON, rules::AZURE_OF_AZURE, rules::OWN_TO_AZURE, rules::OPENAI_OF_OPENAI, rules::OWN_TO_OPENAI,
    rules::DISCOVERY_KINDS, rules::REGIONS_BESIDE_URL, rules::COMPRESSED_UNSIGNED, rules::MODEL_SERVERS_OWN,
])))]
pub struct Provider {
    /// Name of the provider, unique in its pool: lower-case letters, digits and dashes. Metrics and logs call it so.
    #[schemars(length(min = 1, max = 63), regex(pattern = patterns::NAME))]
    pub name: String,
    /// The API it speaks: `OpenAI` (OpenAI itself), `Anthropic` (Anthropic itself), `Gemini` (Google's Gemini API), `Cohere` (Cohere itself),
    /// `AzureOpenAI` (OpenAI's models at Azure), `Bedrock` (models at Amazon Bedrock), `VertexAI` (Google's and
    /// Anthropic's models at Google Vertex AI), `OpenAICompatible` (anything else that
    /// speaks OpenAI Chat Completions, such as vLLM or Ollama) or `Simulated` (a stand-in inside the gateway, no
    /// network and no key). A call in one dialect is translated where its provider speaks another.
    #[serde(rename = "type")]
    pub kind: ProviderType,
    /// Address, `http` or `https`, without user, query or fragment. Without a path `/v1` is added (for a known look-alike its own, docs/providers.md), for
    /// type `Gemini` `/v1beta`, for `Cohere` `/v2`, for `AzureOpenAI` `/openai`
    /// (`https://api.openai.com` is called at `https://api.openai.com/v1/chat/completions`); with a path it is used as
    /// it is (`https://llm.example.com/api/openai` is called at `…/api/openai/chat/completions`). Exactly one of `url`
    /// and `serviceRef` is there, and neither where `type` is `Simulated`; for `VertexAI` both may be left out: then it is Google's
    /// address of the location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = patterns::URL))]
    pub url: Option<String>,
    /// The version of Azure's API, such as `2024-10-21`; only where `type` is `AzureOpenAI`. With it calls go to
    /// `…/openai/deployments/DEPLOYMENT/chat/completions?api-version=…`, where the deployment is the model's `upstreamName`, or its
    /// name. Left out: Azure's API v1 (`…/openai/v1/chat/completions`), which has no versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 20), regex(pattern = patterns::API_VERSION))]
    pub api_version: Option<String>,
    /// The project and the location of Vertex AI; where `type` is `VertexAI`, and only there.
    #[serde(default, rename = "vertexAI", skip_serializing_if = "Option::is_none")]
    pub vertex_ai: Option<VertexAi>,
    /// A Service in the pool's namespace, instead of `url`: its pods are balanced one by one, and each has a circuit of
    /// its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_ref: Option<ServiceRef>,
    /// The key that the provider is called with. Without it no key is sent. A caller's own key is passed on only where their `type`
    /// is `Passthrough`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Share of the calls within its tier, relative to the others' weights. 0 takes no calls. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: u32,
    /// Tier: the lowest number serves, a higher one when no lower one can. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub priority: u32,
    /// The region that its address is in, such as `eu-west`: proxies of the same region (`--region`) call it before those of other
    /// regions in its tier. Left out: it is as near to every proxy as the nearest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = patterns::NAME))]
    pub region: Option<String>,
    /// Further addresses of it in other regions, each an endpoint with a circuit of its own, called with the same key: a proxy prefers
    /// its own region's, and goes on to another where that can not serve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub regions: Vec<RegionalAddress>,
    /// The models it serves, by the names that clients and routes use. Left out: it is asked for any model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub models: Vec<Model>,
    /// Asks it for the list of its models, now and then: what it says of them is told in the lists that callers ask for, and where
    /// it has no `models` the names too that a route lets through. Left out: it is not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<Discovery>,
    /// Parameters used where the caller says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<Defaults>,
    /// The rules by which connections are made and kept.
    #[serde(default)]
    pub connection: Connection,
    /// The most that it is asked for, at once and within a time. Left out: as much as comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ProviderLimits>,
    /// Model servers at its address, or behind its Service, are asked how busy they are; only where `type` is `OpenAICompatible`.
    /// Behind an address that spreads calls over several of them by itself, leave it out. Left out: nobody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_server: Option<ModelServer>,
    /// Headers of the requests it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Headers>,
    /// Its differences from its dialect's vendor: fields that it refuses, words that it has another name for. Left out: as
    /// its host is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compatibility: Option<Compatibility>,
    /// The behaviour of a `Simulated` provider. Left out: it answers at once, and well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<Simulated>,
}

const fn one() -> u32 {
    1
}

/// An address of a provider in a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegionalAddress {
    /// The region, such as `eu-west`.
    #[schemars(length(min = 1, max = 63), regex(pattern = patterns::NAME))]
    pub name: String,
    /// The address, as `url` of the provider.
    #[schemars(length(min = 1, max = 2048), regex(pattern = patterns::URL))]
    pub url: String,
}

/// The API that a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProviderType {
    /// OpenAI itself.
    OpenAI,
    /// Anthropic itself.
    Anthropic,
    /// Google's Gemini API.
    Gemini,
    /// Cohere itself.
    Cohere,
    /// OpenAI's models at Azure.
    AzureOpenAI,
    /// Models at Amazon Bedrock.
    Bedrock,
    /// Google's and Anthropic's models at Google Vertex AI.
    VertexAI,
    /// Anything that speaks OpenAI Chat Completions.
    OpenAICompatible,
    /// A stand-in inside the gateway.
    Simulated,
}

/// A place at Vertex AI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VertexAi {
    /// The id of the project that is charged, such as `my-project`.
    #[schemars(length(min = 1, max = 100), regex(pattern = patterns::PROJECT))]
    pub project: String,
    /// The location that serves, such as `us-east5`, or `global`.
    #[schemars(length(min = 1, max = 63), regex(pattern = patterns::NAME))]
    pub location: String,
}

/// A Service in the same namespace, whose pods answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceRef {
    /// Name of the Service.
    #[schemars(length(min = 1, max = 63), regex(pattern = patterns::NAME))]
    pub name: String,
    /// A port of the Service, by its number there (`port`, not `targetPort`).
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// The scheme: `HTTP` or `HTTPS`. Default: `HTTP`.
    #[serde(default)]
    pub scheme: Scheme,
    /// Path before `/chat/completions` and the like, as in `url`. Default: `/v1`, for type `Gemini` `/v1beta`, for
    /// `AzureOpenAI` `/openai`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = patterns::PATH))]
    pub path: Option<String>,
}

/// The scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
pub enum Scheme {
    /// Without TLS.
    #[default]
    #[serde(rename = "HTTP")]
    Http,
    /// With TLS.
    #[serde(rename = "HTTPS")]
    Https,
}

/// The place of a provider's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[
    rules::REGION_OF_AWS, rules::SECRET_OF_CREDENTIALS, rules::SECRET_OF_PASSTHROUGH, rules::ROLE_OF_AWS, rules::CLIENT_OF_AZURE,
    rules::CLIENT_OF_SECRET, rules::KEYS_BESIDE_SECRET, rules::ACCOUNT_OF_OPENAI, rules::SECRET_OF_OPENAI,
])))]
pub struct Credentials {
    /// The kind: `Secret` (a key that goes in a header), `AWS` (keys by which each request is signed; for `Bedrock`), `GCP` (a
    /// token of Google's, which is got and renewed; for `VertexAI`), `Azure` (a token of Entra ID's, likewise; for `AzureOpenAI`),
    /// `OpenAI` (a token of OpenAI's, which the gateway's own identity is exchanged for; for `OpenAI`) or `Passthrough` (the caller's own
    /// key). Default: `Secret`.
    #[serde(default, rename = "type")]
    pub kind: CredentialType,
    /// A key of a Secret in the pool's namespace. For `AWS` its value is `ID:SECRET` or `ID:SECRET:TOKEN`, or a file of Amazon's
    /// tools (`aws_access_key_id = …`); for `GCP` the key of a service account (JSON), for `Azure` the secret of the
    /// client. Left out, which these three allow: the gateway's own identity, as its environment and the machine's metadata say it
    /// (workload identity). Never there with `OpenAI` and `Passthrough`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
    /// Several keys instead of `secretRef`, such as those of several accounts: each has limits of its own, and one that is refused or
    /// limited rests while the others are used. A call takes the key that the fewest calls use, or that of its conversation where
    /// the pool has an `affinity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub keys: Option<Vec<ProviderKey>>,
    /// The region that signatures are made for; only for `AWS`. Left out: as the url's host says it
    /// (`bedrock-runtime.REGION.amazonaws.com`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = patterns::NAME))]
    pub region: Option<String>,
    /// A role that is taken on with the keys; only for `AWS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_role: Option<AssumeRole>,
    /// The tenant that the client belongs to; only for `Azure`. Left out, where there is no `secretRef`: as the gateway's environment
    /// says it (`AZURE_TENANT_ID`).
    #[serde(default, rename = "tenantID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = patterns::AZURE_ID))]
    pub tenant_id: Option<String>,
    /// The client (application), or of a machine with several identities the one that is meant; only for `Azure`. Left out, where
    /// there is no `secretRef`: as the gateway's environment says it (`AZURE_CLIENT_ID`), or the machine's only one.
    #[serde(default, rename = "clientID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = patterns::AZURE_ID))]
    pub client_id: Option<String>,
    /// The id of the workload identity provider, as OpenAI shows it; where `type` is `OpenAI`, and only there.
    #[serde(default, rename = "identityProviderID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = patterns::SESSION_NAME))]
    pub identity_provider_id: Option<String>,
    /// The id of the service account of OpenAI's that the gateway's own identity is mapped to; where `type` is `OpenAI`, and only there.
    #[serde(default, rename = "serviceAccountID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = patterns::SESSION_NAME))]
    pub service_account_id: Option<String>,
}

/// One of several keys of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProviderKey {
    /// Name of the key, unique among the provider's: lower-case letters, digits and dashes. Metrics, logs and the status call it so.
    #[schemars(length(min = 1, max = 63), regex(pattern = patterns::NAME))]
    pub name: String,
    /// A key of a Secret in the pool's namespace, as the `secretRef` of a single one.
    pub secret_ref: SecretKeyRef,
    /// The most that it is used for, at once and within a time. Left out: as much as comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ProviderKeyLimits>,
}

/// A role of Amazon's that is taken on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AssumeRole {
    /// Its ARN, such as `arn:aws:iam::123456789012:role/gateway`.
    #[schemars(length(min = 20, max = 2048), regex(pattern = patterns::ROLE))]
    pub arn: String,
    /// The word that the role's owner wants to be told (`sts:ExternalId`).
    #[serde(default, rename = "externalID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 1224), regex(pattern = patterns::HEADER_VALUE))]
    pub external_id: Option<String>,
    /// The session's name in Amazon's records. Default: `sluicegate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64), regex(pattern = patterns::SESSION_NAME))]
    pub session_name: Option<String>,
}

/// The kind of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
pub enum CredentialType {
    /// A key that goes in a header.
    #[default]
    Secret,
    /// Amazon's keys.
    #[serde(rename = "AWS")]
    Aws,
    /// A token of Google's.
    #[serde(rename = "GCP")]
    Gcp,
    /// A token of Entra ID's.
    Azure,
    /// A token of OpenAI's.
    OpenAI,
    /// The caller's own key.
    Passthrough,
}

/// A key of a Secret in the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = patterns::OBJECT_NAME))]
    pub name: String,
    /// Key in its data. Default: `api-key`.
    #[serde(default = "api_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = patterns::SECRET_KEY))]
    pub key: String,
}

fn api_key() -> String {
    "api-key".to_owned()
}

/// A model of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Model {
    /// The name that clients and routes use, such as `gpt-4o`.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// The provider's own name of it, such as `gpt-4o-2024-11-20`. Default: the same as `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub upstream_name: Option<String>,
    /// The most tokens that it answers with; a call that asks for more is sent this number, and its answer says so in the
    /// header `x-sluicegate-max-tokens`. Left out: as the gateway's tables say, for translated calls alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_output_tokens: Option<u32>,
    /// The most tokens that a prompt and its answer may have together. A call that is larger, by an estimate, goes to another target
    /// or fallback of its rule, if one has room. Left out: as the price list says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub context_window: Option<u64>,
    /// The worth of its answers beside others', a decimal string from `"0"` to `"1"`, by whatever its users measure: the strategy
    /// `CostOptimized` holds it against `loadBalancing.qualityFloor`. Left out: nobody has said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5), extend("pattern" = patterns::SHARE_OF_ONE))]
    pub quality: Option<Decimal>,
    /// The forms that it reads, told in lists of models. Left out: as the price list says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), extend("x-kubernetes-list-type" = "set"))]
    pub input_modalities: Vec<Modality>,
    /// The forms that it writes, told in lists of models. Left out: as the price list says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), extend("x-kubernetes-list-type" = "set"))]
    pub output_modalities: Vec<Modality>,
    /// The abilities that lists of models tell of it. Left out: as the price list says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "set"))]
    pub capabilities: Vec<ModelCapability>,
    /// The cost of its tokens. Left out: as the price list says, else it is unknown, and counted as such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

/// Parameters used where the caller says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Defaults {
    /// The most tokens to answer with. Left out: the provider's own default (Anthropic has none: the most of the model, else 4096).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_tokens: Option<u32>,
    /// Sampling temperature as a decimal string from `"0"` to `"2"`, with at most four decimals. Left out: the
    /// provider's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 6), extend("pattern" = patterns::TEMPERATURE))]
    pub temperature: Option<Decimal>,
}

/// The rules by which connections to a provider are made and kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::IDLE_CONNECTIONS])))]
pub struct Connection {
    /// The version of HTTP that is spoken: `Auto` (HTTP/2 where TLS negotiates it, else HTTP/1.1), `HTTP1`, or `HTTP2`
    /// (without TLS too, by prior knowledge). Default: `Auto`.
    pub http: HttpVersion,
    /// The most connections to one address from one proxy; a call beyond them waits, within its connect timeout.
    /// Default: 1024.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_connections: u32,
    /// The most of them kept open while idle; 0 keeps none. Default: as `maxConnections`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub max_idle: Option<u32>,
    /// An idle connection is closed after this: shorter than the provider itself keeps one, or calls meet its end. Left
    /// out: 10s, and 4s with `serviceRef` and for look-alikes that close after 5s, as common model servers do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Duration>,
    /// Silence before the first TCP keep-alive probe; `0s` sends none. Default: 60s.
    pub tcp_keepalive: Duration,
    /// The time that an address is believed. Left out: as long as DNS says.
    #[serde(rename = "dnsTTL", skip_serializing_if = "Option::is_none")]
    pub dns_ttl: Option<Duration>,
    /// Requests of more than this many bytes go out compressed (gzip), such as `64Ki`. Only for providers that read that: few vendors
    /// say so. One that refuses it is sent the request once more as it was, and further ones so too for ten minutes. Left out: none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compress_requests_over: Option<ByteSize>,
    /// A stream whose caller has left in mid-answer is listened to for so long at most, such as `30s`, so that the provider's own count of
    /// its tokens is known. It keeps its place and its connection until then, and the provider goes on with what it is paid for. Left out,
    /// or `0s`: it is cancelled at once, and what was used is estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_abandoned: Option<Duration>,
    /// The certificate authorities trusted in TLS, and the name expected. Left out: the system's certificate
    /// authorities, and the URL's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            http: HttpVersion::Auto,
            max_connections: 1024,
            max_idle: None,
            idle_timeout: None,
            tcp_keepalive: "60s".into(),
            dns_ttl: None,
            compress_requests_over: None,
            drain_abandoned: None,
            tls: None,
        }
    }
}

/// The version of HTTP that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HttpVersion {
    /// HTTP/2 where TLS negotiates it, else HTTP/1.1.
    Auto,
    /// HTTP/1.1.
    #[serde(rename = "HTTP1")]
    Http1,
    /// HTTP/2.
    #[serde(rename = "HTTP2")]
    Http2,
}

/// The certificate authorities trusted in TLS, and the name expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// PEM certificates of authorities to trust beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub ca_certificate: Option<String>,
    /// The name to ask for and to verify, instead of the URL's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = patterns::HOST))]
    pub server_name: Option<String>,
}

/// The headers of a caller's that go on, and the changes to them. What the provider's dialect knows goes on by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::HEADERS_ONCE])))]
pub struct Headers {
    /// Added, or written over what the caller sent. Not for keys: a key belongs in `credentials`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub set: Vec<Header>,
    /// Names of further headers of the caller's that go on. Not those that say who the caller is, that hold a key, or that
    /// name an account of the provider's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 128), regex(pattern = patterns::HEADER_NAME)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub pass: Vec<String>,
    /// Names of headers taken out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 128), regex(pattern = patterns::HEADER_NAME)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub remove: Vec<String>,
}

/// A header and its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// Its name, in any case.
    #[schemars(length(min = 1, max = 128), regex(pattern = patterns::HEADER_NAME))]
    pub name: String,
    /// Its value, printable ASCII.
    #[schemars(length(max = 4096), regex(pattern = patterns::HEADER_VALUE))]
    pub value: String,
}
