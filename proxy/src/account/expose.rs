//! The exposition: cells added up by the labels of each family, written by prometheus-client.

use std::fmt::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;

use crate::concurrency::ConcurrencyStat;

use super::cells::{AttemptCells, CallCells, Seldom, TOKEN_TYPES};
use super::file_stat::FileStat;
use super::histogram::{Bounds, Counter, DURATION, FIRST_TOKEN, Histogram, OVERHEAD, PER_TOKEN, TOKENS, Total};
use super::metrics::{CallLabels, ConfigState, JwksStat, LimitStat, Metrics, MetricsReading, lock};
use super::names;
use super::outcome::{AttemptEnd, CacheLayer};
use super::page::{Page, Samples, Values};
use super::process;
use super::table::OTHER;

impl Metrics {
    /// The registry that writes these metrics; encode it with [`Metrics::write`].
    fn registry(self: &Arc<Self>) -> Registry {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Exposition(Arc::clone(self))));
        registry
    }

    /// Everything as OpenMetrics text.
    ///
    /// # Errors
    /// When `out` does.
    pub fn write(self: &Arc<Self>, out: &mut String) -> Result<(), Error> {
        prometheus_client::encoding::text::encode(out, &self.registry())
    }
}

/// The metrics as prometheus-client wants to meet them.
#[derive(Debug)]
struct Exposition(Arc<Metrics>);

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let reading = self.0.read();
        let mut page = Page { encoder };
        page.info(&names::BUILD, env!("CARGO_PKG_VERSION"))?;
        page.calls(&reading)?;
        page.in_flight(&self.0, &reading)?;
        page.attempts(&reading)?;
        page.usage(&reading)?;
        page.cache(&reading)?;
        page.cache_layers(&self.0)?;
        page.endpoints(&self.0)?;
        page.pools(&self.0)?;
        page.provider_keys(&self.0)?;
        page.discovery(&self.0)?;
        page.config(&reading.config)?;
        page.flights(&self.0)?;
        page.learning(&self.0)?;
        page.kept_responses(&self.0)?;
        page.memory(&self.0)?;
        page.log(&self.0)?;
        page.files(&self.0)?;
        page.consumers(&self.0)?;
        page.limits(&self.0)?;
        page.tokens(&self.0)?;
        page.jwks(&self.0)?;
        page.gen_ai(&reading)?;
        page.process(&self.0)
    }
}

type Call = (Arc<CallLabels>, Vec<Arc<CallCells>>);

fn total(cells: &[Arc<CallCells>], of: impl Fn(&CallCells) -> Option<&Counter>) -> u64 {
    cells.iter().filter_map(|cells| of(cells)).map(Counter::get).sum()
}

fn by_route(reading: &MetricsReading, of: impl Fn(&CallCells) -> Option<&Counter>) -> Samples<'_, u64> {
    sums(reading.calls.iter().map(|(labels, cells)| (vec![&*labels.route], total(cells, &of))))
}

fn sums<'a>(samples: impl Iterator<Item = (Values<'a>, u64)>) -> Samples<'a, u64> {
    let mut sums = Samples::new();
    for (values, count) in samples.filter(|(_, count)| *count > 0) {
        *sums.entry(values).or_default() += count;
    }
    sums
}

fn histograms<'a>(
    calls: impl Iterator<Item = &'a Call>,
    bounds: &'static Bounds,
    values: impl Fn(&'a CallLabels) -> Values<'a>,
    of: impl Fn(&CallCells) -> Option<&Histogram>,
) -> Samples<'a, Total> {
    let mut totals = Samples::new();
    for (labels, cells) in calls {
        for histogram in cells.iter().filter_map(|cells| of(cells)).filter(|histogram| histogram.is_used()) {
            totals.entry(values(labels)).or_insert_with(|| Total::new(bounds)).add(histogram);
        }
    }
    totals
}

/// Durations of calls, with the errors that they ended in.
fn durations<'a>(
    calls: impl Iterator<Item = &'a Call>,
    values: impl Fn(&'a CallLabels, &'static str) -> Values<'a>,
) -> Samples<'a, Total> {
    let mut totals = Samples::new();
    for (labels, cells) in calls {
        let all = cells.iter().flat_map(|cells| cells.durations());
        for (error, histogram) in all.filter(|(_, histogram)| histogram.is_used()) {
            totals.entry(values(labels, error)).or_insert_with(|| Total::new(&DURATION)).add(histogram);
        }
    }
    totals
}

fn seconds_since_1970(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map(|since| since.as_secs_f64()).unwrap_or_default()
}

impl Metrics {
    /// Asked at each scrape what became of conversations that the gateway keeps: each outcome's word, and how many.
    pub fn ask_kept_responses(&self, ask: impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static) {
        lock(&self.kept_responses).push(Box::new(ask));
    }

    /// Asked at each scrape how the files stand that are read again.
    pub fn ask_files(&self, ask: impl Fn() -> Vec<FileStat> + Send + Sync + 'static) {
        lock(&self.files).push(Box::new(ask));
    }
}

impl Page<'_> {
    fn calls(&mut self, reading: &MetricsReading) -> Result<(), Error> {
        let codes: Vec<_> = reading
            .calls
            .iter()
            .flat_map(|(labels, cells)| {
                cells.iter().flat_map(move |cells| cells.codes.read().map(move |c| (labels, c)))
            })
            .map(|(labels, (pair, count))| match pair {
                Some((code, end)) => (labels, code.to_string(), end.label(), count),
                None => (labels, "other".to_owned(), "other", count),
            })
            .collect();
        let requests = sums(codes.iter().map(|(labels, code, end, count)| {
            (vec![&*labels.route, &*labels.pool, &*labels.provider, &*labels.asked, code.as_str(), *end], *count)
        }));
        self.counters(&names::REQUESTS, &requests)?;
        let route = |labels| {
            let labels: &CallLabels = labels;
            vec![&*labels.route]
        };
        let calls = || reading.calls.iter();
        self.histogram(&names::DURATION, &durations(calls(), |labels, _| route(labels)))?;
        self.histogram(
            &names::FIRST_TOKEN,
            &histograms(calls(), &FIRST_TOKEN, route, |cells| Some(&cells.seldom()?.first_token)),
        )?;
        self.histogram(&names::OVERHEAD, &histograms(calls(), &OVERHEAD, route, |cells| Some(&cells.overhead)))?;
        self.counters(&names::REQUEST_BYTES, &by_route(reading, |cells| Some(&cells.bytes_in)))?;
        self.counters(&names::RESPONSE_BYTES, &by_route(reading, |cells| Some(&cells.bytes_out)))
    }

    fn in_flight(&mut self, metrics: &Metrics, reading: &MetricsReading) -> Result<(), Error> {
        let now = metrics.micros(Instant::now());
        let (mut calls, mut integral, mut retries) = (0_u64, 0_u64, 0_u64);
        let (mut lost, mut disbelieved) = (0_u64, 0_u64);
        for worker in &reading.workers {
            let (of_worker, of_time) = worker.inflight.read(now);
            calls += of_worker;
            integral += of_time;
            retries += worker.client_retries.get();
            lost += worker.lost_notes.get();
            disbelieved += worker.disbelieved.get();
        }
        self.gauge(&names::INFLIGHT, calls)?;
        self.counter(&names::INFLIGHT_SECONDS, scaled(integral, 1e6))?;
        self.counter(&names::CLIENT_RETRIES, retries)?;
        self.counter(&names::NOTES_LOST, lost)?;
        self.counter(&names::USAGE_DISBELIEVED, disbelieved)
    }

    fn attempts(&mut self, reading: &MetricsReading) -> Result<(), Error> {
        let of = |get: fn(&AttemptCells) -> &[Counter; AttemptEnd::COUNT]| {
            sums(reading.attempts.iter().flat_map(move |((pool, provider), cells)| {
                cells.iter().flat_map(move |cells| {
                    let counts = AttemptEnd::ALL.iter().zip(get(cells));
                    counts.map(move |(end, count)| (vec![&**pool, &**provider, end.label()], count.get()))
                })
            }))
        };
        self.counters(&names::ATTEMPTS, &of(|cells| &cells.ends))?;
        self.counters(&names::RETRIES, &of(|cells| &cells.retries))?;
        let dropped = sums(reading.attempts.iter().flat_map(|((pool, provider), cells)| {
            cells.iter().map(move |cells| (vec![&**pool, &**provider], cells.dropped.get()))
        }));
        self.counters(&names::DROPPED_FIELDS, &dropped)?;
        let skipped = sums(reading.attempts.iter().flat_map(|((pool, provider), cells)| {
            cells.iter().map(move |cells| (vec![&**pool, &**provider], cells.skipped.get()))
        }));
        self.counters(&names::SKIPPED_PARTS, &skipped)?;
        let resends = sums(reading.attempts.iter().flat_map(|((pool, provider), cells)| {
            cells.iter().map(move |cells| (vec![&**pool, &**provider], cells.resends.get()))
        }));
        let resends = resends.into_iter().filter(|(_, count)| *count > 0).collect();
        self.counters(&names::RESENDS, &resends)?;
        self.counters(&names::FAILOVERS, &by_route(reading, |cells| Some(&cells.seldom()?.failovers)))?;
        self.counters(&names::CONTINUED_STREAMS, &by_route(reading, |cells| Some(&cells.seldom()?.continued)))
    }

    fn usage(&mut self, reading: &MetricsReading) -> Result<(), Error> {
        let tokens = sums(reading.calls.iter().flat_map(|(labels, cells)| {
            cells.iter().flat_map(move |cells| {
                TOKEN_TYPES.iter().zip(cells.tokens()).map(move |(kind, tokens)| {
                    let mut values = served_by(labels);
                    values.push(kind);
                    (values, tokens.units())
                })
            })
        }));
        self.counters(&names::TOKENS, &tokens)?;
        let cost =
            sums(reading.calls.iter().map(|(labels, cells)| (served_by(labels), total(cells, |c| Some(&c.cost)))));
        let cost: Samples<'_, f64> = cost.into_iter().map(|(values, pico)| (values, scaled(pico, 1e12))).collect();
        self.counters(&names::COST, &cost)?;
        for (at, name) in [&names::PROMPT_CACHE_SAVED, &names::PROMPT_CACHE_ADDED].into_iter().enumerate() {
            let of = |cells| total(cells, |cells| cells.seldom()?.prompt_cache.get(at));
            let money = sums(reading.calls.iter().map(|(labels, cells)| (served_by(labels), of(cells))));
            self.counters(name, &money.into_iter().map(|(values, pico)| (values, scaled(pico, 1e12))).collect())?;
        }
        self.counters(&names::USAGE_ESTIMATED, &by_route(reading, |cells| Some(&cells.seldom()?.estimated)))?;
        let unpriced =
            reading.calls.iter().map(|(labels, cells)| (served_by(labels), total(cells, |c| Some(&c.unpriced))));
        self.counters(&names::COST_UNKNOWN, &sums(unpriced))
    }

    fn consumers(&mut self, metrics: &Metrics) -> Result<(), Error> {
        let read = metrics.consumers.read(Instant::now());
        let named = || read.iter().map(|(id, cells)| (id.as_ref().map_or(OTHER, |id| id.0.as_str()), cells));
        self.counters(&names::CONSUMER_REQUESTS, &sums(named().map(|(id, cells)| (vec![id], cells.calls.get()))))?;
        let tokens = named().flat_map(|(id, cells)| {
            [("input", &cells.input), ("output", &cells.output)].map(|(kind, count)| (vec![id, kind], count.get()))
        });
        self.counters(&names::CONSUMER_TOKENS, &sums(tokens))?;
        let cost = sums(named().map(|(id, cells)| (vec![id], cells.cost.get())));
        let cost: Samples<'_, f64> = cost.into_iter().map(|(values, pico)| (values, scaled(pico, 1e12))).collect();
        self.counters(&names::CONSUMER_COST, &cost)?;
        let limited = sums(named().map(|(id, cells)| (vec![id], cells.limited.get())));
        self.counters(&names::CONSUMER_LIMITED, &limited)?;
        let told = read.iter().filter_map(|(id, cells)| Some((id.as_ref()?.0.as_str(), cells.charged.load_full()?)));
        let told: Vec<_> = told.collect();
        let labels = told.iter().flat_map(|(id, charged)| {
            charged.pairs.iter().map(move |(name, value)| (vec![*id, name.as_str(), value.as_str()], 1_u64))
        });
        self.gauges(&names::CONSUMER_LABELS, &labels.collect())
    }

    fn limits(&mut self, metrics: &Metrics) -> Result<(), Error> {
        let stats: Vec<_> = lock(&metrics.limits).iter().flat_map(|ask| ask()).collect();
        let checks = stats.iter().flat_map(|stat| &stat.checks);
        self.counters(
            &names::LIMIT_CHECKS,
            &sums(checks.map(|(unit, outcome, count)| (vec![*unit, *outcome], *count))),
        )?;
        let checks = stats.iter().flat_map(|stat| &stat.provider_checks);
        let checks = sums(checks.map(|(unit, outcome, count)| (vec![*unit, *outcome], *count)));
        self.counters(&names::PROVIDER_LIMIT_CHECKS, &checks)?;
        self.counter(&names::LIMIT_UNANSWERED, stats.iter().map(|stat| stat.unanswered).sum::<u64>())?;
        self.counter(&names::LIMIT_LOST, stats.iter().map(|stat| stat.lost).sum::<u64>())?;
        self.gauge(&names::LIMIT_PROXIES, stats.iter().map(|stat| stat.proxies).max().unwrap_or(1))?;
        self.concurrency(&stats)?;
        self.budgets(&stats)
    }

    fn concurrency(&mut self, stats: &[LimitStat]) -> Result<(), Error> {
        let all = || stats.iter().flat_map(|stat| &stat.concurrency);
        let of = |read: fn(&ConcurrencyStat) -> u64| all().map(|stat| (vec![stat.scope], read(stat))).collect();
        let seconds =
            |read: fn(&ConcurrencyStat) -> u64| all().map(|stat| (vec![stat.scope], scaled(read(stat), 1e6))).collect();
        let places = || all().filter(|stat| stat.has_places());
        let at_work = places().map(|stat| (vec![stat.scope], stat.at_work.0)).collect();
        self.gauges(&names::PLACES_IN_USE, &at_work)?;
        let at_work = places().map(|stat| (vec![stat.scope], scaled(stat.at_work.1, 1e6))).collect();
        self.counters(&names::PLACES_SECONDS, &at_work)?;
        self.counter(&names::LEASES_UNANSWERED, stats.iter().map(|stat| stat.leases_unanswered).sum::<u64>())?;
        self.gauges(&names::QUEUED_CALLS, &of(|stat| stat.waiting.0))?;
        self.counters(&names::QUEUED_SECONDS, &seconds(|stat| stat.waiting.1))?;
        let refused = all().flat_map(|stat| stat.refused.map(|(reason, count)| (vec![stat.scope, reason], count)));
        self.counters(&names::QUEUE_REFUSALS, &refused.collect())
    }

    fn budgets(&mut self, stats: &[LimitStat]) -> Result<(), Error> {
        let checks = stats.iter().flat_map(|stat| &stat.budget_checks);
        let checks = sums(checks.map(|(unit, outcome, count)| (vec![*unit, *outcome], *count)));
        self.counters(&names::BUDGET_CHECKS, &checks)?;
        let alerts = stats.iter().flat_map(|stat| &stat.budget_alerts);
        let alerts = sums(alerts.map(|(of, percent, count)| (vec![&**of, percent.as_str()], *count)));
        self.counters(&names::BUDGET_ALERTS, &alerts)?;
        let trouble = |at: usize| stats.iter().filter_map(|stat| stat.budget_troubles.get(at)).sum::<u64>();
        self.counter(&names::BUDGET_UNANSWERED, trouble(0))?;
        self.counter(&names::BUDGET_EXPIRED, trouble(1))?;
        self.counter(&names::BUDGET_LOST, trouble(2))
    }

    fn jwks(&mut self, metrics: &Metrics) -> Result<(), Error> {
        let stats: Vec<_> = lock(&metrics.jwks).iter().flat_map(|ask| ask()).collect();
        let rows = |list: fn(&JwksStat) -> &[(&'static str, u64)]| {
            sums(stats.iter().flat_map(list).map(|(outcome, count)| (vec![*outcome], *count)))
        };
        self.counters(&names::JWT_TOKENS, &rows(|stat| &stat.tokens))?;
        self.counters(&names::JWKS_FETCHES, &rows(|stat| &stat.fetches))?;
        self.gauge(&names::JWKS_KEPT, stats.iter().map(|stat| stat.kept).sum::<u64>())?;
        self.gauge(&names::JWKS_USABLE, stats.iter().map(|stat| stat.usable).sum::<u64>())
    }

    fn tokens(&mut self, metrics: &Metrics) -> Result<(), Error> {
        let stats: Vec<_> = lock(&metrics.tokens).iter().flat_map(|ask| ask()).collect();
        let fetches = stats.iter().flat_map(|stat| &stat.fetches);
        self.counters(
            &names::TOKEN_FETCHES,
            &sums(fetches.map(|(cloud, outcome, count)| (vec![*cloud, *outcome], *count))),
        )?;
        let (mut kept, mut good) = (Samples::new(), Samples::new());
        for (cloud, all, sound) in stats.iter().flat_map(|stat| &stat.kept) {
            kept.insert(vec![*cloud], *all);
            good.insert(vec![*cloud], *sound);
        }
        self.gauges(&names::TOKENS_KEPT, &kept)?;
        self.gauges(&names::TOKENS_GOOD, &good)
    }

    fn cache(&mut self, reading: &MetricsReading) -> Result<(), Error> {
        let hits = reading.calls.iter().flat_map(|(labels, cells)| {
            cells.iter().filter_map(|cells| cells.seldom()).flat_map(move |seldom: &Seldom| {
                let layers =
                    [CacheLayer::Memory, CacheLayer::Redis, CacheLayer::Flight].into_iter().zip(&seldom.cache_hits);
                layers.map(move |(layer, count)| (vec![&*labels.route, layer.label()], count.get()))
            })
        });
        self.counters(&names::CACHE_HITS, &sums(hits))?;
        self.counters(&names::CACHE_MISSES, &by_route(reading, |cells| Some(&cells.seldom()?.cache_misses)))?;
        self.counters(&names::CACHE_BYPASSES, &by_route(reading, |cells| Some(&cells.seldom()?.cache_bypasses)))
    }

    fn cache_layers(&mut self, metrics: &Metrics) -> Result<(), Error> {
        let stats: Vec<_> = lock(&metrics.caches).iter().flat_map(|ask| ask()).collect();
        let of = |get: fn(&super::CacheStat) -> Option<u64>| -> Samples<'_, u64> {
            stats.iter().filter_map(|stat| Some((vec![stat.layer], get(stat)?))).collect()
        };
        self.counters(&names::CACHE_STORES, &of(|stat| Some(stat.stores)))?;
        self.gauges(&names::CACHE_ENTRIES, &of(|stat| stat.entries))?;
        self.gauges(&names::CACHE_BYTES, &of(|stat| stat.bytes))?;
        self.counters(&names::CACHE_EVICTIONS, &of(|stat| Some(stat.evictions)))?;
        self.counters(&names::CACHE_ERRORS, &of(|stat| Some(stat.errors)))?;
        self.counters(&names::CACHE_SKIPPED, &of(|stat| Some(stat.remote?.skipped)))?;
        self.counters(&names::CACHE_DROPPED, &of(|stat| Some(stat.remote?.dropped)))?;
        self.gauges(&names::CACHE_OPEN, &of(|stat| Some(stat.remote?.open)))?;
        self.counters(&names::CACHE_PROMOTIONS, &of(|stat| Some(stat.remote?.promotions)))?;
        self.counters(&names::CACHE_CORRUPT, &of(|stat| Some(stat.remote?.corrupt)))?;
        let refused = stats.iter().flat_map(|stat| &stat.refused).map(|(reason, count)| (vec![*reason], *count));
        self.counters(&names::CACHE_REFUSED, &refused.collect())?;
        let says_no = stats.iter().flat_map(|stat| &stat.says_no).map(|(reason, count)| (vec![*reason], *count));
        self.counters(&names::REDIS_REFUSALS, &says_no.collect())
    }

    fn endpoints(&mut self, metrics: &Metrics) -> Result<(), Error> {
        let stats: Vec<_> = lock(&metrics.endpoints).iter().flat_map(|ask| ask()).collect();
        let of = |get: fn(&super::EndpointStat) -> Option<u64>| -> Samples<'_, u64> {
            let named = |stat| {
                let stat: &super::EndpointStat = stat;
                vec![&*stat.pool, &*stat.provider, &*stat.endpoint]
            };
            stats.iter().filter_map(|stat| Some((named(stat), get(stat)?))).collect()
        };
        self.gauges(&names::CIRCUIT, &of(|stat| Some(stat.circuit as u64)))?;
        self.counters(&names::CIRCUIT_OPENED, &of(|stat| Some(stat.circuit_opened)))?;
        self.gauges(&names::OWN_LIMIT, &of(|stat| stat.own_limit))?;
        self.counters(&names::NEARLY_USED_UP, &of(|stat| Some(stat.nearly_used_up)))?;
        self.gauges(&names::ENDPOINT_INFLIGHT, &of(|stat| Some(stat.in_flight)))?;
        self.server_loads(&stats)?;
        let connections: Samples<'_, u64> = stats
            .iter()
            .filter_map(|stat| Some((stat, stat.connections?)))
            .flat_map(|(stat, (active, idle, _))| {
                [("active", active), ("idle", idle)]
                    .map(|(state, count)| (vec![&*stat.pool, &*stat.provider, &*stat.endpoint, state], count))
            })
            .collect();
        self.gauges(&names::CONNECTIONS, &connections)?;
        self.counters(&names::CONNECTIONS_OPENED, &of(|stat| Some(stat.connections?.2)))?;
        let latencies: Samples<'_, f64> = stats
            .iter()
            .flat_map(|stat| {
                ["stream", "whole"].into_iter().zip(stat.latency).map(move |(form, time)| (stat, form, time))
            })
            .filter_map(|(stat, form, time)| Some((vec![&*stat.pool, &*stat.provider, &*stat.endpoint, form], time?)))
            .collect();
        self.gauges(&names::ENDPOINT_LATENCY, &latencies)
    }

    fn server_loads(&mut self, stats: &[super::EndpointStat]) -> Result<(), Error> {
        let requests: Samples<'_, u64> = stats
            .iter()
            .filter_map(|stat| Some((stat, stat.server_requests?)))
            .flat_map(|(stat, counts)| {
                ["running", "waiting"]
                    .into_iter()
                    .zip(counts)
                    .map(|(state, count)| (vec![&*stat.pool, &*stat.provider, &*stat.endpoint, state], count))
            })
            .collect();
        self.gauges(&names::SERVER_REQUESTS, &requests)?;
        let caches: Samples<'_, f64> = stats
            .iter()
            .filter_map(|stat| Some((vec![&*stat.pool, &*stat.provider, &*stat.endpoint], stat.server_cache?)))
            .collect();
        self.gauges(&names::SERVER_CACHE, &caches)
    }

    fn discovery(&mut self, metrics: &Metrics) -> Result<(), Error> {
        let stats: Vec<_> = lock(&metrics.discovery).iter().flat_map(|ask| ask()).collect();
        let lists = || stats.iter().filter_map(|stat| Some((vec![&*stat.pool, &*stat.provider], stat.list?)));
        let models = lists().map(|(named, (models, _))| (named, models)).collect();
        self.gauges(&names::DISCOVERED_MODELS, &models)?;
        self.gauges(&names::DISCOVERY_AGE, &lists().map(|(named, (_, age))| (named, age)).collect())?;
        let questions = stats.iter().flat_map(|stat| {
            stat.questions.iter().map(move |(word, count)| (vec![&*stat.pool, &*stat.provider, *word], *count))
        });
        self.counters(&names::DISCOVERY_QUESTIONS, &sums(questions))
    }

    fn provider_keys(&mut self, metrics: &Metrics) -> Result<(), Error> {
        let stats: Vec<_> = lock(&metrics.provider_keys).iter().flat_map(|ask| ask()).collect();
        let named = |stat| {
            let stat: &super::KeyStat = stat;
            vec![&*stat.pool, &*stat.provider, &*stat.key]
        };
        self.gauges(&names::KEY_STATE, &stats.iter().map(|stat| (named(stat), stat.state)).collect())?;
        let in_flight = stats.iter().filter_map(|stat| Some((named(stat), stat.in_flight?)));
        self.gauges(&names::KEY_INFLIGHT, &in_flight.collect())?;
        let attempts = stats.iter().flat_map(|stat| {
            stat.attempts.iter().map(move |(word, count)| ([&named(stat)[..], &[*word]].concat(), *count))
        });
        self.counters(&names::KEY_ATTEMPTS, &sums(attempts))
    }

    fn pools(&mut self, metrics: &Metrics) -> Result<(), Error> {
        let stats: Vec<_> = lock(&metrics.pools).iter().flat_map(|ask| ask()).collect();
        let affinity =
            stats.iter().flat_map(|stat| stat.affinity.iter().map(|(word, count)| (vec![&*stat.pool, word], *count)));
        self.counters(&names::AFFINITY, &sums(affinity))?;
        let hedges =
            stats.iter().flat_map(|stat| stat.hedges.iter().map(|(word, count)| (vec![&*stat.pool, word], *count)));
        self.counters(&names::HEDGES, &sums(hedges))?;
        let mirrors =
            stats.iter().flat_map(|stat| stat.mirrors.iter().map(|(word, count)| (vec![&*stat.pool, word], *count)));
        self.counters(&names::MIRRORED, &sums(mirrors))
    }

    fn config(&mut self, config: &ConfigState) -> Result<(), Error> {
        if !config.revision.is_empty() {
            self.info(&names::CONFIG, &config.revision)?;
        }
        self.gauge(&names::CONFIG_GENERATION, config.generation)?;
        if let Some(applied) = config.applied {
            self.gauge(&names::CONFIG_APPLIED, seconds_since_1970(applied))?;
        }
        self.gauge(&names::CONFIG_REJECTED, config.rejected)?;
        self.counter(&names::CONFIG_REJECTIONS, config.rejections)
    }

    fn flights(&mut self, metrics: &Metrics) -> Result<(), Error> {
        let stats: Vec<_> = lock(&metrics.flights).iter().flat_map(|ask| ask()).collect();
        let calls = stats.iter().flat_map(|stat| &stat.calls).map(|(outcome, count)| (vec![*outcome], *count));
        self.counters(&names::COALESCED, &calls.collect())?;
        let leases = stats.iter().flat_map(|stat| &stat.leases).map(|(outcome, count)| (vec![*outcome], *count));
        self.counters(&names::FLIGHT_LEASES, &leases.collect())?;
        let asked = stats.iter().flat_map(|stat| &stat.operations).map(|(word, count)| (vec![*word], *count));
        self.counters(&names::FLIGHT_OPERATIONS, &asked.collect())?;
        self.gauge(&names::FLIGHTS, stats.iter().map(|stat| stat.under_way).sum::<u64>())
    }

    fn learning(&mut self, metrics: &Metrics) -> Result<(), Error> {
        let stats: Vec<_> = lock(&metrics.learning).iter().flat_map(|ask| ask()).collect();
        let news = sums(stats.iter().flat_map(|stat| &stat.news).map(|(outcome, count)| (vec![*outcome], *count)));
        self.counters(&names::LEARNT_NEWS, &news)?;
        self.counter(&names::LEARNT_UNREADABLE, stats.iter().map(|stat| stat.unreadable).sum::<u64>())
    }

    fn kept_responses(&mut self, metrics: &Metrics) -> Result<(), Error> {
        let stats: Vec<_> = lock(&metrics.kept_responses).iter().flat_map(|ask| ask()).collect();
        self.counters(&names::KEPT_RESPONSES, &stats.iter().map(|(outcome, count)| (vec![*outcome], *count)).collect())
    }

    fn memory(&mut self, metrics: &Metrics) -> Result<(), Error> {
        let stats: Vec<_> = lock(&metrics.memory).iter().flat_map(|ask| ask()).collect();
        self.gauge(&names::MEMORY_BUDGET, stats.iter().map(|stat| stat.size).sum::<u64>())?;
        self.gauge(&names::MEMORY_USED, stats.iter().map(|stat| stat.used).sum::<u64>())?;
        let refusals = stats.iter().flat_map(|stat| &stat.refusals).map(|(purpose, count)| (vec![*purpose], *count));
        self.counters(&names::MEMORY_REFUSALS, &refusals.collect())
    }

    fn log(&mut self, metrics: &Metrics) -> Result<(), Error> {
        let reasons = ["queue", "rate", "write"].map(|reason| vec![reason]);
        let dropped = reasons.into_iter().zip(metrics.log.dropped()).collect();
        self.counters(&names::LOG_DROPPED, &dropped)?;
        if let Some(day) = metrics.price_list.get() {
            self.gauge(&names::PRICE_LIST, *day)?;
        }
        self.counter(&names::SERIES_FOLDED, metrics.folded.load(Relaxed))
    }

    fn files(&mut self, metrics: &Metrics) -> Result<(), Error> {
        let stats: Vec<_> = lock(&metrics.files).iter().flat_map(|ask| ask()).collect();
        let failures = stats.iter().map(|stat| (vec![stat.file], stat.failures)).collect();
        self.counters(&names::FILE_RELOAD_FAILURES, &failures)?;
        match stats.iter().filter_map(|stat| stat.ends).min() {
            Some(ends) => self.gauge(&names::CERTIFICATE_ENDS, ends),
            None => Ok(()),
        }
    }

    fn gen_ai(&mut self, reading: &MetricsReading) -> Result<(), Error> {
        // A call that no provider answered says nothing about one.
        let chats = || {
            reading
                .calls
                .iter()
                .filter(|(labels, _)| labels.operation.is_told_of() && labels.vendor != super::table::NONE)
        };
        let mut tokens = Samples::new();
        for (labels, cells) in chats() {
            for (kind, histogram) in cells.iter().flat_map(|cells| TOKEN_TYPES.iter().zip(cells.tokens())) {
                if histogram.is_used() {
                    let mut values = gen_ai_values(labels);
                    values.push(kind);
                    tokens.entry(values).or_insert_with(|| Total::new(&TOKENS)).add(histogram);
                }
            }
        }
        self.histogram(&names::GEN_AI_TOKENS, &tokens)?;
        let of =
            |bounds, of: fn(&CallCells) -> Option<&Histogram>| histograms(chats(), bounds, |of| gen_ai_values(of), of);
        let ended = |labels, error| gen_ai_values(labels).into_iter().chain([error]).collect();
        self.histogram(&names::GEN_AI_DURATION, &durations(chats(), ended))?;
        self.histogram(&names::GEN_AI_FIRST_TOKEN, &of(&FIRST_TOKEN, |cells| Some(&cells.seldom()?.first_token)))?;
        self.histogram(&names::GEN_AI_PER_TOKEN, &of(&PER_TOKEN, |cells| Some(&cells.seldom()?.per_token)))
    }

    fn process(&mut self, metrics: &Metrics) -> Result<(), Error> {
        if let Some(bytes) = process::resident_bytes() {
            self.gauge(&names::PROCESS_MEMORY, bytes)?;
        }
        if let Some(seconds) = process::cpu_seconds() {
            self.counter(&names::PROCESS_CPU, seconds)?;
        }
        if let Some(count) = process::open_fds() {
            self.gauge(&names::PROCESS_FDS, count)?;
        }
        self.gauge(&names::PROCESS_START, seconds_since_1970(metrics.started_wall))
    }
}

fn served_by(labels: &CallLabels) -> Values<'_> {
    vec![&labels.route, &labels.pool, &labels.provider, &labels.asked]
}

fn gen_ai_values(labels: &CallLabels) -> Values<'_> {
    vec![labels.operation.label(), labels.vendor, &labels.asked, &labels.answered]
}

fn scaled(units: u64, per_unit: f64) -> f64 {
    units as f64 / per_unit
}

#[cfg(test)]
mod tests {
    use super::super::LogQueue;
    use super::*;

    #[test]
    fn files_are_told_of_where_there_are_any() {
        let metrics = Metrics::new(LogQueue::new().0);
        let page = || {
            let mut text = String::new();
            metrics.write(&mut text).unwrap();
            text
        };
        assert!(!page().contains("sluicegate_file_reload_failures") && !page().contains("not_after"));
        let stat = |file, failures, ends| vec![FileStat { file, failures, ends }];
        metrics.ask_files(move || stat("certificate", 3, Some(1_800_000_000)));
        metrics.ask_files(move || stat("response_keys", 0, None));
        for line in [
            "sluicegate_file_reload_failures_total{file=\"certificate\"} 3",
            "sluicegate_file_reload_failures_total{file=\"response_keys\"} 0",
            "sluicegate_tls_certificate_not_after_timestamp_seconds 1800000000",
        ] {
            assert!(page().lines().any(|written| written == line), "{line}: {}", page());
        }
    }
}
