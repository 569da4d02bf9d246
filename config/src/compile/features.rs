//! The features that a compiled object requires of proxies, by what it makes use of.

use std::collections::BTreeSet;

use crate::identity::Identity;
use crate::{
    Budget, BudgetExceeded, CoalesceScope, Consumer, FallbackReason, LimitUnit, PROFILE_FEATURE, Pool, Price, Provider,
    ProviderKind, RateLimit, Rates, Route, Strategy,
};

/// A feature's name, and whether a pool as a whole makes use of it.
type PoolFeature = (&'static str, fn(&Pool) -> bool);

const OF_POOLS: [PoolFeature; 5] = [
    ("affinity", |pool| pool.affinity.is_some()),
    ("costOptimized", |pool| pool.strategy == Strategy::CostOptimized),
    ("healthCheck", |pool| pool.health_check.is_some()),
    ("leastLatency", |pool| pool.strategy == Strategy::LeastLatency),
    ("qualityFloor", |pool| pool.quality_floor_milli.is_some()),
];

/// A feature's name, and whether a provider makes use of it.
type ProviderFeature = (&'static str, fn(&Provider) -> bool);

const OF_PROVIDERS: [ProviderFeature; 26] = [
    ("adaptiveConcurrency", |provider| provider.endpoint_concurrency.as_ref().is_some_and(|limit| limit.min.is_some())),
    ("awsChain", |provider| match &provider.identity {
        Some(Identity::Aws { role, .. }) => role.is_some() || !provider.has_credential(),
        _ => false,
    }),
    ("azureOpenAI", |provider| provider.kind == ProviderKind::AzureOpenAi),
    ("azureTokens", |provider| matches!(provider.identity, Some(Identity::Azure { .. }))),
    ("bedrock", |provider| provider.kind == ProviderKind::Bedrock),
    ("cacheWrite1h", |provider| prices(provider).any(|price| rates(price).any(|rates| rates.cache_write_1h.is_some()))),
    ("cohere", |provider| provider.kind == ProviderKind::Cohere),
    ("compatibility", |provider| !provider.compatibility.is_none()),
    ("compressedRequests", |provider| provider.connection.compress_requests_over.is_some()),
    ("concurrency", |provider| provider.concurrency.is_some() || provider.endpoint_concurrency.is_some()),
    ("discovery", |provider| provider.discovery.is_some()),
    ("drainAbandoned", |provider| provider.connection.drain_abandoned.is_some()),
    ("gcpTokens", |provider| matches!(provider.identity, Some(Identity::Gcp))),
    ("gemini", |provider| provider.kind == ProviderKind::Gemini),
    ("maxOutputTokens", |provider| provider.models.values().any(|model| model.max_output_tokens.is_some())),
    ("modelFacts", |provider| provider.models.values().any(|model| !model.facts.is_none())),
    ("modelServer", |provider| provider.model_server.is_some()),
    ("openAITokens", |provider| matches!(provider.identity, Some(Identity::OpenAi { .. }))),
    ("passHeaders", |provider| !provider.pass_headers.is_empty()),
    ("passthrough", |provider| matches!(provider.identity, Some(Identity::Passthrough))),
    ("priceKinds", |provider| {
        let kinds = |rates: &Rates| {
            let Rates { reasoning, audio_input, cached_audio, audio_output, image_input, image_output, .. } = rates;
            [reasoning, audio_input, cached_audio, audio_output, image_input, image_output]
                .iter()
                .any(|one| one.is_some())
        };
        prices(provider).any(|price| !price.variants.is_empty() || kinds(&price.rates))
    }),
    ("providerKeys", |provider| !provider.keys.is_empty()),
    ("providerRateLimits", |provider| {
        !provider.rate.is_empty() || provider.keys.iter().any(|key| !key.rate.is_empty())
    }),
    ("regions", |provider| provider.region.is_some() || !provider.regions.is_empty()),
    ("serviceEndpoints", |provider| provider.service.is_some() || provider.endpoints.is_some()),
    ("vertexAI", |provider| provider.kind == ProviderKind::VertexAi),
];

fn prices(provider: &Provider) -> impl Iterator<Item = &Price> {
    provider.models.values().filter_map(|model| model.price.as_deref())
}

fn rates(price: &Price) -> impl Iterator<Item = &Rates> {
    std::iter::once(&price.rates).chain(price.variants.iter().map(|variant| &variant.rates))
}

/// A feature's name, and whether a route makes use of it.
type RouteFeature = (&'static str, fn(&Route) -> bool);

const OF_ROUTES: [RouteFeature; 20] = [
    ("access", |route| {
        let selects = |rule: &crate::Rule| rule.matches.iter().any(|one| one.consumers.is_some());
        route.access.is_some() || route.rules.iter().any(selects)
    }),
    ("budgetFallback", |route| route.rules.iter().any(|rule| rule.budgets.iter().any(lands_softly))),
    ("budgets", |route| route.rules.iter().any(|rule| !rule.budgets.is_empty())),
    ("coalesce", |route| route.rules.iter().any(|rule| rule.coalesce.is_some())),
    ("coalesceCluster", |route| {
        let shared = |rule: &crate::Rule| rule.coalesce.as_ref().is_some_and(|own| own.scope == CoalesceScope::Cluster);
        route.rules.iter().any(shared)
    }),
    ("complexity", |route| route.rules.iter().any(|rule| rule.matches.iter().any(|one| one.complexity.is_some()))),
    ("concurrency", |route| route.rules.iter().any(|rule| rule.concurrency.is_some())),
    ("costLimits", |route| route.rules.iter().any(|rule| rule.limits.iter().any(counts_money))),
    ("fallbackForBudgets", |route| {
        let fallbacks = route.rules.iter().flat_map(|rule| &rule.fallbacks);
        fallbacks.flat_map(|fallback| &fallback.reasons).any(|reason| *reason == FallbackReason::Budget)
    }),
    ("fallbackReasons", |route| {
        route.rules.iter().flat_map(|rule| &rule.fallbacks).any(|fallback| !fallback.reasons.is_empty())
    }),
    ("hedge", |route| route.rules.iter().any(|rule| rule.hedge.is_some())),
    ("hedgeCost", |route| {
        route.rules.iter().filter_map(|rule| rule.hedge).any(|hedge| hedge.max_cost_percent.is_some())
    }),
    ("limitQueues", |route| route.rules.iter().any(|rule| rule.limits.iter().any(|limit| limit.queue.is_some()))),
    ("limits", |route| route.rules.iter().any(|rule| !rule.limits.is_empty())),
    ("mirror", |route| route.rules.iter().any(|rule| rule.mirror.is_some())),
    ("paths", |route| route.rules.iter().any(|rule| rule.matches.iter().any(|one| one.path.is_some()))),
    ("promptCache", |route| route.rules.iter().any(|rule| rule.prompt_cache.is_some())),
    ("request", |route| route.rules.iter().any(|rule| rule.request.is_some())),
    ("streamFailover", |route| route.rules.iter().any(|rule| rule.stream_failover.is_some())),
    ("unlisted", |route| route.rules.iter().any(|rule| rule.unlisted)),
];

/// A feature's name, and whether a consumer makes use of it.
type ConsumerFeature = (&'static str, fn(&Consumer) -> bool);

const OF_CONSUMERS: [ConsumerFeature; 13] = [
    ("budgetFallback", |consumer| consumer.budgets.iter().any(lands_softly)),
    ("budgetKeys", |consumer| consumer.budgets.iter().any(|budget| budget.key.is_some())),
    ("budgets", |consumer| !consumer.budgets.is_empty()),
    ("chargebackToProviders", |consumer| consumer.chargeback_to_providers),
    ("concurrency", |consumer| consumer.concurrency.is_some() || consumer.priority != 0),
    ("costLimits", |consumer| consumer.limits.iter().any(counts_money)),
    ("jwt", |consumer| consumer.jwt.is_some()),
    ("jwtCertificates", |consumer| consumer.jwt.as_ref().is_some_and(|jwt| jwt.ca_pem.is_some())),
    ("jwtKeys", |consumer| consumer.jwt.as_ref().is_some_and(|jwt| jwt.jwks.is_some())),
    ("jwtSubjects", |consumer| consumer.jwt.as_ref().is_some_and(|jwt| jwt.subjects.is_some())),
    ("limitQueues", |consumer| consumer.limits.iter().any(|limit| limit.queue.is_some())),
    ("limits", |consumer| !consumer.limits.is_empty()),
    ("members", |consumer| consumer.members.is_some()),
];

fn lands_softly(budget: &Budget) -> bool {
    budget.on_exceeded == BudgetExceeded::Fallback
}

fn counts_money(limit: &RateLimit) -> bool {
    limit.unit == LimitUnit::Cost
}

/// The features that a consumer requires.
pub(super) fn of_consumer(consumer: &Consumer) -> Vec<String> {
    let required = OF_CONSUMERS.iter().filter(|(_, uses)| uses(consumer));
    required.map(|(name, _)| (*name).to_owned()).collect()
}

/// The features that a route requires.
pub(super) fn of_route(route: &Route) -> Vec<String> {
    let required = OF_ROUTES.iter().filter(|(_, uses)| uses(route));
    required.map(|(name, _)| (*name).to_owned()).collect()
}

/// The features that a pool requires, and the look-alikes that it names.
pub(super) fn of_pool(pool: &Pool) -> Vec<String> {
    let of_all = OF_POOLS.iter().filter(|(_, uses)| uses(pool)).map(|(name, _)| *name);
    let of_some = OF_PROVIDERS.iter().filter(|(_, uses)| pool.providers.iter().any(uses)).map(|(name, _)| *name);
    let required: BTreeSet<&str> = of_all.chain(of_some).collect();
    let profiles: BTreeSet<&str> =
        pool.providers.iter().filter_map(|provider| provider.compatibility.profile.as_deref()).collect();
    let profiles = profiles.into_iter().map(|name| format!("{PROFILE_FEATURE}{name}"));
    required.into_iter().map(str::to_owned).chain(profiles).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{compile, manifests};
    use super::*;
    use crate::FEATURES;

    fn required(provider: &str) -> Vec<String> {
        required_as("OpenAICompatible", provider)
    }

    fn required_as(kind: &str, provider: &str) -> Vec<String> {
        let manifest = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{api-key: k}}\n---\n\
             apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\n\
             spec: {{providers: [{{name: one, type: {kind}, {provider}}}]}}"
        );
        let (inputs, _) = manifests::read(&[("p.yaml".to_owned(), manifest)]);
        let compiled = compile(&inputs);
        let pool = compiled.snapshot.pools.into_values().next();
        pool.unwrap_or_else(|| panic!("{:?}", compiled.verdicts)).requires
    }

    #[test]
    fn what_makes_use_of_a_feature_requires_it_and_nothing_else_does() {
        let plain = "url: \"https://llm.example.com/v1\"";
        assert!(required(plain).is_empty());
        let uses = [
            (
                "cacheWrite1h",
                "models: [{name: m, price: {inputPerMillion: \"1\", outputPerMillion: \"1\", cacheWrite1hPerMillion: \"2\"}}]",
            ),
            ("concurrency", "limits: {endpointConcurrency: {max: 4}}"),
            ("compatibility", "compatibility: {fields: [{name: seed, action: Drop}]}"),
            ("discovery", "discovery: {}"),
            ("maxOutputTokens", "models: [{name: m, maxOutputTokens: 10}]"),
            ("modelFacts", "models: [{name: m, contextWindow: 10}]"),
            ("modelServer", "modelServer: {}"),
            ("passHeaders", "headers: {pass: [x-own]}"),
            ("providerRateLimits", "limits: {rate: [{unit: Cost, amount: \"1\"}]}"),
            (
                "priceKinds",
                "models: [{name: m, price: {inputPerMillion: \"1\", outputPerMillion: \"1\", reasoningPerMillion: \"2\"}}]",
            ),
            (
                "priceKinds",
                "models: [{name: m, price: {inputPerMillion: \"1\", outputPerMillion: \"1\", tiers: {flex: {factor: \"0.5\"}}}}]",
            ),
        ];
        let adaptive = format!("{plain}, limits: {{adaptive: {{min: 1, max: 4}}}}");
        assert_eq!(required(&adaptive), ["adaptiveConcurrency", "concurrency"]);
        for (feature, field) in uses {
            assert_eq!(required(&format!("{plain}, {field}")), [feature]);
        }
        let profile = format!("{plain}, compatibility: {{profile: vLLM}}");
        assert_eq!(required(&profile), ["compatibility", "profile/vLLM"]);
        assert_eq!(required_as("Gemini", plain), ["gemini"]);
        assert_eq!(required_as("Cohere", plain), ["cohere"]);
        assert_eq!(required_as("AzureOpenAI", "url: \"https://x.openai.azure.com\""), ["azureOpenAI"]);
        assert_eq!(required_as("Bedrock", plain), ["bedrock"]);
        assert_eq!(required_as("VertexAI", "vertexAI: {project: p, location: global}"), ["vertexAI"]);
        let own = "vertexAI: {project: p, location: global}, credentials: {type: GCP}";
        assert_eq!(required_as("VertexAI", own), ["gcpTokens", "vertexAI"]);
        let at = "url: \"https://bedrock-runtime.us-east-1.amazonaws.com\", credentials: {type: AWS}";
        assert_eq!(required_as("Bedrock", at), ["awsChain", "bedrock"]);
        let at = "url: \"https://x.openai.azure.com\", credentials: {type: Azure}";
        assert_eq!(required_as("AzureOpenAI", at), ["azureOpenAI", "azureTokens"]);
        let at =
            "url: \"https://api.openai.com\", credentials: {type: OpenAI, identityProviderID: i, serviceAccountID: s}";
        assert_eq!(required_as("OpenAI", at), ["openAITokens"]);
        assert_eq!(required(&format!("{plain}, credentials: {{type: Passthrough}}")), ["passthrough"]);
        let keys = format!("{plain}, credentials: {{keys: [{{name: a, secretRef: {{name: s}}}}]}}");
        assert_eq!(required(&keys), ["providerKeys"]);
        let limit = "limits: {rate: [{unit: Requests, amount: 1}]}";
        let keys = format!("{plain}, credentials: {{keys: [{{name: a, secretRef: {{name: s}}, {limit}}}]}}");
        assert_eq!(required(&keys), ["providerKeys", "providerRateLimits"]);
        assert_eq!(required("serviceRef: {name: models, port: 80}"), ["serviceEndpoints"]);
        let of_pools = OF_POOLS.iter().map(|(name, _)| *name).chain(OF_PROVIDERS.iter().map(|(name, _)| *name));
        let of_others = OF_ROUTES.iter().map(|(name, _)| *name).chain(OF_CONSUMERS.iter().map(|(name, _)| *name));
        let mut names: Vec<&str> = of_pools.chain(of_others).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names, FEATURES);
    }

    #[test]
    fn a_pool_requires_of_proxies_what_it_makes_use_of_as_a_whole() {
        for (lines, expected) in [
            ("loadBalancing: {strategy: LeastRequest}", &[][..]),
            ("loadBalancing: {strategy: LeastLatency}", &["leastLatency"]),
            ("healthCheck: {}", &["healthCheck"]),
            ("loadBalancing: {strategy: CostOptimized, affinity: {}}", &["affinity", "costOptimized"]),
            ("loadBalancing: {strategy: CostOptimized, qualityFloor: \"0.9\"}", &["costOptimized", "qualityFloor"]),
        ] {
            let manifest = format!(
                "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\n\
                 spec: {{{lines}, providers: [{{name: a, type: Simulated}}]}}"
            );
            let (inputs, _) = manifests::read(&[("p.yaml".to_owned(), manifest)]);
            let pool = compile(&inputs).snapshot.pools.into_values().next().unwrap();
            assert_eq!(pool.requires, expected, "{lines}");
        }
    }

    #[test]
    fn a_consumer_requires_of_proxies_what_it_makes_use_of() {
        for (spec, expected) in [
            ("keys: [{name: k, secretRef: {name: s}}]", &[][..]),
            (
                "keys: [{name: k, secretRef: {name: s}}], limits: {budgets: [{amount: \"1\", period: Daily, per: Key}]}",
                &["budgetKeys", "budgets"],
            ),
            ("members: {names: [a]}, limits: {budgets: [{amount: \"1\", period: Daily}]}", &["budgets", "members"]),
        ] {
            let manifest = format!(
                "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: c}}\nspec: {{{spec}}}"
            );
            let (inputs, _) = manifests::read(&[("c.yaml".to_owned(), manifest)]);
            let consumer = compile(&inputs).snapshot.consumers.into_values().next().unwrap();
            assert_eq!(consumer.requires, expected, "{spec}");
        }
    }

    fn required_of_route(spec: &str) -> Vec<String> {
        let manifest =
            format!("apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: r}}\nspec: {{{spec}}}");
        let (inputs, findings) = manifests::read(&[("r.yaml".to_owned(), manifest)]);
        assert!(findings.is_empty());
        compile(&inputs).snapshot.routes.into_values().next().unwrap().requires
    }

    #[test]
    fn a_route_requires_of_proxies_what_it_makes_use_of() {
        for (spec, expected) in [
            ("rules: [{name: a, targets: [{poolRef: {name: p}}]}]", &[][..]),
            ("access: {from: Anyone}, rules: [{name: a, targets: [{poolRef: {name: p}}]}]", &["access"]),
            (
                "rules: [{name: a, matches: [{consumers: {names: [bob]}}], targets: [{poolRef: {name: p}}]}]",
                &["access"],
            ),
            ("coalesce: {scope: Pod}, rules: [{name: a, targets: [{poolRef: {name: p}}]}]", &["coalesce"]),
            (
                "coalesce: {scope: Cluster}, rules: [{name: a, targets: [{poolRef: {name: p}}]}]",
                &["coalesce", "coalesceCluster"],
            ),
            ("rules: [{name: a, mirror: {poolRef: {name: p}, percent: 1}, targets: [{poolRef: {name: p}}]}]", &[]),
            ("rules: [{name: a, request: {maxTokensCap: 9}, targets: [{poolRef: {name: p}}]}]", &["request"]),
            (
                "rules: [{name: a, matches: [{complexity: {tools: false}}], targets: [{poolRef: {name: p}}]}]",
                &["complexity"],
            ),
            ("rules: [{name: a, matches: [{path: {exact: /tokenize}}], targets: [{poolRef: {name: p}}]}]", &["paths"]),
            ("rules: [{name: a, hedge: {after: 1s}, targets: [{poolRef: {name: p}}]}]", &["hedge"]),
            (
                "rules: [{name: a, hedge: {maxCostPercent: 3}, targets: [{poolRef: {name: p}}]}]",
                &["hedge", "hedgeCost"],
            ),
            ("streamFailover: {}, rules: [{name: a, targets: [{poolRef: {name: p}}]}]", &["streamFailover"]),
            (
                "streamFailover: {}, rules: [{name: a, streamFailover: {method: Never}, targets: [{poolRef: {name: p}}]}]",
                &[],
            ),
            (
                "coalesce: {scope: Pod}, rules: [{name: a, coalesce: {scope: \"Off\"}, targets: [{poolRef: {name: p}}]}]",
                &[],
            ),
            (
                "limits: {budgets: [{amount: \"1\", period: Daily}]}, rules: [{name: a, targets: [{poolRef: {name: p}}]}]",
                &["budgets"],
            ),
            ("listed: false, rules: [{name: a, targets: [{poolRef: {name: p}}]}]", &["unlisted"]),
            ("listed: false, rules: [{name: a, listed: true, targets: [{poolRef: {name: p}}]}]", &[]),
            (
                "limits: {budgets: [{amount: \"1\", period: Daily, onExceeded: Fallback}]}, rules: [{name: a, targets: [{poolRef: {name: p}}]}]",
                &["budgetFallback", "budgets"],
            ),
            (
                "limits: {rate: [{per: Route, unit: Requests, amount: 1}]}, rules: [{name: a, targets: [{poolRef: {name: p}}]}]",
                &["limits"],
            ),
            (
                "limits: {rate: [{per: Route, unit: Cost, amount: \"1\"}]}, rules: [{name: a, targets: [{poolRef: {name: p}}]}]",
                &["costLimits", "limits"],
            ),
            (
                "limits: {rate: [{per: Route, unit: Requests, amount: 1, onExceeded: Queue}]}, rules: [{name: a, targets: [{poolRef: {name: p}}]}]",
                &["limitQueues", "limits"],
            ),
            ("promptCache: {}, rules: [{name: a, targets: [{poolRef: {name: p}}]}]", &["promptCache"]),
        ] {
            assert_eq!(required_of_route(spec), expected, "{spec}");
        }
    }

    #[test]
    fn a_hedge_that_is_bounded_by_cost_requires_more_than_one_that_is_not() {
        let required = |hedge: &str| {
            required_of_route(&format!("rules: [{{name: a, hedge: {hedge}, targets: [{{poolRef: {{name: p}}}}]}}]"))
        };
        assert_eq!(required("{}"), ["hedge"]);
        assert_eq!(required("{maxCostPercent: 3}"), ["hedge", "hedgeCost"]);
    }
}
