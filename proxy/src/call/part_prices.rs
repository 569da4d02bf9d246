//! The prices of a call that lets other models than its own have a part in its answer: each part costs as the model that it is from.

use std::collections::BTreeMap;
use std::sync::Arc;

use sluicegate_config::{Model, PicoUsd, Price};
use sluicegate_dialects::hub::Usage;
use sluicegate_dialects::{AnsweredBy, OtherModels};

use crate::account::AttemptEntry;
use crate::pricing;
use crate::state::Provider;

/// The digits of the shortest date behind a model's name: `-0613`.
const SHORTEST_DATE: usize = 4;

/// The prices of the models that may have a part in one answer.
pub(super) struct PartPrices {
    /// The call's own model, as its provider names it, and its price.
    own: Box<str>,
    price: Option<Arc<Price>>,
    /// True if another one may answer in its place.
    may_answer: bool,
    models: Arc<BTreeMap<String, Model>>,
}

impl PartPrices {
    /// Those of a call that names these others and is sent to this model; `None`: no other one has a part in its answer, as of nearly
    /// every call.
    pub(super) fn of(
        others: &OtherModels,
        provider: &Provider,
        (sent, price): (&str, Option<&Arc<Price>>),
    ) -> Option<Box<Self>> {
        if !others.are_priced() {
            return None;
        }
        let may_answer = others.may_answer();
        let (own, price, models) = (Box::from(sent), price.map(Arc::clone), Arc::clone(&provider.models));
        Some(Box::new(Self { own, price, may_answer, models }))
    }

    /// Counts the usage of an answer. `is_estimated`: some of it nobody has said.
    pub(super) fn count(
        &self,
        entry: &mut AttemptEntry,
        (usage, is_estimated): (Usage, bool),
        by: Option<&AnsweredBy>,
    ) {
        by.and_then(|by| by.model.as_deref()).into_iter().for_each(|model| entry.answered_model(model));
        let answered = self.of_answer(by.and_then(|by| by.model.as_deref()));
        match by.filter(|by| !by.beside.is_empty()) {
            None => entry.usage(usage, answered),
            Some(by) => entry.summed_usage(usage, cost(usage, answered, (by, |model: &str| self.of_beside(model)))),
        }
        if is_estimated {
            entry.is_estimated();
        }
    }

    /// The price of the model that has given the answer; `None`: it is not known, or not known who has.
    fn of_answer(&self, answered: Option<&str>) -> Option<&Price> {
        if self.may_answer { self.of_beside(answered?) } else { self.price.as_deref() }
    }

    fn of_beside(&self, model: &str) -> Option<&Price> {
        if is_same(model, &self.own) { self.price.as_deref() } else { listed(&self.models, model)?.price.as_deref() }
    }
}

/// The cost of an answer in which other models have a part; `None`: that of one is not known.
pub(super) fn cost<'a>(
    usage: Usage,
    answered: Option<&'a Price>,
    (by, of_beside): (&AnsweredBy, impl Fn(&str) -> Option<&'a Price>),
) -> Option<PicoUsd> {
    let (mut rest, mut sum) = (usage, 0_u64);
    for (model, part) in &by.beside {
        rest = rest.without(*part);
        let part = Usage { tier: usage.tier, ..*part };
        sum = sum.saturating_add(pricing::cost(&part, of_beside(model)?)?.0);
    }
    let own = pricing::cost(&rest, answered?)?.0;
    Some(PicoUsd(sum.saturating_add(own)))
}

/// The model of a provider's list that an answer names so, maybe with its date.
pub(super) fn listed<'a>(models: &'a BTreeMap<String, Model>, answered: &str) -> Option<&'a Model> {
    fn name<'a>((name, model): &(&'a String, &'a Model)) -> &'a str {
        model.upstream_name.as_deref().unwrap_or(name)
    }
    let fitting = models.iter().filter(|one| is_same(answered, name(one)));
    // One that is listed with its date goes before the one without.
    fitting.max_by_key(|one| name(one).len()).map(|(_, model)| model)
}

/// True if an answer of this model may name it so: by its name, by that with a date, or by the one that an alias stands for.
fn is_same(answered: &str, name: &str) -> bool {
    let plain = name.strip_suffix("-latest").unwrap_or(name);
    // OpenRouter's variants (`:nitro`) are told by the model alone.
    let plain = plain.split_once(':').map_or(plain, |(plain, _)| plain);
    let behind = |name: &str| answered.strip_prefix(name);
    let is_date = |rest: &str| {
        let digits = rest.bytes().filter(u8::is_ascii_digit).count();
        let is_one = rest.bytes().skip(1).all(|byte| byte.is_ascii_digit() || byte == b'-');
        rest.starts_with(['-', '@']) && is_one && digits >= SHORTEST_DATE
    };
    behind(name).is_some_and(str::is_empty) || behind(plain).is_some_and(|rest| rest.is_empty() || is_date(rest))
}

#[cfg(test)]
mod tests {
    use sluicegate_config::Rates;

    use super::*;

    fn model(each: u64) -> Model {
        let price = Price::of(Rates::of(PicoUsd(each), PicoUsd(each * 10)));
        Model { price: Some(Arc::new(price)), ..Model::default() }
    }

    fn prices(may_answer: bool) -> PartPrices {
        let models = [("small", model(1)), ("large", model(100)), ("free", Model::default())];
        let models = models.map(|(name, model)| (name.to_owned(), model)).into_iter().collect();
        let own = model(1).price;
        PartPrices { own: "small".into(), price: own, may_answer, models: Arc::new(models) }
    }

    #[test]
    fn an_answer_costs_as_the_model_that_gave_it() {
        let used = Usage { input: 10, output: 1, ..Usage::default() };
        let of = |may_answer, model| {
            prices(may_answer).of_answer(model).and_then(|price| pricing::cost(&used, price)).map(|cost| cost.0)
        };
        for (may_answer, model, cost) in [
            (true, Some("small"), Some(20)),
            (true, Some("small-2026-01-02"), Some(20)),
            (true, Some("large"), Some(2_000)),
            (true, Some("large-20260102"), Some(2_000)),
            (true, Some("free"), None),
            (true, Some("large-8"), None),
            (true, None, None),
            // Nobody else may: it is called otherwise there.
            (false, Some("large"), Some(20)),
        ] {
            assert_eq!(of(may_answer, model), cost, "{model:?}");
        }
    }

    #[test]
    fn each_part_costs_as_the_model_that_it_is_from() {
        let used = |input, output| Usage { input, output, ..Usage::default() };
        let of = |beside: &[(&str, Usage)]| {
            let prices = prices(false);
            let beside = beside.iter().map(|(model, usage)| ((*model).to_owned(), *usage)).collect();
            let by = AnsweredBy { model: None, beside };
            let beside = |model: &str| prices.of_beside(model);
            cost(used(30, 3), prices.of_answer(None), (&by, beside)).map(|cost| cost.0)
        };
        assert_eq!(of(&[("large", used(20, 2))]), Some(10 + 10 + 2_000 + 2_000));
        assert_eq!(of(&[("large", used(10, 1)), ("small", used(10, 1))]), Some(20 + 2_000 + 20));
        assert_eq!(of(&[("nobody's", used(20, 2))]), None);
    }

    #[test]
    fn a_model_is_the_same_with_its_date_and_another_one_with_a_number() {
        for (answered, name, same) in [
            ("gpt-4o-2024-11-20", "gpt-4o", true),
            ("gpt-4-0613", "gpt-4", true),
            ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5", true),
            ("claude-3-5-haiku-20241022", "claude-3-5-haiku-latest", true),
            ("openai/gpt-4o", "openai/gpt-4o:nitro", true),
            ("x:free", "x:free", true),
            ("gpt-4o-mini", "gpt-4o", false),
            ("claude-opus-4-8", "claude-opus-4", false),
            ("gpt-4o", "gpt-4o-2024-11-20", false),
        ] {
            assert_eq!(is_same(answered, name), same, "{answered} {name}");
        }
    }
}
