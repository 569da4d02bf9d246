//! Log probabilities between Google's words and those that the hub has for them, which are Chat Completions'.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::hub::Raw;
use crate::json::Writer;

/// Google's: the tokens that were chosen, and beside each those that might have been.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogprobsResult {
    #[serde(default)]
    chosen_candidates: Vec<GoogleToken>,
    #[serde(default)]
    top_candidates: Vec<GoogleTop>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GoogleToken {
    #[serde(default)]
    token: String,
    log_probability: serde_json::Number,
}

#[derive(Deserialize)]
struct GoogleTop {
    #[serde(default)]
    candidates: Vec<GoogleToken>,
}

/// Chat Completions': each token, with those that might have been in it.
#[derive(Deserialize)]
struct ChatLogprobs {
    content: Option<Vec<ChatToken>>,
}

#[derive(Deserialize)]
struct ChatToken {
    token: String,
    logprob: serde_json::Number,
    #[serde(default)]
    top_logprobs: Vec<ChatToken>,
}

/// Google's words read; `None`: they say nothing.
pub(super) fn read(raw: &RawValue) -> Option<Raw> {
    let LogprobsResult { chosen_candidates, top_candidates } = serde_json::from_str(raw.get()).ok()?;
    if chosen_candidates.is_empty() {
        return None;
    }
    let mut json = Writer::with_capacity(raw.get().len());
    json.open(b'{');
    json.open_field("content", b'[');
    let mut tops = top_candidates.into_iter();
    for chosen in &chosen_candidates {
        json.open(b'{');
        token(chosen, &mut json);
        json.open_field("top_logprobs", b'[');
        for top in tops.next().map(|top| top.candidates).unwrap_or_default() {
            json.open(b'{');
            token(&top, &mut json);
            json.close(b'}');
        }
        json.close(b']');
        json.close(b'}');
    }
    json.close(b']');
    json.value_field("refusal", "null");
    json.close(b'}');
    RawValue::from_string(String::from_utf8(json.into_bytes()).ok()?).ok()
}

fn token(GoogleToken { token, log_probability }: &GoogleToken, json: &mut Writer) {
    json.text_field("token", token);
    json.value_field("logprob", log_probability);
    json.open_field("bytes", b'[');
    token.bytes().for_each(|byte| json.raw(&byte.to_string()));
    json.close(b']');
}

/// Writes the member `"logprobsResult":{…}`; what is in no words of Chat Completions' is left out.
pub(super) fn write(raw: &RawValue, json: &mut Writer) {
    let Ok(ChatLogprobs { content: Some(tokens) }) = serde_json::from_str(raw.get()) else { return };
    json.open_field("logprobsResult", b'{');
    json.open_field("chosenCandidates", b'[');
    tokens.iter().for_each(|token| candidate(token, json));
    json.close(b']');
    if tokens.iter().any(|token| !token.top_logprobs.is_empty()) {
        json.open_field("topCandidates", b'[');
        for token in &tokens {
            json.open(b'{');
            json.open_field("candidates", b'[');
            token.top_logprobs.iter().for_each(|token| candidate(token, json));
            json.close(b']');
            json.close(b'}');
        }
        json.close(b']');
    }
    json.close(b'}');
}

fn candidate(ChatToken { token, logprob, top_logprobs: _ }: &ChatToken, json: &mut Writer) {
    json.open(b'{');
    json.text_field("token", token);
    json.value_field("logProbability", logprob);
    json.close(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_probabilities_come_through_and_back() {
        let google = r#"{"chosenCandidates":[{"token":"Hé","logProbability":-0.25}],"topCandidates":[{"candidates":[{"token":"Hé","logProbability":-0.25},{"token":"No","logProbability":-2.5}]}]}"#;
        let raw = RawValue::from_string(google.to_owned()).unwrap();
        let chat = read(&raw).unwrap();
        let expected = r#"{"content":[{"token":"Hé","logprob":-0.25,"bytes":[72,195,169],"top_logprobs":[{"token":"Hé","logprob":-0.25,"bytes":[72,195,169]},{"token":"No","logprob":-2.5,"bytes":[78,111]}]}],"refusal":null}"#;
        assert_eq!(chat.get(), expected);
        let mut json = Writer::default();
        json.open(b'{');
        write(&chat, &mut json);
        json.close(b'}');
        assert_eq!(String::from_utf8(json.into_bytes()).unwrap(), format!("{{\"logprobsResult\":{google}}}"));
    }
}
