//! Models that a call names beside its own: one that answers where its own does not, one that a vendor's tool asks. They pass with the call,
//! and whoever may not have one directly may not have it so either.

use crate::every::EveryValue;
use crate::mark::{OTHERS, SeenMarks};
use crate::verbatim::names;

/// Lists in one of `fallbacks` that are none of models.
const NO_MODELS: [&str; 5] = ["betas", "stop", "stop_sequences", "messages", "tools"];

/// The models that a body names beside its own, each once in its part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtherModels {
    /// Those that may answer in its place: `fallbacks` (Anthropic, and what looks like OpenAI; LiteLLM's are lists by the model that fails, and
    /// it has two more of them), `models` (OpenRouter).
    pub answering: Vec<String>,
    /// Those that are asked while it answers: of Anthropic's advisor, and of OpenRouter's plugins and its own tools (`fusion`).
    pub advising: Vec<String>,
    /// Those of other tools of a vendor's (OpenAI's pictures), whose use is told nowhere.
    pub drawing: Vec<String>,
    /// True if its vendor chooses who may answer in its place (`fallbacks: "default"`), or beside it (`fusion` that names no models).
    pub vendors_choice: bool,
}

impl OtherModels {
    /// Those of a body in which these marks were seen.
    #[must_use]
    pub fn of(body: &[u8], seen: SeenMarks) -> Self {
        // Nearly every body ends here.
        if !seen.models {
            return Self::default();
        }
        let mut found = Self::default();
        for (name, _, value) in names(body) {
            if name != "tools" && !OTHERS.contains(&name.as_bytes()) {
                continue;
            }
            let Some(value) = body.get(value).and_then(EveryValue::read) else { continue };
            if name == "plugins" {
                for plugin in value.elements() {
                    found.vendors_choice |= plugin.texts("id").any(|id| id == "fusion") && !names_all(plugin);
                    found.advising.extend(asked_beside(plugin));
                }
                continue;
            }
            if name != "tools" {
                found.vendors_choice |= name == "fallbacks" && value.text().is_some();
                let each = value.elements().iter().flat_map(|one| one.texts("model").chain(one.text()));
                let by_model = value.elements().iter().flat_map(listed);
                found.answering.extend(each.chain(by_model).map(str::to_owned));
                continue;
            }
            for tool in value.elements() {
                let advises = tool.texts("type").any(|kind| kind.starts_with("advisor"));
                let part = if advises { &mut found.advising } else { &mut found.drawing };
                part.extend(tool.texts("model").map(str::to_owned));
                let fuses = tool.texts("type").any(|kind| kind == "openrouter:fusion");
                found.vendors_choice |= fuses && !tool.each("parameters").any(names_all);
                found.advising.extend(tool.each("parameters").flat_map(asked_beside));
            }
        }
        for part in [&mut found.answering, &mut found.advising, &mut found.drawing] {
            part.sort_unstable();
            part.dedup();
        }
        found
    }

    /// All that it names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.priced().chain(self.drawing.iter().map(String::as_str))
    }

    /// Those whose tokens an answer tells.
    pub fn priced(&self) -> impl Iterator<Item = &str> {
        self.answering.iter().chain(&self.advising).map(String::as_str)
    }

    /// True if the tokens of another model than the call's own may be in its answer's usage.
    #[must_use]
    pub const fn are_priced(&self) -> bool {
        self.may_answer() || !self.advising.is_empty()
    }

    /// True if another model than the call's own may answer.
    #[must_use]
    pub const fn may_answer(&self) -> bool {
        self.vendors_choice || !self.answering.is_empty()
    }
}

/// The models that a plugin or a tool of OpenRouter's asks.
fn asked_beside(settings: &EveryValue) -> impl Iterator<Item = String> {
    let listed = settings.each("analysis_models").flat_map(EveryValue::elements).filter_map(EveryValue::text);
    settings.texts("model").chain(listed).map(str::to_owned)
}

/// True if `fusion` with these settings asks no models of its vendor's choice.
fn names_all(settings: &EveryValue) -> bool {
    settings.texts("model").next().is_some() && settings.each("analysis_models").any(|list| !list.elements().is_empty())
}

/// The models in the lists of one of `fallbacks`, each of which stands under the model that fails.
fn listed(fallback: &EveryValue) -> impl Iterator<Item = &str> {
    let lists = fallback.members().iter().filter(|(name, _)| !NO_MODELS.contains(&name.as_str()));
    let each = lists.flat_map(|(_, list)| list.elements());
    each.flat_map(|one| one.texts("model").chain(one.text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_beside_the_calls_own_is_found_by_the_part_that_it_may_have() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (body, [answering, advising, drawing], vendors_choice) in [
            (
                r#"{"model":"m","fallbacks":[{"model":"a"},"b"],"tools":[{"type":"advisor_20260301","model":"c"}]}"#,
                [&["a", "b"][..], &["c"], &[]],
                false,
            ),
            (r#"{"model":"m","models":["x","x"]}"#, [&["x"], &[], &[]], false),
            (r#"{"model":"m","tools":[{"mod\u0065l":"a"}],"f\u0061llbacks":["b"]}"#, [&["b"], &[], &["a"]], false),
            (
                r#"{"model":"m","tools":[{"name":"model"}],"messages":[{"model":"m"}],"fallbacks":"default"}"#,
                [&[], &[], &[]],
                true,
            ),
            (
                r#"{"model":"m","fallbacks":[{"model":"a","model":"b"}],"tools":[{"type":"x","type":"advisor","model":"c","mod\u0065l":"d"}]}"#,
                [&["a", "b"], &["c", "d"], &[]],
                false,
            ),
            (
                r#"{"model":"m","fallbacks":[{"m":["a",{"model":"b"}]},{"model":"c","betas":["d"]}],"context_window_fallbacks":[{"m":["e"]}],"content_policy_fallbacks":[{"m":["f"]}]}"#,
                [&["a", "b", "c", "e", "f"], &[], &[]],
                false,
            ),
            (r#"{"model":"m","plugins":[{"id":"fusion","analysis_models":["a"]}]}"#, [&[], &["a"], &[]], true),
            (r#"{"model":"m","tools":[{"type":"openrouter:fusion"}]}"#, [&[], &[], &[]], true),
            (
                r#"{"model":"m","plugins":[{"id":"fusion","model":"a","analysis_models":["b","c"]},{"id":"web"}]}"#,
                [&[], &["a", "b", "c"], &[]],
                false,
            ),
            (
                r#"{"model":"m","tools":[{"type":"openrouter:fusion","parameters":{"model":"a","analysis_models":["b"]}}]}"#,
                [&[], &["a", "b"], &[]],
                false,
            ),
            (r#"{"model":"m"}"#, [&[], &[], &[]], false),
        ] {
            let peek = crate::Dialect::OpenAiChat.peek(body.as_bytes(), crate::verbatim::PathSays::default()).unwrap();
            let [answering, advising, drawing] = [answering, advising, drawing].map(list);
            let found = OtherModels::of(body.as_bytes(), peek.marks);
            assert_eq!(found, OtherModels { answering, advising, drawing, vendors_choice }, "{body}");
            assert_eq!(found.may_answer(), vendors_choice || !found.answering.is_empty());
        }
    }
}
