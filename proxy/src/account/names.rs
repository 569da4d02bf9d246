//! Every metric's name, in one place: docs/metrics.md says the same, and a test compares the two.

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only rises; exposed with `_total`.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Classic buckets; exposed with `_bucket`, `_sum`, `_count`.
    Histogram,
    /// Always 1, says something in its labels; exposed with `_info`.
    Info,
}

/// A metric's name (without the suffix its kind adds), kind, labels and help text.
#[derive(Debug)]
pub struct Metric {
    /// As registered: the exposition adds `_total`, `_info` or the histogram's suffixes.
    pub name: &'static str,
    /// The kind.
    pub kind: MetricKind,
    /// Its labels, in the order their values are given.
    pub labels: &'static [&'static str],
    /// One line.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric =
                Metric { name: $name, kind: MetricKind::$kind, labels: &[$($label),*], help: $help };
        )*
        /// All of them, in the order of the exposition.
        pub const ALL: &[&Metric] = &[$(&$constant),*];
    };
}

metrics! {
    BUILD = Info "sluicegate_build" ["version"] "The version of this process.";
    REQUESTS = Counter "sluicegate_requests" ["route", "pool", "provider", "model", "code", "outcome"] "Calls, each counted once when it ended.";
    DURATION = Histogram "sluicegate_request_duration_seconds" ["route"] "From a call's head to the end of its answer.";
    FIRST_TOKEN = Histogram "sluicegate_time_to_first_token_seconds" ["route"] "From a call's head to the first token of its streamed answer.";
    OVERHEAD = Histogram "sluicegate_gateway_overhead_seconds" ["route"] "What the gateway itself added to a call, waiting for caller and provider left out.";
    REQUEST_BYTES = Counter "sluicegate_request_body_bytes" ["route"] "Bytes of request bodies read from callers.";
    RESPONSE_BYTES = Counter "sluicegate_response_body_bytes" ["route"] "Bytes of answer bodies written to callers.";
    INFLIGHT = Gauge "sluicegate_inflight_requests" [] "Calls in flight, streams included.";
    INFLIGHT_SECONDS = Counter "sluicegate_inflight_seconds" [] "Integral of the calls in flight; its rate is their exact mean.";
    CLIENT_RETRIES = Counter "sluicegate_client_retries" [] "Calls that the caller's SDK said are retries (x-stainless-retry-count).";
    NOTES_LOST = Counter "sluicegate_ledger_notes_lost" [] "Facts of calls that could not be written down; anything but 0 is a fault of the gateway.";
    USAGE_DISBELIEVED = Counter "sluicegate_usage_disbelieved" [] "Usages that providers said and that no answer can have; they are not counted.";
    ATTEMPTS = Counter "sluicegate_attempts" ["pool", "provider", "result"] "Attempts at a provider, by how they ended.";
    RETRIES = Counter "sluicegate_retries" ["pool", "provider", "reason"] "Further attempts that an attempt at this provider made necessary, by how it had ended.";
    DROPPED_FIELDS = Counter "sluicegate_dropped_fields" ["pool", "provider"] "Fields of calls that a provider was not sent, by a rule of the translation or by its own policy.";
    SKIPPED_PARTS = Counter "sluicegate_skipped_parts" ["pool", "provider"] "Parts of answers that the caller's dialect has no words for; the caller was not given them.";
    RESENDS = Counter "sluicegate_resends" ["pool", "provider"] "Requests sent once more within an attempt, because nobody had processed them or their reused connection ended before a byte of an answer.";
    FAILOVERS = Counter "sluicegate_failovers" ["route"] "Calls that were tried at another provider after one had failed; the second attempt of a hedged call alone is no failover.";
    CONTINUED_STREAMS = Counter "sluicegate_continued_streams" ["route"] "Streams that broke off half-way and went on at another provider, where their rule lets them.";
    TOKENS = Counter "sluicegate_tokens" ["route", "pool", "provider", "model", "type"] "Tokens that providers said were used.";
    COST = Counter "sluicegate_cost_usd" ["route", "pool", "provider", "model"] "What those tokens cost by the configured prices, in US dollars.";
    PROMPT_CACHE_SAVED = Counter "sluicegate_prompt_cache_saved_usd" ["route", "pool", "provider", "model"] "What reading from providers' prompt caches saved by the configured prices, in US dollars.";
    PROMPT_CACHE_ADDED = Counter "sluicegate_prompt_cache_added_usd" ["route", "pool", "provider", "model"] "What writing to providers' prompt caches cost above the usual input by the configured prices, in US dollars.";
    USAGE_ESTIMATED = Counter "sluicegate_usage_estimated" ["route"] "Attempts whose tokens are estimated: they ended before the provider said them.";
    COST_UNKNOWN = Counter "sluicegate_cost_unknown" ["route", "pool", "provider", "model"] "Attempts whose cost is unknown: no price is configured for their tokens or the service tier that answered them, or nobody has said how many they used.";
    CACHE_HITS = Counter "sluicegate_cache_hits" ["route", "layer"] "Calls answered from the cache.";
    CACHE_MISSES = Counter "sluicegate_cache_misses" ["route"] "Calls looked up in the cache and not found.";
    CACHE_BYPASSES = Counter "sluicegate_cache_bypasses" ["route"] "Calls of caching rules that may not be cached.";
    CACHE_STORES = Counter "sluicegate_cache_stores" ["layer"] "Answers handed to the cache.";
    CACHE_ENTRIES = Gauge "sluicegate_cache_entries" ["layer"] "Answers in the cache of this process.";
    CACHE_BYTES = Gauge "sluicegate_cache_bytes" ["layer"] "Bytes in the cache of this process.";
    CACHE_EVICTIONS = Counter "sluicegate_cache_evictions" ["layer"] "Answers the cache let go to make room.";
    CACHE_ERRORS = Counter "sluicegate_cache_errors" ["layer"] "Cache operations that failed or took too long.";
    CACHE_SKIPPED = Counter "sluicegate_cache_lookups_skipped" ["layer"] "Look-ups that did not ask the layer because it was away.";
    CACHE_DROPPED = Counter "sluicegate_cache_writes_dropped" ["layer"] "Answers not written to the layer because it was away or its queue full.";
    CACHE_OPEN = Gauge "sluicegate_cache_breakers_open" ["layer"] "Nodes of the layer left alone right now, each worker's counted by itself; where a worker has never reached any, that is one.";
    CACHE_PROMOTIONS = Counter "sluicegate_cache_promotions" ["layer"] "Answers that were copied from the layer into memory.";
    CACHE_CORRUPT = Counter "sluicegate_cache_corrupt_entries" ["layer"] "What the layer gave that was not an answer of this gateway.";
    CACHE_REFUSED = Counter "sluicegate_cache_refused" ["reason"] "Answers of caching rules that were not kept.";
    REDIS_REFUSALS = Counter "sluicegate_redis_refusals" ["reason"] "Times that Redis answered, and said no: by its own word, or `AUTH` where it refused the login.";
    CIRCUIT = Gauge "sluicegate_endpoint_circuit_state" ["pool", "provider", "endpoint"] "State of the endpoint's circuit: 0 closed, 1 half open, 2 open.";
    CIRCUIT_OPENED = Counter "sluicegate_endpoint_circuit_opened" ["pool", "provider", "endpoint"] "How often the endpoint's circuit has opened.";
    OWN_LIMIT = Gauge "sluicegate_endpoint_concurrency_limit" ["pool", "provider", "endpoint"] "The most calls that this proxy may have at an endpoint at once, where `limits.adaptive` lets it find that out.";
    NEARLY_USED_UP = Counter "sluicegate_endpoint_limits_nearly_used_up" ["pool", "provider", "endpoint"] "Times that a provider's own headers said that nearly all it lets the gateway have of a model is used up: others were asked first until enough was there again.";
    ENDPOINT_INFLIGHT = Gauge "sluicegate_endpoint_inflight_requests" ["pool", "provider", "endpoint"] "Attempts in flight at the endpoint.";
    SERVER_REQUESTS = Gauge "sluicegate_model_server_requests" ["pool", "provider", "endpoint", "state"] "Calls that a model server says it has, whoever's they are: `running` and `waiting` (`modelServer` of a provider). Not there while it says nothing.";
    SERVER_CACHE = Gauge "sluicegate_model_server_cache_usage_ratio" ["pool", "provider", "endpoint"] "The part of its KV cache that a model server says is in use.";
    KEY_STATE = Gauge "sluicegate_provider_key_state" ["pool", "provider", "key"] "Whether a key of a provider is used: 0 yes, 1 it is limited and rests (one of several), 2 it was refused and has got no answer since. Without a name it is the provider's only one.";
    KEY_INFLIGHT = Gauge "sluicegate_provider_key_inflight_requests" ["pool", "provider", "key"] "Attempts in flight with one of several keys of a provider.";
    KEY_ATTEMPTS = Counter "sluicegate_provider_key_attempts" ["pool", "provider", "key", "outcome"] "Attempts with one of several keys of a provider: all of them (`used`), and those that the provider limited (`limited`) or refused (`refused`).";
    DISCOVERED_MODELS = Gauge "sluicegate_discovered_models" ["pool", "provider"] "Models in a provider's own list (`discovery`), as it was had last.";
    DISCOVERY_AGE = Gauge "sluicegate_discovery_age_seconds" ["pool", "provider"] "The time since a provider's own list was had last; it is used however old it is.";
    DISCOVERY_QUESTIONS = Counter "sluicegate_discovery_questions" ["pool", "provider", "outcome"] "Questions for a provider's own list, beside the calls: `ok` and `failed`.";
    CONNECTIONS = Gauge "sluicegate_endpoint_connections" ["pool", "provider", "endpoint", "state"] "Connections to the endpoint, active and idle.";
    CONNECTIONS_OPENED = Counter "sluicegate_endpoint_connections_opened" ["pool", "provider", "endpoint"] "Connections made to the endpoint.";
    ENDPOINT_LATENCY = Gauge "sluicegate_endpoint_latency_seconds" ["pool", "provider", "endpoint", "form"] "The time that an endpoint lets callers wait, as `LeastLatency` weighs it: to the first token of a `stream`, to the end of a `whole` answer.";
    AFFINITY = Counter "sluicegate_affinity_calls" ["pool", "outcome"] "Calls of conversations that a pool keeps together: went to the endpoint where theirs is at home (`kept`), or to another one (`moved`).";
    HEDGES = Counter "sluicegate_hedged_attempts" ["pool", "outcome"] "Second attempts beside one that kept its caller waiting: all of them (`sent`), and those that answered first (`won`).";
    MIRRORED = Counter "sluicegate_mirrored_calls" ["pool", "outcome"] "Copies of calls for a pool: `sent`; not made because too many were under way (`dropped`); not sent because no provider of it could take one (`refused`).";
    CONFIG = Info "sluicegate_config" ["revision"] "The revision of the configuration that runs.";
    CONFIG_GENERATION = Gauge "sluicegate_config_generation" [] "How many configurations this process has applied.";
    PRICE_LIST = Gauge "sluicegate_price_list_timestamp_seconds" [] "The day when the price list that is used (`--prices`) was last gone through, in seconds since 1970.";
    CONFIG_APPLIED = Gauge "sluicegate_config_applied_timestamp_seconds" [] "When the running configuration was applied, in seconds since 1970.";
    CONFIG_REJECTED = Gauge "sluicegate_config_rejected_objects" [] "Objects of the newest configuration that are not applied as written.";
    CONFIG_REJECTIONS = Counter "sluicegate_config_rejections" [] "Configurations read with at least one object rejected.";
    COALESCED = Counter "sluicegate_coalesced_calls" ["outcome"] "Calls of coalescing rules: had an answer made (`led`), shared one under way (`joined`), found none to share (`alone`).";
    FLIGHT_LEASES = Counter "sluicegate_flight_leases" ["outcome"] "Flights of rules whose proxies share answers: this proxy led (`led`), read what another one led (`followed`), went on when that one was gone (`taken_over`), had it by itself for want of Redis or room (`alone`).";
    FLIGHT_OPERATIONS = Counter "sluicegate_flight_redis_operations" ["operation"] "Questions to Redis for flights that proxies share: for a lease (`claim`), to renew it and tell what has come (`publish`), for what has come (`poll`).";
    KEPT_RESPONSES = Counter "sluicegate_kept_responses" ["outcome"] "Conversations of the Responses API that the gateway keeps (`--keep-responses`): `kept`; too large, or not taken by Redis (`not_kept`); put in front of a call that goes on from one (`expanded`); asked for and not there, or no longer (`missed`); deleted by their owners (`forgotten`).";
    FLIGHTS = Gauge "sluicegate_flights" [] "Answers under way that identical calls may share.";
    LEARNT_NEWS = Counter "sluicegate_endpoint_news" ["outcome"] "News of endpoints and of keys, such as a cooldown: told to other proxies (`told`), heard from them and of use here (`heard`), not told for want of Redis or room (`untold`).";
    LEARNT_UNREADABLE = Counter "sluicegate_endpoint_news_unreadable" [] "Messages in the log by which proxies tell one another that no proxy of this version wrote.";
    MEMORY_BUDGET = Gauge "sluicegate_memory_budget_bytes" [] "Bytes that calls may hold in sum: bodies, answers, streams held back.";
    MEMORY_USED = Gauge "sluicegate_memory_budget_used_bytes" [] "Bytes of the memory budget that calls hold.";
    MEMORY_REFUSALS = Counter "sluicegate_memory_budget_refusals" ["purpose"] "How often the memory budget had no room: for a small call, a large body or answer, a recording for the cache.";
    LOG_DROPPED = Counter "sluicegate_log_lines_dropped" ["reason"] "Log lines not written: the queue was full, errors came too fast, or their output did not take them.";
    SERIES_FOLDED = Counter "sluicegate_series_folded" [] "Label sets that were counted under `other` because there were too many.";
    FILE_RELOAD_FAILURES = Counter "sluicegate_file_reload_failures" ["file"] "Looks at files that are read again while the process runs (`certificate`, `response_keys`) that found what can not be used; what is in use stays.";
    CERTIFICATE_ENDS = Gauge "sluicegate_tls_certificate_not_after_timestamp_seconds" [] "When the certificate that is served ends, in seconds since 1970.";
    CONSUMER_REQUESTS = Counter "sluicegate_consumer_requests" ["consumer"] "Calls of a consumer, each counted once when it ended; of more than 1000 consumers the further ones together, as `other`.";
    CONSUMER_TOKENS = Counter "sluicegate_consumer_tokens" ["consumer", "type"] "Tokens that a consumer's answered calls used, input and output.";
    CONSUMER_COST = Counter "sluicegate_consumer_cost_usd" ["consumer"] "What those tokens cost by the configured prices, in US dollars.";
    CONSUMER_LIMITED = Counter "sluicegate_consumer_limited" ["consumer"] "Calls of a consumer that a rate limit had no room for.";
    CONSUMER_LABELS = Gauge "sluicegate_consumer_label" ["consumer", "label", "value"] "1 for each label of `chargeback` of a consumer that has calls: to be joined with its other families.";
    LIMIT_CHECKS = Counter "sluicegate_limit_checks" ["unit", "outcome"] "Rate limits that calls asked for room: those of calls that were admitted, and those that refused one.";
    PROVIDER_LIMIT_CHECKS = Counter "sluicegate_provider_limit_checks" ["unit", "outcome"] "Rate limits of providers and of their keys that attempts asked for room: those of attempts that were made, and those that had none for one, which went elsewhere.";
    LIMIT_UNANSWERED = Counter "sluicegate_limit_checks_unanswered" [] "Rate limits that Redis did not answer for in time: this proxy decided by itself.";
    LIMIT_LOST = Counter "sluicegate_limit_corrections_lost" [] "What calls used of their limits and Redis could not be told: it stays counted as it was taken.";
    LIMIT_PROXIES = Gauge "sluicegate_limit_proxies" [] "Proxies that share rate limits, as this one last heard.";
    PLACES_IN_USE = Gauge "sluicegate_concurrency_inflight_calls" ["scope"] "Calls that have a place under a limit of concurrency, by what the limit is on: `consumer`, `route`, `provider`, `endpoint`, `key`.";
    PLACES_SECONDS = Counter "sluicegate_concurrency_inflight_seconds" ["scope"] "Integral of the calls that have a place.";
    LEASES_UNANSWERED = Counter "sluicegate_concurrency_leases_unanswered" [] "Times that Redis did not say in time which places of a limit of concurrency are this proxy's.";
    QUEUED_CALLS = Gauge "sluicegate_queued_calls" ["scope"] "Calls that wait for a place, or for room in the window of a rate limit (scope `rate`). They are calls in flight too.";
    QUEUED_SECONDS = Counter "sluicegate_queued_seconds" ["scope"] "Integral of the calls that wait; its rate is their exact mean.";
    QUEUE_REFUSALS = Counter "sluicegate_queue_refusals" ["scope", "reason"] "Calls that got no place: there was none free and no room to wait (full), or they had waited too long (timeout).";
    TOKEN_FETCHES = Counter "sluicegate_cloud_token_fetches" ["cloud", "outcome"] "Tokens and keys that this proxy asked a cloud for, by whether it got them.";
    TOKENS_KEPT = Gauge "sluicegate_cloud_tokens" ["cloud"] "Tokens and keys of clouds that this proxy keeps fresh.";
    TOKENS_GOOD = Gauge "sluicegate_cloud_tokens_good" ["cloud"] "Those of them that are good now; a provider whose token is not gets no calls.";
    BUDGET_CHECKS = Counter "sluicegate_budget_checks" ["unit", "outcome"] "Budgets that calls asked for room: `admitted`, `refused`, or `exceeded` and let in all the same.";
    BUDGET_ALERTS = Counter "sluicegate_budget_alerts" ["budget", "percent"] "Percentages of `alertAt` that were reached, each once in a period; of more than 1000 the further ones together, as `other`.";
    BUDGET_UNANSWERED = Counter "sluicegate_budget_checks_unanswered" [] "Budgets that Redis did not answer for in time: this proxy decided by itself.";
    BUDGET_EXPIRED = Counter "sluicegate_budget_reservations_expired" [] "Reservations whose proxy did not settle them in time: they stay spent.";
    BUDGET_LOST = Counter "sluicegate_budget_settlements_lost" [] "What calls cost of their budgets and Redis could not be told in time.";
    JWT_TOKENS = Counter "sluicegate_jwt_tokens" ["outcome"] "Callers' tokens of known issuers: found good before (cached), found good now (verified), refused, or without an issuer's keys (unverifiable).";
    JWKS_FETCHES = Counter "sluicegate_jwks_fetches" ["outcome"] "Fetches of issuers' keys, by whether they were had.";
    JWKS_KEPT = Gauge "sluicegate_jwks" [] "Issuers whose keys this proxy keeps.";
    JWKS_USABLE = Gauge "sluicegate_jwks_usable" [] "Those of them whose keys it has; a caller with a token of another one is told to come again.";
    GEN_AI_TOKENS = Histogram "gen_ai_client_token_usage" ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_response_model", "gen_ai_token_type"] "Tokens used per call (OpenTelemetry gen_ai.client.token.usage).";
    GEN_AI_DURATION = Histogram "gen_ai_server_request_duration_seconds" ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_response_model", "error_type"] "Duration of calls in seconds (OpenTelemetry gen_ai.server.request.duration); error_type is the outcome of those that did not end well, and empty for the others.";
    GEN_AI_FIRST_TOKEN = Histogram "gen_ai_server_time_to_first_token_seconds" ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_response_model"] "Time to the first token of streamed answers in seconds (OpenTelemetry gen_ai.server.time_to_first_token).";
    GEN_AI_PER_TOKEN = Histogram "gen_ai_server_time_per_output_token_seconds" ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_response_model"] "Time per output token after the first in seconds (OpenTelemetry gen_ai.server.time_per_output_token).";
    PROCESS_MEMORY = Gauge "process_resident_memory_bytes" [] "Resident memory of this process.";
    PROCESS_CPU = Counter "process_cpu_seconds" [] "CPU time of this process, user and system.";
    PROCESS_FDS = Gauge "process_open_fds" [] "Open file descriptors of this process.";
    PROCESS_START = Gauge "process_start_time_seconds" [] "When this process started, in seconds since 1970.";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The row of a metric in docs/metrics.md.
    fn row(metric: &Metric) -> String {
        let (suffix, kind) = match metric.kind {
            MetricKind::Counter => ("_total", "counter"),
            MetricKind::Gauge => ("", "gauge"),
            MetricKind::Histogram => ("", "histogram"),
            MetricKind::Info => ("_info", "info"),
        };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        format!("| `{}{suffix}` | {kind} | {labels} | {} |", metric.name, metric.help)
    }

    #[test]
    fn the_document_says_the_same() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
        let document = std::fs::read_to_string(path).unwrap();
        let written: Vec<&str> = document.lines().filter(|line| line.starts_with("| `")).collect();
        let meant: Vec<String> = ALL.iter().map(|metric| row(metric)).collect();
        assert_eq!(written, meant);
    }

    #[test]
    fn names_follow_the_conventions() {
        for metric in ALL {
            let (name, help) = (metric.name, metric.help);
            assert!(["sluicegate_", "gen_ai_", "process_"].iter().any(|prefix| name.starts_with(prefix)), "{name}");
            assert!(!name.ends_with("_total") && !name.ends_with("_info"), "the exposition adds it: {name}");
            assert!(help.ends_with('.') && !help.contains(['\n', '|', '\\', '"']), "{name}: {help}");
        }
        let mut names: Vec<&str> = ALL.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
