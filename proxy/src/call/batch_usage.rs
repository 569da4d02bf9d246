//! The usage of a batch, read out of its results as they pass: what each answer used, by the price of its model in batches.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use sluicegate_config::{Model, PicoUsd};
use sluicegate_dialects::hub::{ServiceTier, Usage};
use sluicegate_dialects::{AnsweredBy, Dialect};

use crate::api::stored_paths::dialect_of_result;
use crate::owned::{CountMark, CountedParts};

use super::part_prices;

/// A line beyond this is not looked at: then nobody knows what the batch used.
const LONGEST_LINE: usize = 16 << 20;

/// A line of results, in OpenAI's words or in Anthropic's.
#[derive(Deserialize)]
struct WireResult<'a> {
    #[serde(borrow)]
    response: Option<WireHolder<'a>>,
    #[serde(borrow)]
    result: Option<WireHolder<'a>>,
}

#[derive(Deserialize)]
struct WireHolder<'a> {
    #[serde(borrow, alias = "message")]
    body: Option<&'a RawValue>,
}

/// The reader of one batch's results.
pub(super) struct BatchUsage {
    dialect: Dialect,
    models: Arc<BTreeMap<String, Model>>,
    line: Vec<u8>,
    usage: Usage,
    cost: PicoUsd,
    /// True if an answer has no price, or was not read.
    unpriced: bool,
    /// The number of lines that have come.
    lines: u64,
    /// The lines that are counted: those that were before are not counted again.
    mark: CountMark,
}

impl BatchUsage {
    pub(super) fn new(dialect: Dialect, models: &Arc<BTreeMap<String, Model>>, mark: CountMark) -> Self {
        let (line, usage) = (Vec::new(), Usage { tier: ServiceTier::Batch, ..Usage::default() });
        Self { dialect, models: Arc::clone(models), line, usage, cost: PicoUsd(0), unpriced: false, lines: 0, mark }
    }

    /// The next bytes.
    pub(super) fn feed(&mut self, mut data: &[u8]) {
        while let Some(end) = memchr::memchr(b'\n', data) {
            let (rest, behind) = data.split_at_checked(end + 1).unwrap_or((data, b""));
            self.hold(rest);
            self.read();
            data = behind;
        }
        self.hold(data);
    }

    fn hold(&mut self, data: &[u8]) {
        if self.line.len() + data.len() <= LONGEST_LINE {
            self.line.extend_from_slice(data);
        } else {
            // It is no JSON any more, whatever else comes of it.
            self.line.clear();
            self.line.push(b'!');
        }
    }

    /// The whole has come.
    pub(super) fn finish(&mut self) {
        self.read();
        self.mark.are(CountedParts::All);
    }

    /// The usage of the lines that are counted, and what it costs, as far as that is known; `None`: of no line.
    pub(super) fn so_far(&self) -> (Usage, Option<PicoUsd>) {
        (self.usage, (!self.unpriced || self.cost > PicoUsd(0)).then_some(self.cost))
    }

    /// The memory that it takes.
    pub(super) const fn held(&self) -> usize {
        self.line.capacity()
    }

    fn read(&mut self) {
        let line = std::mem::take(&mut self.line);
        // An empty line is no request's.
        if line.trim_ascii().is_empty() {
            return;
        }
        self.lines += 1;
        if self.lines <= self.mark.before() {
            return;
        }
        self.mark.are(CountedParts::Until(self.lines));
        match serde_json::from_slice(&line) {
            Ok(WireResult { response, result }) => {
                if let Some(body) = response.or(result).and_then(|holder| holder.body) {
                    self.add(body.get().as_bytes());
                }
            }
            Err(_) => self.unpriced = true,
        }
    }

    fn add(&mut self, answer: &[u8]) {
        let dialect = dialect_of_result(self.dialect, answer);
        let Ok(Some(usage)) = dialect.usage_of_whole(answer) else { return };
        let usage = Usage { tier: ServiceTier::Batch, ..usage.believed() };
        let by = AnsweredBy::of_whole(answer);
        let price = |model: &str| self.model(model).and_then(|model| model.price.as_deref());
        let answered = by.model.as_deref().and_then(price);
        let cost = |tier| part_prices::cost(Usage { tier, ..usage }, answered, (&by, price));
        // No vendor asks more for a batch than for calls.
        match cost(ServiceTier::Batch).or_else(|| cost(ServiceTier::Standard)) {
            Some(cost) => self.cost = PicoUsd(self.cost.0.saturating_add(cost.0)),
            None => self.unpriced = true,
        }
        self.usage = Usage { tier: ServiceTier::Batch, ..self.usage.plus(usage) };
    }

    /// The model of an answer, which may name it with its date.
    fn model(&self, answered: &str) -> Option<&Model> {
        let is_it = |name: &str| {
            let rest = answered.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '@']))
        };
        let own = |(name, model): &(&String, &Model)| is_it(model.upstream_name.as_deref().unwrap_or(name));
        let fitting = self.models.iter().filter(own);
        // Of `gpt-4o` and `gpt-4o-mini` the longer one is meant.
        let length = |(name, model): &(&String, &Model)| model.upstream_name.as_deref().unwrap_or(name).len();
        fitting.max_by_key(length).map(|(_, model)| model)
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_config::compile::{compile, manifests};

    use super::*;
    use crate::owned::{ListName, OwnedLists};

    #[tokio::test]
    async fn an_empty_line_is_no_requests() {
        let text = "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {name: p}\nspec: {providers: [{name: a, \
                    type: Simulated, models: [{name: m, price: {inputPerMillion: '1', outputPerMillion: '1'}}]}]}\n";
        let compiled = compile(&manifests::read(&[("all.yaml".to_owned(), text.to_owned())]).0);
        let pool = compiled.snapshot.pools.into_values().next().unwrap();
        let models = Arc::new(pool.providers[0].models.clone());
        let answer =
            r#"{"response":{"body":{"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}}}"#;
        let lists = OwnedLists::new(Arc::default(), None);
        for (number, text) in
            [format!("{answer}\n{answer}\n"), format!("\n{answer}\n\n \r\n{answer}\r\n\r\n")].into_iter().enumerate()
        {
            let owner = [u8::try_from(number).unwrap(); 32];
            let mark = lists.counting(ListName::new(&owner, crate::sealing::IdKind::Batch)).await.unwrap();
            let mut usage = BatchUsage::new(Dialect::OpenAiChat, &models, mark);
            usage.feed(text.as_bytes());
            usage.finish();
            let (used, cost) = usage.so_far();
            assert_eq!((used.input, used.output, cost, usage.unpriced), (6, 4, Some(PicoUsd(10_000_000)), false));
        }
    }
}
