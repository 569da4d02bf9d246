//! Gemini's embeddings, `embedContent` for one text and `batchEmbedContents` for several, read and written for providers and
//! callers of other dialects.

use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::UsageMetadata;
use crate::codec::{Malformed, Refusal};
use crate::embeddings::{EmbeddingCall, EmbeddingReply, Embeddings};
use crate::hub::{Fields, Usage};
use crate::json::{Object, Path, ROOT, Writer, count};
use crate::json_places::{elements, member};
use crate::scan;
use crate::verbatim::{Edit, splice};

/// The dialect's part for vectors.
pub(super) static EMBEDDINGS: Embeddings =
    Embeddings { texts: BATCH, most: MOST, decode_call, encode_call, decode_reply, encode_reply };

/// The most texts in one call; the vendor refuses more.
const MOST: usize = 100;

/// The list of a batch.
const BATCH: &str = "requests";
/// The place of the settings, which stood beside the text before.
const CONFIG: &str = "embedContentConfig";

fn decode_call(body: &[u8]) -> Result<EmbeddingCall, Refusal> {
    const REQUESTS: Path<'static> = ROOT.field(BATCH);
    let text = std::str::from_utf8(body).map_err(|_| Refusal::body("the body is not UTF-8"))?;
    let whole: &RawValue =
        serde_json::from_str(text).map_err(|error| Refusal::body(format!("the body is not JSON: {error}")))?;
    let mut top = Object::read_either(whole.get(), &ROOT)?;
    let mut call = EmbeddingCall { inputs: Vec::new(), dimensions: None, beside: Vec::new() };
    match top.list(BATCH, &ROOT)? {
        Some(list) if list.is_empty() => return Err(REQUESTS.refuse("must hold at least one request")),
        Some(list) => {
            for (index, raw) in list.into_iter().enumerate() {
                let at = REQUESTS.index(index);
                one(Object::read_either(raw.get(), &at)?, &at, index == 0, &mut call)?;
            }
        }
        None => one(top, &ROOT, true, &mut call)?,
    }
    Ok(call)
}

/// Reads one text and its settings. Errors: it is no text, or is to be another length than those before.
fn one(mut object: Object<'_>, at: &Path<'_>, first: bool, call: &mut EmbeddingCall) -> Result<(), Refusal> {
    object.take("model");
    let content_at = at.field("content");
    let raw = object.take("content").ok_or_else(|| content_at.refuse("the field is required"))?;
    let mut content = Object::read_either(raw.get(), &content_at)?;
    content.take("role");
    let parts_at = content_at.field("parts");
    let mut text = String::new();
    for (index, raw) in super::request::list_of(&mut content, &content_at)?.into_iter().enumerate() {
        let at = parts_at.index(index);
        let mut part = Object::read_either(raw.get(), &at)?;
        part.one_of(&super::request::PART, &at)?;
        let part = part.text("text", &at)?;
        text += &part.ok_or_else(|| at.refuse("only texts can be told to a provider of another dialect"))?;
    }
    call.inputs.push(text);
    let config_at = at.field(CONFIG);
    let config = object.take(CONFIG).map(|raw| Object::read_either(raw.get(), &config_at)).transpose()?;
    let outer = dimensions(&mut object, at)?;
    let (inner, rest) = match config {
        Some(mut config) => (dimensions(&mut config, &config_at)?, config.rest()),
        None => (None, Fields::new()),
    };
    let dimensions = inner.or(outer);
    if !first && dimensions != call.dimensions {
        return Err(at.field("outputDimensionality").refuse("must be the same in all requests at this provider"));
    }
    call.dimensions = dimensions;
    for name in object.rest().into_keys().chain(rest.into_keys()) {
        if !call.beside.contains(&name) {
            call.beside.push(name);
        }
    }
    Ok(())
}

/// The length of vectors that is said here.
fn dimensions(object: &mut Object<'_>, at: &Path<'_>) -> Result<Option<u64>, Refusal> {
    const NAME: &str = "outputDimensionality";
    let said = object.take(NAME);
    said.map(|raw| count(raw.get()).ok_or_else(|| at.field(NAME).refuse("must be a whole number"))).transpose()
}

/// A body with another name of the model: at its top, in each request of a batch, in the request whose tokens are counted.
pub(super) fn renamed(body: &Bytes, model: &str) -> Bytes {
    let name = |object: Range<usize>| member(body, object, b"model");
    let whole = || 0..body.len();
    let requests = member(body, whole(), BATCH.as_bytes()).map(|list| elements(body, list)).unwrap_or_default();
    let counted = [&b"generateContentRequest"[..], b"generate_content_request"];
    let counted = counted.iter().filter_map(|request| member(body, whole(), request));
    let places = requests.into_iter().chain(counted).chain([whole()]).filter_map(name);
    let said = serde_json::to_string(&resource(model)).unwrap_or_default();
    let edits: Vec<Edit> = places.map(|place| Edit::write(place, said.clone())).collect();
    splice(body, &edits)
}

/// A model's name as Google has it in bodies.
fn resource(model: &str) -> String {
    if model.contains('/') { model.to_owned() } else { format!("models/{model}") }
}

fn encode_call(call: &EmbeddingCall, model: &str) -> Vec<u8> {
    let EmbeddingCall { inputs, dimensions, beside: _ } = call;
    let model = resource(model);
    let mut json = Writer::with_capacity(256);
    json.open(b'{');
    json.open_field(BATCH, b'[');
    for text in inputs {
        json.open(b'{');
        json.text_field("model", &model);
        json.open_field("content", b'{');
        json.open_field("parts", b'[');
        json.open(b'{');
        json.text_field("text", text);
        json.close(b'}');
        json.close(b']');
        json.close(b'}');
        if let Some(dimensions) = dimensions {
            json.value_field("outputDimensionality", dimensions);
        }
        json.close(b'}');
    }
    json.close(b']');
    json.close(b'}');
    json.into_bytes()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireVectors<'a> {
    #[serde(borrow)]
    embeddings: Option<Vec<WireVector<'a>>>,
    #[serde(borrow)]
    embedding: Option<WireVector<'a>>,
    usage_metadata: Option<UsageMetadata>,
}

#[derive(Deserialize)]
struct WireVector<'a> {
    #[serde(borrow)]
    values: &'a RawValue,
}

fn decode_reply(body: &[u8]) -> Result<EmbeddingReply, Malformed> {
    let malformed = || Malformed::new("the provider's answer holds no vectors");
    let WireVectors { embeddings, embedding, usage_metadata } =
        serde_json::from_slice(body).map_err(|_| malformed())?;
    let vectors: Vec<_> =
        embeddings.into_iter().flatten().chain(embedding).map(|vector| vector.values.to_owned()).collect();
    if vectors.is_empty() {
        return Err(malformed());
    }
    Ok(EmbeddingReply { id: String::new(), model: None, vectors, usage: usage_metadata.map(Usage::from) })
}

fn encode_reply(reply: &EmbeddingReply, asked: &[u8], usage: Usage) -> Vec<u8> {
    let mut several = false;
    let _ = scan::members(asked, |name, _| several |= name == BATCH.as_bytes());
    let mut json = Writer::with_capacity(1024);
    json.open(b'{');
    if several {
        json.open_field("embeddings", b'[');
        for vector in &reply.vectors {
            json.open(b'{');
            json.raw_field("values", vector);
            json.close(b'}');
        }
        json.close(b']');
    } else if let Some(vector) = reply.vectors.first() {
        json.open_field("embedding", b'{');
        json.raw_field("values", vector);
        json.close(b'}');
    }
    json.open_field("usageMetadata", b'{');
    json.value_field("promptTokenCount", usage.input);
    json.value_field("totalTokenCount", usage.input);
    json.close(b'}');
    json.close(b'}');
    json.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_and_several_are_read() {
        let one =
            decode_call(br#"{"content":{"parts":[{"text":"a"},{"text":"b"}]},"task_type":"RETRIEVAL_QUERY"}"#).unwrap();
        assert_eq!((one.inputs, one.dimensions, one.beside), (vec!["ab".into()], None, vec!["taskType".to_owned()]));
        let config = r#""embedContentConfig":{"outputDimensionality":256,"taskType":"RETRIEVAL_QUERY"}"#;
        for body in [
            format!(r#"{{"content":{{"parts":[{{"text":"a"}}]}},"outputDimensionality":9,{config}}}"#),
            format!(r#"{{"requests":[{{"content":{{"parts":[{{"text":"a"}}]}},{config}}}]}}"#),
            r#"{"content":{"parts":[{"text":"a"}]},"embed_content_config":{"output_dimensionality":256,"task_type":"X"}}"#.to_owned(),
        ] {
            let read = decode_call(body.as_bytes()).unwrap();
            assert_eq!((read.dimensions, read.beside), (Some(256), vec!["taskType".to_owned()]), "{body}");
        }
        let several = decode_call(br#"{"requests":[{"model":"models/m","content":{"parts":[{"text":"a"}]},"outputDimensionality":4},{"model":"models/m","content":{"parts":{"text":"b"}},"outputDimensionality":4}]}"#).unwrap();
        assert_eq!((several.inputs, several.dimensions), (vec!["a".into(), "b".into()], Some(4)));
        for (body, param) in [
            (r#"{"requests":[]}"#, "requests"),
            (r#"{}"#, "content"),
            (r#"{"requests":[{"content":{"parts":[{"inlineData":{}}]}}]}"#, "requests[0].content.parts[0]"),
            (
                r#"{"requests":[{"content":{"parts":[]}},{"content":{"parts":[]},"outputDimensionality":2}]}"#,
                "requests[1].outputDimensionality",
            ),
        ] {
            assert_eq!(decode_call(body.as_bytes()).unwrap_err().param.as_deref(), Some(param), "{body}");
        }
    }

    #[test]
    fn the_models_name_is_another_wherever_it_stands() {
        for (given, made) in [
            (
                r#"{"requests":[{"model":"models/a","x":1},{"x":{"model":"a"}}]}"#,
                r#"{"requests":[{"model":"models/b","x":1},{"x":{"model":"a"}}]}"#,
            ),
            (r#"{"model" : "models/a","content":{}}"#, r#"{"model" : "models/b","content":{}}"#),
            (
                r#"{"generateContentRequest":{"model":"models/a"}}"#,
                r#"{"generateContentRequest":{"model":"models/b"}}"#,
            ),
            (r#"{"contents":[]}"#, r#"{"contents":[]}"#),
        ] {
            assert_eq!(String::from_utf8_lossy(&renamed(&Bytes::copy_from_slice(given.as_bytes()), "b")), made);
        }
    }

    #[test]
    fn vectors_go_to_whom_they_were_asked_by() {
        let body = br#"{"embeddings":[{"values":[0.5,-1]},{"values":[1]}],"usageMetadata":{"promptTokenCount":7}}"#;
        let reply = decode_reply(body).unwrap();
        let usage = reply.usage.unwrap();
        let several = String::from_utf8(encode_reply(&reply, br#"{"requests":[]}"#, usage)).unwrap();
        assert!(
            several.starts_with(
                r#"{"embeddings":[{"values":[0.5,-1]},{"values":[1]}],"usageMetadata":{"promptTokenCount":7"#
            ),
            "{several}"
        );
        let one = String::from_utf8(encode_reply(&reply, br#"{"content":{}}"#, usage)).unwrap();
        assert!(one.starts_with(r#"{"embedding":{"values":[0.5,-1]},"#), "{one}");
        assert!(decode_reply(br#"{"candidates":[]}"#).is_err());
    }
}
