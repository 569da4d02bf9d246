//! The features that a compiled object may require of a proxy. Each name is a field or a value that a proxy written
//! before it would read past or misunderstand: a proxy that does not know the name rejects the object instead of running
//! something else than was meant. `FORMAT` is for what changes all objects.

/// The beginning of the name of a feature that is a look-alike of this name.
pub const PROFILE_FEATURE: &str = "profile/";

/// The names that a proxy of this version knows.
pub const FEATURES: [&str; 44] = [
    "access",
    "adaptiveConcurrency",
    "affinity",
    "awsChain",
    "azureOpenAI",
    "azureTokens",
    "bedrock",
    "budgetFallback",
    "budgetKeys",
    "budgets",
    "cacheWrite1h",
    "coalesce",
    "coalesceCluster",
    "cohere",
    "compatibility",
    "complexity",
    "compressedRequests",
    "concurrency",
    "costLimits",
    "costOptimized",
    "discovery",
    "fallbackReasons",
    "gcpTokens",
    "gemini",
    "healthCheck",
    "hedge",
    "jwt",
    "leastLatency",
    "limits",
    "maxOutputTokens",
    "members",
    "mirror",
    "modelFacts",
    "passHeaders",
    "passthrough",
    "priceKinds",
    "promptCache",
    "providerKeys",
    "regions",
    "request",
    "serviceEndpoints",
    "streamFailover",
    "unlisted",
    "vertexAI",
];
