//! A whole answer: read into the hub's words, and written out of them.

use super::wire::{WireChoice, WireCompletion, said, text_of, write_choice};
use crate::codec::{EncodedReply, Malformed};
use crate::dialect::Dialect;
use crate::hub::{Choice, Content, Extra, Fields, Part, Reply};
use crate::json::Writer;
use crate::openai_chat::wire;
use crate::text::Text;

/// Reads a whole answer. Errors: it is not what the dialect allows; an error object under status 200 is none either.
pub(super) fn decode(body: &[u8]) -> Result<Reply, Malformed> {
    let broken = |error: serde_json::Error| Malformed {
        message: "the provider's answer is malformed: it is not what the dialect allows".to_owned(),
        at: Some(error.column()),
    };
    let WireCompletion { id, model, created, choices, usage, service_tier, error } =
        serde_json::from_slice(body).map_err(broken)?;
    let failed = "the provider's answer is malformed: an error stands where an answer should";
    if error.is_some() {
        return Err(Malformed::new(failed));
    }
    let choices = choices.filter(|choices| !choices.is_empty());
    let choices =
        choices.ok_or_else(|| Malformed::new("the provider's answer is malformed: choices: holds no answer"))?;
    let read = |choice: WireChoice<'_>| {
        let WireChoice { index: _, text, finish_reason, stop_reason, matched_stop, logprobs, error } = choice;
        let word = finish_reason.unwrap_or_default();
        if error.is_some() || wire::is_failure(&word) {
            return Err(Malformed::new(failed));
        }
        let stop = wire::stop(&word, wire::stop_text([stop_reason, matched_stop]), false);
        let text = text.map(Text::whole).unwrap_or_default();
        let parts = vec![Part::new(Content::Text { text, citations: None })];
        Ok(Choice { parts, stop, logprobs: logprobs.map(ToOwned::to_owned), extra: Fields::new() })
    };
    Ok(Reply {
        id: id.unwrap_or_default(),
        model: model.unwrap_or_default(),
        created: created.as_ref().and_then(wire::seconds),
        choices: choices.into_iter().map(read).collect::<Result<_, _>>()?,
        usage: usage.and_then(|raw| wire::usage_at(raw, service_tier)),
        extra: Extra::none(Dialect::OpenAiCompletions),
    })
}

/// Writes a whole answer. `created` is 0 where nobody said it: the caller of this function has the clock.
pub(super) fn encode(reply: &Reply) -> EncodedReply {
    let Reply { id, model, created, choices, usage, extra } = reply;
    let own = extra.dialect == Dialect::OpenAiCompletions;
    let mut json = Writer::with_capacity(512);
    json.open(b'{');
    json.text_field("id", id);
    json.text_field("object", "text_completion");
    json.value_field("created", created.unwrap_or(0));
    json.text_field("model", model);
    json.open_field("choices", b'[');
    for (index, choice) in (0..).zip(choices) {
        let Choice { parts: _, stop, logprobs, extra: _ } = choice;
        let logprobs = logprobs.as_ref().filter(|_| own).map(|raw| raw.get());
        write_choice(index, &text_of(choice), logprobs, Some(stop), &mut json);
    }
    json.close(b']');
    if let Some(usage) = usage {
        wire::write_usage(usage, &mut json);
    }
    json.close(b'}');
    let parts = choices.iter().flat_map(|choice| &choice.parts);
    EncodedReply { body: json.into_bytes(), skipped: parts.filter(|part| said(&part.content).is_none()).count() }
}
