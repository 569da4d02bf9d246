//! All that is known of one model, from the words of all who serve it. Pure.

use std::collections::BTreeSet;

use sluicegate_config::{self as config, Model, ModelFacts};
use sluicegate_dialects::{ListedModel, Modality, ModelCapability, TokenPrices};

/// That which a pool says of a model, with what the price list told it.
pub(crate) fn of_pool(model: &Model) -> ListedModel {
    let ModelFacts { context_window, max_output, input, output, capabilities } = &model.facts;
    ListedModel {
        context_window: *context_window,
        max_output: model.max_output_tokens.or(*max_output),
        input: input.iter().map(modality).collect(),
        output: output.iter().map(modality).collect(),
        capabilities: capabilities.iter().map(capability).collect(),
        price: model.price.as_deref().map(|price| price.rates).map(|rates| TokenPrices {
            input: rates.input.0,
            output: rates.output.0,
            cached_input: rates.cached_input.0,
            cache_write: rates.cache_write.0,
            reasoning: rates.reasoning.map(|rate| rate.0),
        }),
        ..ListedModel::default()
    }
}

/// That which the first says, and what the other says of all else.
pub(crate) fn laid_over(own: ListedModel, other: &ListedModel) -> ListedModel {
    ListedModel {
        display_name: own.display_name.or_else(|| other.display_name.clone()),
        context_window: own.context_window.or(other.context_window),
        max_output: own.max_output.or(other.max_output),
        input: first(own.input, &other.input),
        output: first(own.output, &other.output),
        capabilities: first(own.capabilities, &other.capabilities),
        vectors_offered: own.vectors_offered.or(other.vectors_offered),
        price: own.price.or(other.price),
        name: own.name,
        created: own.created,
    }
}

fn first<T: Ord + Clone>(own: BTreeSet<T>, other: &BTreeSet<T>) -> BTreeSet<T> {
    if own.is_empty() { other.clone() } else { own }
}

/// Adds what one more of those that serve a model says: the largest window and answer that a call finds somewhere, the abilities that
/// all have that say any, and the price that the dearest has.
pub(super) fn join(listed: &mut ListedModel, other: ListedModel) {
    let dearer = |price: &TokenPrices| price.input.saturating_add(price.output);
    listed.display_name = listed.display_name.take().or(other.display_name);
    listed.context_window = listed.context_window.max(other.context_window);
    listed.max_output = listed.max_output.max(other.max_output);
    listed.input = common(std::mem::take(&mut listed.input), other.input);
    listed.output = common(std::mem::take(&mut listed.output), other.output);
    listed.capabilities = common(std::mem::take(&mut listed.capabilities), other.capabilities);
    listed.vectors_offered = listed.vectors_offered.max(other.vectors_offered);
    listed.price = [listed.price, other.price].into_iter().flatten().max_by_key(dearer);
}

fn common<T: Ord + Copy>(one: BTreeSet<T>, other: BTreeSet<T>) -> BTreeSet<T> {
    match (one.is_empty(), other.is_empty()) {
        (true, _) => other,
        (_, true) => one,
        (false, false) => one.intersection(&other).copied().collect(),
    }
}

const fn modality(from: &config::Modality) -> Modality {
    match from {
        config::Modality::Text => Modality::Text,
        config::Modality::Image => Modality::Image,
        config::Modality::Audio => Modality::Audio,
        config::Modality::Video => Modality::Video,
        config::Modality::File => Modality::File,
    }
}

const fn capability(from: &config::ModelCapability) -> ModelCapability {
    match from {
        config::ModelCapability::Tools => ModelCapability::Tools,
        config::ModelCapability::StructuredOutput => ModelCapability::StructuredOutput,
        config::ModelCapability::Thinking => ModelCapability::Thinking,
        config::ModelCapability::Embeddings => ModelCapability::Embeddings,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_who_serve_it_the_roomiest_the_dearest_and_what_all_can_is_told() {
        let price = |input: u64| Some(TokenPrices { input, output: input, ..TokenPrices::default() });
        let mut listed = ListedModel::default();
        let all = [
            ListedModel {
                context_window: Some(8_000),
                max_output: Some(4_000),
                vectors_offered: Some(true),
                input: [Modality::Text, Modality::Image].into(),
                price: price(2),
                ..ListedModel::default()
            },
            // One of whom nothing is known takes nothing away.
            ListedModel::default(),
            ListedModel {
                context_window: Some(128_000),
                input: [Modality::Text].into(),
                vectors_offered: Some(false),
                price: price(1),
                ..ListedModel::default()
            },
        ];
        all.into_iter().for_each(|one| join(&mut listed, one));
        assert_eq!((listed.context_window, listed.max_output), (Some(128_000), Some(4_000)));
        assert_eq!((listed.input, listed.price), ([Modality::Text].into(), price(2)));
        assert_eq!(listed.vectors_offered, Some(true));
    }

    #[test]
    fn ones_own_word_goes_over_what_others_say() {
        let other = ListedModel {
            context_window: Some(8),
            max_output: Some(4),
            display_name: Some("Shown".to_owned()),
            ..ListedModel::default()
        };
        let own = ListedModel { name: "m".to_owned(), context_window: Some(9), ..ListedModel::default() };
        let both = laid_over(own, &other);
        assert_eq!((both.name.as_str(), both.context_window, both.max_output), ("m", Some(9), Some(4)));
        assert_eq!(both.display_name.as_deref(), Some("Shown"));
    }
}
