//! OpenAI's embeddings, `POST /v1/embeddings`: read and written for providers and callers of other dialects.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::codec::{Malformed, Refusal};
use crate::embeddings::{EmbeddingCall, EmbeddingReply, Embeddings};
use crate::hub::Usage;
use crate::json::{Object, Path, ROOT, Writer, string};
use crate::token_count;

/// The dialect's part for vectors.
pub(super) static EMBEDDINGS: Embeddings =
    Embeddings { texts: "input", most: MOST, decode_call, encode_call, decode_reply, encode_reply };

/// The most texts in one call; the vendor refuses more.
const MOST: usize = 2048;

const INPUT: Path<'static> = ROOT.field("input");

fn decode_call(body: &[u8]) -> Result<EmbeddingCall, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::body("the body is not UTF-8"))?;
    let whole: &RawValue =
        serde_json::from_str(text).map_err(|error| Refusal::body(format!("the body is not JSON: {error}")))?;
    let mut top = Object::read(whole.get(), &ROOT)?;
    let _ = ["model", "encoding_format"].map(|name| top.take(name));
    let input = top.take("input").ok_or_else(|| INPUT.refuse("the field is required"))?;
    let inputs = match string(input) {
        Some(text) => vec![text],
        None => texts(input)?,
    };
    let dimensions = top.count("dimensions", &ROOT)?;
    Ok(EmbeddingCall { inputs, dimensions, beside: top.rest().into_keys().collect() })
}

fn texts(input: &RawValue) -> Result<Vec<String>, Refusal> {
    let list: Vec<&RawValue> =
        serde_json::from_str(input.get()).map_err(|_| INPUT.refuse("must be a string or an array"))?;
    if list.is_empty() {
        return Err(INPUT.refuse("must hold at least one text"));
    }
    let text = |(index, raw): (usize, &RawValue)| {
        string(raw).ok_or_else(|| {
            let at = INPUT.index(index);
            at.refuse("tokens are numbers of OpenAI's own, which this provider can not read; send the text")
        })
    };
    list.into_iter().enumerate().map(text).collect()
}

fn encode_call(call: &EmbeddingCall, model: &str) -> Vec<u8> {
    let EmbeddingCall { inputs, dimensions, beside: _ } = call;
    let mut json = Writer::with_capacity(256);
    json.open(b'{');
    json.text_field("model", model);
    json.open_field("input", b'[');
    inputs.iter().for_each(|text| json.text(text));
    json.close(b']');
    if let Some(dimensions) = dimensions {
        json.value_field("dimensions", dimensions);
    }
    json.text_field("encoding_format", "float");
    json.close(b'}');
    json.into_bytes()
}

#[derive(Deserialize)]
struct WireEmbeddings<'a> {
    model: Option<String>,
    #[serde(borrow)]
    data: Vec<WireEmbedding<'a>>,
    usage: Option<WireTokens>,
}

#[derive(Deserialize)]
struct WireEmbedding<'a> {
    #[serde(default)]
    index: Option<usize>,
    #[serde(borrow)]
    embedding: &'a RawValue,
}

#[derive(Deserialize)]
struct WireTokens {
    #[serde(default, deserialize_with = "token_count::read")]
    prompt_tokens: Option<u64>,
}

fn decode_reply(body: &[u8]) -> Result<EmbeddingReply, Malformed> {
    let malformed = || Malformed::new("the provider's answer holds no vectors");
    let WireEmbeddings { model, mut data, usage } = serde_json::from_slice(body).map_err(|_| malformed())?;
    // In the order of the texts, which other dialects' answers say by nothing else.
    data.sort_by_key(|one| one.index);
    let vectors = data.into_iter().map(|one| one.embedding.to_owned()).collect();
    let input = usage.map(|usage| usage.prompt_tokens.unwrap_or_default());
    let usage = input.map(|input| Usage { input, ..Usage::default() });
    Ok(EmbeddingReply { id: String::new(), model, vectors, usage })
}

fn encode_reply(reply: &EmbeddingReply, asked: &[u8], usage: Usage) -> Vec<u8> {
    #[derive(Deserialize)]
    struct Asked {
        model: Option<String>,
        encoding_format: Option<String>,
    }
    let asked = serde_json::from_slice::<Asked>(asked).ok();
    let (named, format) = asked.map_or((None, None), |asked| (asked.model, asked.encoding_format));
    let packed = format.as_deref() == Some("base64");
    let mut json = Writer::with_capacity(1024);
    json.open(b'{');
    json.text_field("object", "list");
    json.open_field("data", b'[');
    for (index, vector) in reply.vectors.iter().enumerate() {
        json.open(b'{');
        json.text_field("object", "embedding");
        json.value_field("index", index);
        match packed.then(|| numbers(vector)).flatten() {
            Some(bytes) => json.text_field("embedding", &BASE64.encode(bytes)),
            None => json.raw_field("embedding", vector),
        }
        json.close(b'}');
    }
    json.close(b']');
    json.text_field("model", reply.model.as_deref().or(named.as_deref()).unwrap_or_default());
    json.open_field("usage", b'{');
    json.value_field("prompt_tokens", usage.input);
    json.value_field("total_tokens", usage.input);
    json.close(b'}');
    json.close(b'}');
    json.into_bytes()
}

/// A vector as the bytes of its numbers, as OpenAI packs them.
fn numbers(vector: &RawValue) -> Option<Vec<u8>> {
    let numbers: Vec<f32> = serde_json::from_str(vector.get()).ok()?;
    Some(numbers.into_iter().flat_map(f32::to_le_bytes).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_tokens_are_refused() {
        let call =
            decode_call(br#"{"model":"m","input":["a","b"],"dimensions":4,"encoding_format":"base64","user":"u"}"#)
                .unwrap();
        assert_eq!(
            (call.inputs, call.dimensions, call.beside),
            (vec!["a".into(), "b".into()], Some(4), vec!["user".into()])
        );
        assert_eq!(decode_call(br#"{"model":"m","input":"a"}"#).unwrap().inputs, ["a"]);
        for (body, param) in [
            (r#"{"model":"m","input":[1,2]}"#, "input[0]"),
            (r#"{"model":"m","input":[[1],[2]]}"#, "input[0]"),
            (r#"{"model":"m","input":[]}"#, "input"),
            (r#"{"model":"m"}"#, "input"),
        ] {
            assert_eq!(decode_call(body.as_bytes()).unwrap_err().param.as_deref(), Some(param), "{body}");
        }
    }

    #[test]
    fn vectors_are_written_as_they_are_asked_for() {
        let vectors = vec![RawValue::from_string("[0.5,-1]".into()).unwrap()];
        let reply = EmbeddingReply { id: String::new(), model: None, vectors, usage: None };
        let usage = Usage { input: 3, ..Usage::default() };
        let said = String::from_utf8(encode_reply(&reply, br#"{"model":"m"}"#, usage)).unwrap();
        let expected = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-1]}],"model":"m","usage":{"prompt_tokens":3,"total_tokens":3}}"#;
        assert_eq!(said, expected);
        let said =
            String::from_utf8(encode_reply(&reply, br#"{"model":"m","encoding_format":"base64"}"#, usage)).unwrap();
        assert!(said.contains(r#""embedding":"AAAAPwAAgL8=""#), "{said}");
        let read = decode_reply(expected.as_bytes()).unwrap();
        assert_eq!((read.vectors[0].get(), read.usage.unwrap().input), ("[0.5,-1]", 3));
    }
}
