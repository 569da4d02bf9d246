//! Images: a point of a picture, as often as is asked for.

use bytes::Bytes;
use serde_json::{Value, json};

use super::request::{SideAnswer, SideRequest};
use crate::fault::{Checked, Fault};
use crate::openai::field::{missing, wrong_word};
use crate::openai::stream::event;
use crate::script::Piece;
use crate::tokens::count;

/// A picture of one point.
const POINT: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
/// The tokens of a picture, drawn or given.
const TOKENS: u64 = 272;
/// The most pictures of one request.
const MOST: u64 = 10;

/// The request that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImageRequest {
    Generation,
    Edit,
    Variation,
}

/// The answer.
pub(super) fn answer(request: &SideRequest, kind: ImageRequest, created: u64) -> Checked<SideAnswer> {
    let prompt = if kind == ImageRequest::Variation { "" } else { request.required("prompt")? };
    let given = request.files_of("image").len();
    if kind != ImageRequest::Generation && given == 0 && !request.fields.contains_key("images") {
        return Err(missing("image"));
    }
    let model = request.text("model")?.unwrap_or("dall-e-2");
    let pictures = request.count("n")?.unwrap_or(1);
    if !(1..=MOST).contains(&pictures) {
        return Err(Fault::new(400, format!("{pictures} is not a number between 1 and {MOST} - 'n'")).at("n"));
    }
    let old = model.starts_with("dall-e");
    let as_url = match request.text("response_format")? {
        Some("url") => true,
        None => old,
        Some("b64_json") => false,
        Some(other) => return Err(wrong_word("response_format", other, "'b64_json' and 'url'")),
    };
    let usage = usage(prompt, given, pictures);
    if request.flag("stream")? {
        let partial = request.count("partial_images")?.unwrap_or(0);
        return Ok(SideAnswer::Events(events(kind, partial, created, &usage)));
    }
    let picture =
        if as_url { json!({ "url": "https://images.invalid/point.png" }) } else { json!({ "b64_json": POINT }) };
    let data = (0..pictures).map(|_| picture.clone()).collect::<Vec<_>>();
    let mut value = json!({ "created": created, "data": data });
    // Of the older models nothing is said.
    if !old {
        for (name, said) in [
            ("background", json!("opaque")),
            ("output_format", json!("png")),
            ("quality", json!("low")),
            ("size", json!("1024x1024")),
            ("usage", usage),
        ] {
            value.as_object_mut().into_iter().for_each(|value| drop(value.insert(name.to_owned(), said.clone())));
        }
    }
    Ok(SideAnswer::Json(value))
}

fn usage(prompt: &str, given: usize, pictures: u64) -> Value {
    let (text, images) = (count(prompt), TOKENS * u64::try_from(given).unwrap_or(0));
    let output = TOKENS * pictures;
    json!({
        "input_tokens": text + images,
        "input_tokens_details": { "text_tokens": text, "image_tokens": images },
        "output_tokens": output,
        "total_tokens": text + images + output,
    })
}

fn events(kind: ImageRequest, partial: u64, created: u64, usage: &Value) -> Vec<Piece> {
    let word = if kind == ImageRequest::Edit { "image_edit" } else { "image_generation" };
    let of = |end: &str| {
        json!({
            "type": format!("{word}.{end}"),
            "b64_json": POINT,
            "created_at": created,
            "background": "opaque",
            "output_format": "png",
            "quality": "low",
            "size": "1024x1024",
        })
    };
    let with = |mut value: Value, name: &str, said: Value| {
        value.as_object_mut().into_iter().for_each(|value| drop(value.insert(name.to_owned(), said.clone())));
        value
    };
    let drafts = (0..partial).map(|index| with(of("partial_image"), "partial_image_index", index.into()));
    let all = drafts.chain([with(of("completed"), "usage", usage.clone())]);
    all.map(|value| Piece { bytes: named(&value), token: true }).collect()
}

/// An event under its name, as these have it.
fn named(value: &Value) -> Bytes {
    let name = value.get("type").and_then(Value::as_str).unwrap_or_default();
    Bytes::from([format!("event: {name}\n").as_bytes(), &event(value)].concat())
}
