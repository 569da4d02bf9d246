//! The line of one call, written straight into the buffer that is written out: with every call logged, how it is put together is
//! a part of what a call costs.

use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sluicegate_config::PicoUsd;
use sluicegate_dialects::Dialect;
use sluicegate_dialects::hub::Usage;

use super::super::outcome::{AttemptEnd, kind_label};
use super::super::record::Record;
use super::super::table::NONE;
use super::super::timestamp::rfc3339;

/// Writes lines. The date changes once a second at the most, so it is kept.
#[derive(Debug, Default)]
pub(super) struct LineWriter {
    second: Option<u64>,
    /// `2026-11-23T01:44:05.`
    date: String,
}

impl LineWriter {
    /// Appends a call's line. Absent facts are left out.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, record: &Record, at: SystemTime) {
        let table = &*record.table;
        let provider = table.provider_names(record.attempt.provider);
        self.begin(out, at);
        let mut line = Line(out);
        line.text("operation", record.operation.label());
        if record.aside {
            line.flag("mirror", true);
        }
        line.maybe("request_id", record.request_id.as_ref().and_then(|id| id.to_str().ok()));
        if let Some(client) = record.client {
            line.name("client");
            // A vector takes whatever it is given.
            let _ = write!(line.0, "\"{client}\"");
        }
        line.maybe("consumer", record.consumer.as_ref().map(|consumer| consumer.id().0.as_str()));
        line.text("route", table.route_name(record.route));
        line.maybe("rule", record.rule.and_then(|rule| table.rule_name(record.route, rule)));
        line.text("pool", provider.map_or(NONE, |names| &names.pool));
        line.text("provider", provider.map_or(NONE, |names| &names.name));
        line.maybe("endpoint", record.attempt.endpoint.as_deref());
        line.maybe("model", record.asked.text(table));
        line.maybe("model_sent", record.attempt.sent_model.text(table));
        line.maybe("model_answered", record.attempt.answered_model.text(table));
        line.dialect("dialect", record.dialect_in);
        line.dialect("provider_dialect", record.attempt.dialect);
        line.flag("stream", record.stream);
        line.number("status", record.code().into());
        line.end_of(record);
        line.used(record);
        line.time("duration_ms", Some(record.duration));
        line.time("first_token_ms", record.first_token);
        line.time("upstream_ms", record.upstream());
        line.time("overhead_ms", record.overhead());
        line.time("queued_ms", Some(record.queued).filter(|time| !time.is_zero()));
        line.number("bytes_in", record.bytes_in);
        line.number("bytes_out", record.bytes_out);
        out.extend_from_slice(b"}\n");
    }

    fn begin(&mut self, out: &mut Vec<u8>, at: SystemTime) {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != Some(since.as_secs()) {
            self.second = Some(since.as_secs());
            self.date = rfc3339(UNIX_EPOCH + Duration::from_secs(since.as_secs()));
            self.date.truncate(self.date.len().saturating_sub("000Z".len()));
        }
        out.extend_from_slice(b"{\"time\":\"");
        out.extend_from_slice(self.date.as_bytes());
        out.extend_from_slice(&thousandths(since.subsec_millis()));
        out.extend_from_slice(b"Z\",\"kind\":\"call\"");
    }
}

/// A line under way, with its first members in it.
struct Line<'a>(&'a mut Vec<u8>);

impl Line<'_> {
    /// A member's name, which is one of ours.
    fn name(&mut self, name: &str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        if text.bytes().all(|byte| byte >= b' ' && !matches!(byte, b'"' | b'\\')) {
            self.0.push(b'"');
            self.0.extend_from_slice(text.as_bytes());
            self.0.push(b'"');
        } else {
            // A vector takes whatever it is given.
            let _ = serde_json::to_writer(&mut *self.0, text);
        }
    }

    fn maybe(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn dialect(&mut self, name: &str, dialect: Option<Dialect>) {
        if let Some(dialect) = dialect {
            self.name(name);
            let _ = serde_json::to_writer(&mut *self.0, &dialect);
        }
    }

    fn flag(&mut self, name: &str, flag: bool) {
        self.name(name);
        self.0.extend_from_slice(if flag { b"true" } else { b"false" });
    }

    fn number(&mut self, name: &str, number: u64) {
        self.name(name);
        self.0.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    /// Milliseconds, to the microsecond.
    fn time(&mut self, name: &str, time: Option<Duration>) {
        let Some(time) = time else { return };
        let micros = (time + Duration::from_nanos(500)).as_micros();
        self.number(name, u64::try_from(micros / 1000).unwrap_or(u64::MAX));
        let rest = u32::try_from(micros % 1000).unwrap_or_default();
        if rest > 0 {
            self.0.push(b'.');
            self.0.extend_from_slice(&thousandths(rest));
        }
    }

    /// The end of it, and the time until then.
    fn end_of(&mut self, record: &Record) {
        self.text("outcome", record.end.label());
        if let Some((fault, kind)) = record.error {
            self.text("fault", fault.label());
            self.text("error", kind_label(kind));
        }
        self.maybe("detail", record.detail.as_deref());
        self.number("attempts", record.attempts.into());
        self.flag("failover", record.failover);
        if record.hedged {
            self.flag("hedged", true);
        }
        if record.resends > 0 {
            self.number("resends", record.resends.into());
        }
        self.maybe("last_attempt", record.last_attempt.map(AttemptEnd::label));
        self.number("client_retry", record.client_retry.into());
        self.text("cache", record.cache.label());
        self.maybe("limit", record.limited.as_deref());
    }

    /// Money in dollars: `null` where it is unknown.
    fn dollars(&mut self, name: &str, cost: Option<PicoUsd>) {
        self.name(name);
        // A vector takes whatever it is given.
        let _ = serde_json::to_writer(&mut *self.0, &cost.map(|cost| cost.0 as f64 / 1e12));
    }

    /// Its usage, and what that costs, all attempts together; and what of it is not the answer's.
    fn used(&mut self, record: &Record) {
        if let Some(usage) = record.usage() {
            let Usage { input, cached_input, cache_write, cache_write_1h, output, reasoning, .. } = usage;
            let Usage { audio_input, cached_audio, image_input, audio_output, image_output, tier, .. } = usage;
            self.name("usage");
            self.0.extend_from_slice(b"{\"input\":");
            self.0.extend_from_slice(itoa::Buffer::new().format(input).as_bytes());
            self.number("cached_input", cached_input);
            self.number("cache_write", cache_write);
            self.number("cache_write_1h", cache_write_1h);
            self.number("output", output);
            self.number("reasoning", reasoning);
            let rare = [
                ("audio_input", audio_input),
                ("cached_audio", cached_audio),
                ("image_input", image_input),
                ("audio_output", audio_output),
                ("image_output", image_output),
            ];
            rare.iter().filter(|(_, count)| *count > 0).for_each(|(name, count)| self.number(name, *count));
            self.0.push(b'}');
            self.maybe("service_tier", tier.name());
        }
        if record.is_estimated() {
            self.flag("usage_estimated", true);
        }
        let cost = record.known_cost();
        self.dollars("cost_usd", cost);
        if cost.is_none() && record.least_cost().0 > 0 {
            self.dollars("cost_usd_at_least", Some(record.least_cost()));
        }
        if record.others.have_used() {
            let usage = record.others.usage.unwrap_or_default();
            self.name("other_attempts");
            self.0.extend_from_slice(b"{\"input\":");
            self.0.extend_from_slice(itoa::Buffer::new().format(usage.input).as_bytes());
            self.number("output", usage.output);
            self.dollars("cost_usd", record.others.known_cost());
            self.0.push(b'}');
        }
    }
}

/// The three digits of a number below a thousand.
fn thousandths(number: u32) -> [u8; 3] {
    let digit = |digit: u32| b'0' + u8::try_from(digit % 10).unwrap_or_default();
    [digit(number / 100), digit(number / 10), digit(number)]
}
