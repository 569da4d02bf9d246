//! `LLMConsumer`: a caller, its keys and tokens, the models that it may ask for, and how much of them.
#![expect(clippy::duplicated_attributes, reason = "every printer column has a type of its own, and some the same")]

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::ConsumerSelector;
use crate::allowed::label_value;
use crate::jwt::ConsumerJwt;
use crate::limits::Limits;
use crate::patterns;
use crate::provider::SecretKeyRef;
use crate::route::ModelMatch;
use crate::rules::{self, validations};
use crate::scalar::{Duration, Time};
use crate::status::Status;

/// Somebody who calls: a team, a program, a person.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sluicegate.dev",
    version = "v1alpha1",
    kind = "LLMConsumer",
    plural = "llmconsumers",
    namespaced,
    status = "Status",
    shortname = "lc",
    shortname = "llmc",
    category = "sluicegate",
    doc = "A caller: its keys, and the models that it may ask for.",
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Accepted")].status"#
    ),
    printcolumn(
        name = "ResolvedRefs",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="ResolvedRefs")].status"#
    ),
    printcolumn(
        name = "Programmed",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Programmed")].status"#
    ),
    printcolumn(name = "Proxies", type_ = "string", json_path = ".status.proxies"),
    printcolumn(name = "Spend", type_ = "string", json_path = ".status.spend"),
    printcolumn(name = "Usage", type_ = "string", json_path = ".status.usage"),
    printcolumn(name = "Disabled", type_ = "boolean", json_path = ".spec.disabled", priority = 1),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Programmed")].reason"#,
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::CONSUMER_KNOWN, rules::CONSUMER_GROUP, rules::CHARGEBACK_LABELS])))]
pub struct LLMConsumerSpec {
    /// The keys that it is known by, each of them good by itself: with two, one can be replaced while the other serves.
    /// Proxies hold digests of them only.
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]),
        extend("x-kubernetes-validations" = validations(&[rules::GENERATED_ONCE]))
    )]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<ConsumerKey>,
    /// Tokens of an issuer that it is known by, beside its keys or instead of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<ConsumerJwt>,
    /// Labels by which routes select consumers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = label_value()))]
    pub labels: BTreeMap<String, String>,
    /// The labels that its calls are told with, for whoever pays for them. Left out: its name alone is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chargeback: Option<Chargeback>,
    /// Makes it a group, which calls nothing itself: the consumers of its namespace whose calls its budgets count, beside their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<ConsumerSelector>,
    /// Its place in queues: calls of higher numbers go first. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -100, max = 100))]
    pub priority: Option<i32>,
    /// The models that it may ask for. Left out: every one that a route lets it have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<ConsumerModels>,
    /// The most that it may ask for within a time, beside the limits of routes. Left out: as much as they let it have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// `true`: its keys are refused, by routes that are for anyone as well. Default: `false`.
    #[serde(default)]
    pub disabled: bool,
}

/// The labels that a consumer's calls are told with, beside its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Chargeback {
    /// Labels of it that stand in the access log with each of its calls, and beside its metrics.
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 317)), extend("x-kubernetes-list-type" = "set"))]
    pub labels: Vec<String>,
    /// `true`: they are sent to providers that have a place for them in their bills and logs: Google's models at Vertex AI (`labels`),
    /// and Bedrock (`requestMetadata`). Default: `false`, no provider is told anything of them.
    #[serde(default)]
    pub to_providers: bool,
}

/// A key of a consumer: one of a Secret that is there, or one that the operator makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::KEY_ONE_OF])))]
pub struct ConsumerKey {
    /// Name of the key, unique in its consumer: lower-case letters, digits and dashes.
    #[schemars(length(min = 1, max = 63), regex(pattern = patterns::NAME))]
    pub name: String,
    /// A key of a Secret in the consumer's namespace: 20 to 512 letters that nobody can guess, such as
    /// `openssl rand -hex 32` makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
    /// A key that the operator makes up and keeps in a Secret of its own, if the gateway's platform lets it
    /// (`operator.generateKeys` of the chart).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<GenerateKey>,
    /// From this time on the key is refused, by routes that are for anyone as well, such as `2027-01-31T00:00:00Z`. Left out:
    /// it stays good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

/// A key that the operator makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[
    rules::OVERLAP_OF_ROTATION,
    rules::ROTATION_BOUNDS,
    rules::OVERLAP_WITHIN_ROTATION,
])))]
pub struct GenerateKey {
    /// Name of the Secret in the consumer's namespace that it is written into, as `api-key`. The operator creates it; one that
    /// is there already and was not made for this consumer is left alone. It goes with the consumer.
    #[schemars(length(min = 1, max = 253), regex(pattern = patterns::OBJECT_NAME))]
    pub secret_name: String,
    /// A new key is made this often, up to a twentieth of it earlier; from `10s` to `87600h`. Left out: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_every: Option<Duration>,
    /// The key before stays good for this long, as `previous-api-key` of the Secret. Left out: a tenth of `rotateEvery`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Duration>,
}

/// Models that a consumer may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsumerModels {
    /// Those that match any of these, by the name that the caller asks for.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub allow: Vec<ModelMatch>,
}
