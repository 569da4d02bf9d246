//! A rule's cache, laid over its route's.

use sluicegate_crds as crds;

use super::report::Report;
use super::scalar::{bytes, millis};
use crate::{Cache, CacheKey, CacheScope, Coalesce, CoalesceScope, MemoryCache, Millis, Promotion};

const TTL: Millis = Millis(3_600_000);
const MEMORY_ENTRIES: u32 = 10_000;
const MEMORY_BYTES: u64 = 64 << 20;
const STORED_BYTES: u64 = 1 << 20;
const COMPRESS_OVER: u64 = 1 << 10;
const PROMOTION_HITS: u32 = 3;
const PROMOTION_WITHIN: Millis = Millis(300_000);

/// The two layers of one field: what the rule says, and what its route says.
struct Layers<'a> {
    rule: Option<&'a crds::Cache>,
    route: Option<&'a crds::Cache>,
    rule_path: &'a str,
}

impl<'a> Layers<'a> {
    /// The first layer that says something, and where it says so.
    fn get<T>(&self, field: &str, get: impl Fn(&'a crds::Cache) -> Option<T>) -> Option<(T, String)> {
        let from = |cache: Option<&'a crds::Cache>, path: &str| {
            cache.and_then(&get).map(|value| (value, format!("{path}.cache.{field}")))
        };
        from(self.rule, self.rule_path).or_else(|| from(self.route, "spec"))
    }

    fn value<T>(&self, get: impl Fn(&'a crds::Cache) -> Option<T>) -> Option<T> {
        self.rule.and_then(&get).or_else(|| self.route.and_then(&get))
    }
}

/// The cache of a rule at `rule_path`; `None`: its answers are not cached.
pub(super) fn merge(
    rule: Option<&crds::Cache>,
    route: Option<&crds::Cache>,
    rule_path: &str,
    report: &mut Report<'_>,
) -> Option<Cache> {
    if rule.is_none() && route.is_none() {
        return None;
    }
    let layers = Layers { rule, route, rule_path };
    let cache = Cache {
        ttl: time(layers.get("ttl", |c| c.ttl.as_ref()), report).unwrap_or(TTL),
        scope: scope(&layers),
        memory: memory(&layers, report),
        redis: layers.value(|c| c.redis.as_ref()?.enabled).unwrap_or(true),
        promotion: promotion(&layers, report),
        store_length: store_length(&layers),
        key: key(&layers),
        min_content_length: layers.value(|c| c.store.as_ref()?.min_content_length).unwrap_or(0),
        max_bytes: size(layers.get("store.maxBytes", |c| c.store.as_ref()?.max_bytes.as_ref()), report)
            .unwrap_or(STORED_BYTES),
        compress_over: layers.value(|c| c.compression.as_ref()).map(|_| {
            size(layers.get("compression.over", |c| c.compression.as_ref()?.over.as_ref()), report)
                .unwrap_or(COMPRESS_OVER)
        }),
        generation: layers.value(|c| c.generation).map_or(0, u64::from),
    };
    // Judged whole before it is turned off, so that a mistake in it does not wait for the day it is turned on.
    (cache.ttl > Millis(0) && (cache.memory.is_some() || cache.redis)).then_some(cache)
}

/// The sharing of one answer by identical calls: who shares, and what is identical, is as the cache has it, on or off.
pub(super) fn coalesce(
    coalesce: Option<&crds::Coalesce>,
    rule: Option<&crds::Cache>,
    route: Option<&crds::Cache>,
) -> Option<Coalesce> {
    let scope = match coalesce?.scope {
        crds::CoalesceScope::Off => return None,
        crds::CoalesceScope::Pod => CoalesceScope::Pod,
        crds::CoalesceScope::Cluster => CoalesceScope::Cluster,
    };
    let layers = Layers { rule, route, rule_path: "" };
    Some(Coalesce { scope, callers: self::scope(&layers), key: key(&layers) })
}

fn scope(layers: &Layers<'_>) -> CacheScope {
    match layers.value(|c| c.scope) {
        None | Some(crds::CacheScope::Consumer) => CacheScope::Consumer,
        Some(crds::CacheScope::Route) => CacheScope::Route,
    }
}

fn memory(layers: &Layers<'_>, report: &mut Report<'_>) -> Option<MemoryCache> {
    let max_entries = layers.value(|c| c.memory.as_ref()?.max_entries).unwrap_or(MEMORY_ENTRIES);
    let max_bytes =
        size(layers.get("memory.maxBytes", |c| c.memory.as_ref()?.max_bytes.as_ref()), report).unwrap_or(MEMORY_BYTES);
    (max_entries > 0 && max_bytes > 0).then_some(MemoryCache { max_entries: max_entries.into(), max_bytes })
}

fn promotion(layers: &Layers<'_>, report: &mut Report<'_>) -> Option<Promotion> {
    layers.value(|c| c.promotion.as_ref()).map(|_| Promotion {
        hits: layers.value(|c| c.promotion.as_ref()?.hits).unwrap_or(PROMOTION_HITS),
        within: time(layers.get("promotion.within", |c| c.promotion.as_ref()?.within.as_ref()), report)
            .unwrap_or(PROMOTION_WITHIN),
    })
}

fn key(layers: &Layers<'_>) -> CacheKey {
    let mut ignore = layers.value(|c| c.key.as_ref()?.ignore.clone()).unwrap_or_default();
    ignore.sort_unstable();
    ignore.dedup();
    CacheKey {
        trim: layers.value(|c| c.key.as_ref()?.trim).unwrap_or(false),
        lowercase: layers.value(|c| c.key.as_ref()?.lowercase).unwrap_or(false),
        temperature_decimals: layers.value(|c| c.key.as_ref()?.temperature_decimals),
        ignore,
    }
}

/// An answer of another token limit is another answer: where the limit is not in the key, none is stored that ran into it.
fn store_length(layers: &Layers<'_>) -> bool {
    let ignored = layers.value(|c| c.key.as_ref()?.ignore.as_ref());
    let keyed = ignored.is_none_or(|names| !names.iter().any(|n| n == "max_tokens" || n == "max_completion_tokens"));
    keyed && layers.value(|c| c.store.as_ref()?.length).unwrap_or(false)
}

fn time(written: Option<(&crds::Duration, String)>, report: &mut Report<'_>) -> Option<Millis> {
    written.map(|(duration, path)| report.check(&path, millis(duration)))
}

fn size(written: Option<(&crds::ByteSize, String)>, report: &mut Report<'_>) -> Option<u64> {
    written.map(|(size, path)| report.check(&path, bytes(size)))
}
