//! Vectors of texts, `POST /v2/embed`, read and written for providers and callers of other dialects.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::codec::{Malformed, Refusal};
use crate::embeddings::{EmbeddingCall, EmbeddingReply, Embeddings};
use crate::hub::{Raw, Usage};
use crate::json::{Object, ROOT, Writer};

/// The dialect's part for vectors.
pub(super) static EMBEDDINGS: Embeddings =
    Embeddings { texts: "texts", most: MOST, decode_call, encode_call, decode_reply, encode_reply };

/// The most texts in one call; the vendor refuses more.
const MOST: usize = 96;

/// The purpose of vectors whose caller can not say one: what is to be found later.
const PURPOSE: &str = "search_document";

fn decode_call(body: &[u8]) -> Result<EmbeddingCall, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::body("the body is not UTF-8"))?;
    let mut top = Object::read_body(text)?;
    for name in ["images", "inputs"] {
        if top.take(name).is_some() {
            return Err(ROOT.field(name).refuse("only texts can be told to a provider of another dialect"));
        }
    }
    let inputs: Option<Vec<String>> = top.parsed("texts", &ROOT, "an array of strings")?;
    let inputs = inputs.filter(|texts| !texts.is_empty());
    let inputs = inputs.ok_or_else(|| ROOT.field("texts").refuse("must hold at least one text"))?;
    let kinds: Vec<Cow<'_, str>> = top.parsed("embedding_types", &ROOT, "an array of strings")?.unwrap_or_default();
    if !kinds.is_empty() && kinds.iter().any(|kind| kind != "float") {
        return Err(ROOT.field("embedding_types").refuse("a provider of another dialect gives `float` alone"));
    }
    let dimensions = top.count("output_dimension", &ROOT)?;
    top.take("model");
    Ok(EmbeddingCall { inputs, dimensions, beside: top.rest().into_keys().collect() })
}

fn encode_call(call: &EmbeddingCall, model: &str) -> Vec<u8> {
    let EmbeddingCall { inputs, dimensions, beside: _ } = call;
    let mut json = Writer::with_capacity(256);
    json.open(b'{');
    json.text_field("model", model);
    json.text_field("input_type", PURPOSE);
    json.open_field("texts", b'[');
    inputs.iter().for_each(|text| json.text(text));
    json.close(b']');
    json.open_field("embedding_types", b'[');
    json.text("float");
    json.close(b']');
    if let Some(dimensions) = dimensions {
        json.value_field("output_dimension", dimensions);
    }
    json.close(b'}');
    json.into_bytes()
}

#[derive(Deserialize)]
struct Embedded<'a> {
    #[serde(default)]
    id: String,
    #[serde(borrow)]
    embeddings: EmbeddedByType<'a>,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct EmbeddedByType<'a> {
    #[serde(borrow)]
    float: Vec<&'a RawValue>,
}

fn decode_reply(body: &[u8]) -> Result<EmbeddingReply, Malformed> {
    let malformed = || Malformed::new("the provider's answer holds no vectors");
    let Embedded { id, embeddings, meta } = serde_json::from_slice(body).map_err(|_| malformed())?;
    let vectors: Vec<Raw> = embeddings.float.into_iter().map(ToOwned::to_owned).collect();
    if vectors.is_empty() {
        return Err(malformed());
    }
    Ok(EmbeddingReply { id, model: None, vectors, usage: meta.and_then(super::wire::usage) })
}

fn encode_reply(reply: &EmbeddingReply, asked: &[u8], usage: Usage) -> Vec<u8> {
    let EmbeddingReply { id, model: _, vectors, usage: _ } = reply;
    let texts = std::str::from_utf8(asked).ok().and_then(|text| Object::read_body(text).ok()?.raw("texts"));
    let mut json = Writer::with_capacity(1024);
    json.open(b'{');
    json.text_field("id", id);
    json.open_field("embeddings", b'{');
    json.open_field("float", b'[');
    vectors.iter().for_each(|vector| json.raw(vector.get()));
    json.close(b']');
    json.close(b'}');
    if let Some(texts) = texts {
        json.raw_field("texts", &texts);
    }
    json.open_field("meta", b'{');
    json.open_field("billed_units", b'{');
    json.value_field("input_tokens", usage.input);
    json.close(b'}');
    json.close(b'}');
    json.text_field("response_type", "embeddings_by_type");
    json.close(b'}');
    json.into_bytes()
}
