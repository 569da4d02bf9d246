//! Models that a call names beside its own: one that answers where its own does not, one that a vendor's tool asks. They pass with the call,
//! and whoever may not have one directly may not have it so either.

use crate::every::EveryValue;
use crate::mark::SeenMarks;
use crate::verbatim::names;

/// The models that a body names beside its own, each once in its part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtherModels {
    /// Those that may answer in its place: `fallbacks` (Anthropic, and what looks like OpenAI), `models` (OpenRouter).
    pub answering: Vec<String>,
    /// Those that are asked while it answers: of Anthropic's advisor.
    pub advising: Vec<String>,
    /// Those of other tools of a vendor's (OpenAI's pictures), whose use is told nowhere.
    pub drawing: Vec<String>,
    /// True if its vendor chooses who may answer in its place (`fallbacks: "default"`).
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
            if !["fallbacks", "models", "tools"].contains(&name.as_str()) {
                continue;
            }
            let Some(value) = body.get(value).and_then(EveryValue::read) else { continue };
            if name != "tools" {
                found.vendors_choice |= name == "fallbacks" && value.text().is_some();
                let each = value.elements().iter().flat_map(|one| one.texts("model").chain(one.text()));
                found.answering.extend(each.map(str::to_owned));
                continue;
            }
            for tool in value.elements() {
                let advises = tool.texts("type").any(|kind| kind.starts_with("advisor"));
                let part = if advises { &mut found.advising } else { &mut found.drawing };
                part.extend(tool.texts("model").map(str::to_owned));
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
