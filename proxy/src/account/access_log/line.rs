//! The line of one call, written straight into the buffer that is written out: with every call logged, how it is put together is
//! a part of what a call costs.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sluicegate_config::PicoUsd;
use sluicegate_dialects::Dialect;
use sluicegate_dialects::hub::Usage;

use super::super::outcome::kind_label;
use super::super::record::Record;
use super::super::table::NONE;
use super::super::timestamp::rfc3339;

/// The beginning of a member behind another one, as it is written.
macro_rules! member {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

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
        line.word(member!("operation"), record.operation.label());
        if record.aside {
            line.flag(member!("mirror"), true);
        }
        line.maybe(member!("request_id"), record.request_id.as_ref().and_then(|id| id.to_str().ok()));
        if let Some(client) = record.client {
            line.client(client);
        }
        line.maybe(member!("consumer"), record.consumer.as_ref().map(|consumer| consumer.id().0.as_str()));
        let charged = record.consumer.as_ref().and_then(|consumer| consumer.charged());
        line.maybe(member!("labels"), charged.as_ref().map(|labels| labels.text.as_str()));
        line.text(member!("route"), table.route_name(record.route));
        line.maybe(member!("rule"), record.rule.and_then(|rule| table.rule_name(record.route, rule)));
        line.text(member!("pool"), provider.map_or(NONE, |names| &names.pool));
        line.text(member!("provider"), provider.map_or(NONE, |names| &names.name));
        line.maybe(member!("endpoint"), record.attempt.endpoint.as_deref());
        line.maybe(member!("model"), record.asked.text(table));
        line.maybe(member!("model_sent"), record.attempt.sent_model.text(table));
        line.maybe(member!("model_answered"), record.attempt.answered_model.text(table));
        line.dialect(member!("dialect"), record.dialect_in);
        line.dialect(member!("provider_dialect"), record.attempt.dialect);
        line.flag(member!("stream"), record.stream);
        line.number(member!("status"), record.code().into());
        line.end_of(record);
        line.used(record);
        line.time(member!("duration_ms"), Some(record.duration));
        line.time(member!("first_token_ms"), record.first_token);
        line.time(member!("upstream_ms"), record.upstream());
        line.time(member!("overhead_ms"), record.overhead());
        line.time(member!("queued_ms"), Some(record.queued).filter(|time| !time.is_zero()));
        line.number(member!("bytes_in"), record.bytes_in);
        line.number(member!("bytes_out"), record.bytes_out);
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
    /// The beginning of a member.
    fn name(&mut self, member: &'static str) {
        self.0.extend_from_slice(member.as_bytes());
    }

    /// A word of ours, which is written as it is.
    fn word(&mut self, member: &'static str, word: &'static str) {
        self.quoted(member, word);
    }

    fn quoted(&mut self, member: &'static str, text: &str) {
        self.0.reserve(member.len() + text.len() + 2);
        self.name(member);
        self.0.push(b'"');
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
    }

    fn text(&mut self, member: &'static str, text: &str) {
        if is_plain(text) {
            self.quoted(member, text);
        } else {
            self.name(member);
            // A vector takes whatever it is given.
            let _ = serde_json::to_writer(&mut *self.0, text);
        }
    }

    fn maybe(&mut self, member: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(member, text);
        }
    }

    fn dialect(&mut self, member: &'static str, dialect: Option<Dialect>) {
        if let Some(dialect) = dialect {
            self.word(member, dialect.as_str());
        }
    }

    fn client(&mut self, client: IpAddr) {
        self.name(member!("client"));
        self.0.push(b'"');
        match client {
            // By hand: it is every line's, and the usual way of writing it costs as much as ten members.
            IpAddr::V4(address) => {
                for (at, octet) in address.octets().into_iter().enumerate() {
                    if at > 0 {
                        self.0.push(b'.');
                    }
                    self.0.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
                }
            }
            // A vector takes whatever it is given.
            IpAddr::V6(address) => drop(write!(self.0, "{address}")),
        }
        self.0.push(b'"');
    }

    fn flag(&mut self, member: &'static str, flag: bool) {
        self.name(member);
        self.0.extend_from_slice(if flag { b"true" } else { b"false" });
    }

    fn number(&mut self, member: &'static str, number: u64) {
        self.name(member);
        self.0.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    /// Milliseconds, to the microsecond.
    fn time(&mut self, member: &'static str, time: Option<Duration>) {
        let Some(time) = time else { return };
        let time = time.saturating_add(Duration::from_nanos(500));
        self.number(member, time.as_secs().saturating_mul(1_000).saturating_add(time.subsec_millis().into()));
        let rest = time.subsec_micros() % 1_000;
        if rest > 0 {
            self.0.push(b'.');
            self.0.extend_from_slice(&thousandths(rest));
        }
    }

    /// The end of it, and the time until then.
    fn end_of(&mut self, record: &Record) {
        self.word(member!("outcome"), record.end.label());
        if let Some((fault, kind)) = record.error {
            self.word(member!("fault"), fault.label());
            self.word(member!("error"), kind_label(kind));
        }
        self.maybe(member!("detail"), record.detail.as_deref());
        self.number(member!("attempts"), record.attempts.into());
        self.flag(member!("failover"), record.failover);
        if record.hedged {
            self.flag(member!("hedged"), true);
        }
        if record.continued > 0 {
            self.number(member!("continued"), record.continued.into());
        }
        if record.resends > 0 {
            self.number(member!("resends"), record.resends.into());
        }
        record.last_attempt.into_iter().for_each(|end| self.word(member!("last_attempt"), end.label()));
        self.number(member!("client_retry"), record.client_retry.into());
        self.word(member!("cache"), record.cache.label());
        self.maybe(member!("limit"), record.limited.as_deref());
    }

    /// Money in dollars: `null` where it is unknown.
    fn dollars(&mut self, member: &'static str, cost: Option<PicoUsd>) {
        self.name(member);
        match cost {
            // A vector takes whatever it is given.
            Some(cost) => drop(serde_json::to_writer(&mut *self.0, &(cost.0 as f64 / 1e12))),
            None => self.0.extend_from_slice(b"null"),
        }
    }

    /// Its usage, and what that costs, all attempts together; and what of it is not the answer's.
    fn used(&mut self, record: &Record) {
        if let Some(usage) = record.usage() {
            let Usage { input, cached_input, cache_write, cache_write_1h, output, reasoning, .. } = usage;
            let Usage { audio_input, cached_audio, image_input, audio_output, image_output, tier, .. } = usage;
            self.name(member!("usage"));
            self.0.extend_from_slice(b"{\"input\":");
            self.0.extend_from_slice(itoa::Buffer::new().format(input).as_bytes());
            self.number(member!("cached_input"), cached_input);
            self.number(member!("cache_write"), cache_write);
            self.number(member!("cache_write_1h"), cache_write_1h);
            self.number(member!("output"), output);
            self.number(member!("reasoning"), reasoning);
            let rare = [
                (member!("audio_input"), audio_input),
                (member!("cached_audio"), cached_audio),
                (member!("image_input"), image_input),
                (member!("audio_output"), audio_output),
                (member!("image_output"), image_output),
            ];
            rare.iter().filter(|(_, count)| *count > 0).for_each(|(member, count)| self.number(member, *count));
            self.0.push(b'}');
            self.maybe(member!("service_tier"), tier.name());
        }
        if record.is_estimated() {
            self.flag(member!("usage_estimated"), true);
        }
        let cost = record.known_cost();
        self.dollars(member!("cost_usd"), cost);
        if cost.is_none() && record.least_cost().0 > 0 {
            self.dollars(member!("cost_usd_at_least"), Some(record.least_cost()));
        }
        if record.others.have_used() {
            let usage = record.others.usage.unwrap_or_default();
            self.name(member!("other_attempts"));
            self.0.extend_from_slice(b"{\"input\":");
            self.0.extend_from_slice(itoa::Buffer::new().format(usage.input).as_bytes());
            self.number(member!("output"), usage.output);
            self.dollars(member!("cost_usd"), record.others.known_cost());
            self.0.push(b'}');
        }
    }
}

/// True if a text stands in JSON as it is. Folded without a way out, so that it is compiled to vector instructions.
fn is_plain(text: &str) -> bool {
    !text.bytes().fold(false, |odd, byte| odd | (byte < b' ') | (byte == b'"') | (byte == b'\\'))
}

/// The three digits of a number below a thousand.
fn thousandths(number: u32) -> [u8; 3] {
    let digit = |digit: u32| b'0' + u8::try_from(digit % 10).unwrap_or_default();
    [digit(number / 100), digit(number / 10), digit(number)]
}
