//! That which a caller of a list wants of it beside its dialect's pages: `?provider=` and `?capability=`. Pure.

use percent_encoding::percent_decode_str;
use sluicegate_dialects::hub::ErrorKind;
use sluicegate_dialects::{ListedModel, Modality, ModelCapability};

use crate::errors::Problem;

/// The most words that are looked at.
const MOST_WORDS: usize = 16;

/// That which an ability asks of a model.
type HasAbility = fn(&ListedModel) -> bool;

/// The words for abilities, each with what it asks of a model; the first of each kind is the one that is named.
const CAPABILITIES: [(&str, HasAbility); 13] = [
    ("tools", |listed| listed.can(ModelCapability::Tools)),
    ("structured_outputs", |listed| listed.can(ModelCapability::StructuredOutput)),
    ("structured_output", |listed| listed.can(ModelCapability::StructuredOutput)),
    ("thinking", |listed| listed.can(ModelCapability::Thinking)),
    ("reasoning", |listed| listed.can(ModelCapability::Thinking)),
    ("embeddings", |listed| listed.can(ModelCapability::Embeddings)),
    ("vision", |listed| listed.input.contains(&Modality::Image)),
    ("image", |listed| listed.input.contains(&Modality::Image)),
    ("audio", |listed| listed.input.contains(&Modality::Audio)),
    ("video", |listed| listed.input.contains(&Modality::Video)),
    ("file", |listed| listed.input.contains(&Modality::File)),
    ("pdf", |listed| listed.input.contains(&Modality::File)),
    ("image_output", |listed| listed.output.contains(&Modality::Image)),
];

/// The filter of a list.
#[derive(Debug, Default)]
pub(crate) struct ListFilter {
    /// One of these is to serve the model; empty: anybody.
    providers: Vec<String>,
    /// It is to have all of these.
    capabilities: Vec<HasAbility>,
}

impl ListFilter {
    /// That which a query asks for; `None`: all. Each may stand there several times, and with several words with commas between.
    ///
    /// # Errors
    /// An ability that nobody knows.
    pub(crate) fn read(query: Option<&str>) -> Result<Option<Self>, Problem> {
        let pairs = query.into_iter().flat_map(|query| query.split('&')).filter_map(|pair| pair.split_once('='));
        let mut filter = Self::default();
        for (name, value) in pairs.filter(|(name, _)| matches!(*name, "provider" | "capability")).take(MOST_WORDS) {
            let value = percent_decode_str(value).decode_utf8_lossy();
            for word in value.split(',').map(str::trim).filter(|word| !word.is_empty()).take(MOST_WORDS) {
                match name {
                    "provider" => filter.providers.push(word.to_owned()),
                    _ => filter.capabilities.push(capability(word)?),
                }
            }
        }
        Ok((!filter.providers.is_empty() || !filter.capabilities.is_empty()).then_some(filter))
    }

    /// True if a provider is wanted, by its name in its pool or the type that it has there.
    pub(crate) fn wants(&self, names: [&str; 2]) -> bool {
        let is_named = |wanted: &String| names.iter().any(|name| wanted.eq_ignore_ascii_case(name));
        self.providers.is_empty() || self.providers.iter().any(is_named)
    }

    /// True if a model has all that it is to have.
    pub(crate) fn holds(&self, listed: &ListedModel) -> bool {
        self.capabilities.iter().all(|has| has(listed))
    }
}

fn capability(word: &str) -> Result<HasAbility, Problem> {
    let known = CAPABILITIES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    known.map(|(_, has)| *has).ok_or_else(|| {
        let shown: String = word.chars().take(50).collect();
        let words = CAPABILITIES.map(|(name, _)| name).join(", ");
        let message = format!("capability: `{shown}` is not known; write one of {words}");
        Problem::client(ErrorKind::InvalidRequest, message).param("capability".to_owned()).retry(false, None)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_wherever_they_stand_and_a_wrong_one_is_told() {
        assert!(ListFilter::read(Some("limit=5&provider=&x=capability")).unwrap().is_none());
        let filter =
            ListFilter::read(Some("provider=openai%2Clocal&capability=tools&capability=Vision")).unwrap().unwrap();
        assert!(filter.wants(["main", "OpenAI"]) && filter.wants(["local", "Simulated"]));
        assert!(!filter.wants(["main", "Anthropic"]));
        let mut listed = ListedModel { capabilities: [ModelCapability::Tools].into(), ..ListedModel::default() };
        assert!(!filter.holds(&listed));
        listed.input.insert(Modality::Image);
        assert!(filter.holds(&listed));
        assert!(ListFilter::read(Some("capability=flight")).is_err());
    }
}
