//! Look-alikes: servers that speak OpenAI Chat Completions and are not OpenAI, by the host of their address or by their name.
//!
//! A row says where a server differs from what most of them take. What no row names is a server of an unknown make, which
//! gets the most careful form. docs/providers.md is written from the rows.

mod habits;
mod hosted;
mod own;
mod row;

pub use habits::{
    CallHabit, CallIds, HostFieldRule, KeyUse, MessageFields, OffWord, PrefillMark, ReasoningBack, SideOperation,
    SignaturePlace, SystemMessages, UsageHabit,
};
pub use row::LookAlike;

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::gemini::gemini;
use super::policy::{FieldAction, FieldPolicy};
use crate::schema_patterns::portable;
use crate::schema_types::typed;
use row::UNKNOWN;

impl LookAlike {
    /// Every row.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        hosted::ROWS.iter().chain(&own::ROWS)
    }

    /// The row of this name, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|row| row.name.eq_ignore_ascii_case(name)).copied()
    }

    /// The row of the look-alike at this host; else that of an unknown make.
    #[must_use]
    pub fn at(host: &str) -> Self {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let below = |name: &str| host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        Self::all().find(|row| row.hosts.iter().any(|name| below(name))).copied().unwrap_or(UNKNOWN)
    }

    /// The same row for an address with this path.
    #[must_use]
    pub fn at_path(self, path: &str) -> Self {
        let below =
            |wanted: &str| path.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let there = self.prefill_at.filter(|(wanted, _)| below(wanted)).map(|(_, mark)| mark);
        Self { prefill: self.prefill.or(there), ..self }
    }

    /// The path of its address, where all its customers have the same.
    #[must_use]
    pub fn base_path(&self) -> Option<&'static str> {
        let (_, rest) = self.base?.split_once("://")?;
        let path = rest.find('/').map_or("", |slash| rest.get(slash..).unwrap_or_default());
        path.bytes().all(|byte| !byte.is_ascii_uppercase()).then_some(path)
    }

    /// True if it says its thoughts in the content itself, as pieces of a list.
    #[must_use]
    pub fn thinks_in_content(&self) -> bool {
        self.thoughts == "content"
    }

    /// True if it keeps the beginning of a prompt where a part of it is marked, for this model.
    #[must_use]
    pub fn takes_cache_marks(&self, model: &str) -> bool {
        let model = model.to_ascii_lowercase();
        self.cache_marks.iter().any(|word| model.contains(word))
    }

    /// True if it has this operation beside Chat Completions.
    #[must_use]
    pub fn has(&self, operation: SideOperation) -> bool {
        self.beside_chat.contains(&operation)
    }

    /// A schema with what it does not take out of it, or said in other words.
    pub(crate) fn schema<'s>(&self, schema: Cow<'s, RawValue>) -> Cow<'s, RawValue> {
        let schema = if self.any_pattern { schema } else { portable(schema) };
        if self.typed_schemas { typed(schema) } else { schema }
    }

    /// The values of `reasoning_effort` that it takes for this model; `None`: as the table of models says.
    pub(crate) fn efforts_of(&self, model: &str) -> Option<&'static [&'static str]> {
        let own = self.model_efforts.iter().find(|(beginning, _)| model.starts_with(beginning));
        own.map(|(_, efforts)| *efforts).or(self.efforts)
    }

    /// True if it hands calls of this model on to Google's API, schemas as they are.
    pub(crate) fn hands_on_to_gemini(&self, model: &str) -> bool {
        self.name == "Databricks" && model.to_ascii_lowercase().contains("gemini")
    }

    /// True if it takes a form for the answer of this model beside tools; Google's address for OpenAI's words takes what its models do.
    pub(crate) fn takes_form_beside_tools(&self, model: &str) -> bool {
        self.format_beside_tools && (self.name != "GeminiOpenAI" || gemini(model).format_beside_tools)
    }

    /// Its rules for fields, as a policy that a user's own goes over.
    #[must_use]
    pub fn policy(&self) -> FieldPolicy {
        let action = |rule: &HostFieldRule| match rule {
            HostFieldRule::Drop => FieldAction::Drop,
            HostFieldRule::Refuse => FieldAction::Refuse,
            HostFieldRule::Rename(to) => FieldAction::Rename((*to).to_owned()),
        };
        let unasked = (self.usage != UsageHabit::WhenAsked).then(|| ("stream_options".to_owned(), FieldAction::Drop));
        self.fields.iter().map(|(name, rule)| ((*name).to_owned(), action(rule))).chain(unasked).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_those_below_it_are_known_and_no_other() {
        assert_eq!(LookAlike::at("api.deepseek.com").reasoning, ReasoningBack::Required);
        assert_eq!(LookAlike::at("EU.Api.DeepSeek.com.").reasoning, ReasoningBack::Required);
        for other in ["notapi.deepseek.com", "api.deepseek.com.example", "10.0.0.1", ""] {
            assert_eq!(LookAlike::at(other), LookAlike::default(), "{other}");
        }
    }

    #[test]
    fn every_row_is_found_by_its_name_and_by_its_hosts() {
        for row in LookAlike::all() {
            assert_eq!(LookAlike::named(&row.name.to_lowercase()).unwrap(), *row);
            assert!(!row.source.is_empty(), "{}: where are its facts from?", row.name);
            assert!(row.hosts.iter().all(|host| LookAlike::at(host) == *row), "{}", row.name);
            // Who is called at one address is found by it.
            let host = row.base.map(|base| base.split('/').nth(2).unwrap_or_default());
            assert!(host.is_none_or(|host| LookAlike::at(host) == *row), "{}", row.name);
            assert_eq!(row.base.is_some(), !row.hosts.is_empty(), "{}", row.name);
        }
        assert_eq!(LookAlike::named(""), None);
    }

    #[test]
    fn a_mark_that_one_path_takes_goes_there_alone() {
        let row = LookAlike::named("DeepSeek").unwrap();
        for (path, marked) in [("/beta", true), ("/beta/v1", true), ("/v1", false), ("/betas", false), ("", false)] {
            assert_eq!(row.at_path(path).prefill.is_some(), marked, "{path}");
        }
        let mistral = LookAlike::named("Mistral").unwrap();
        assert_eq!(mistral.at_path("/v1"), mistral);
    }

    #[test]
    fn the_path_of_an_address_is_known_where_all_have_the_same() {
        for (name, path) in [
            ("Groq", Some("/openai/v1")),
            ("Perplexity", Some("")),
            ("Databricks", Some("/serving-endpoints")),
            ("Cloudflare", None),
            ("vLLM", None),
        ] {
            assert_eq!(LookAlike::named(name).unwrap().base_path(), path, "{name}");
        }
    }
}
