//! Speech, which is noise, and its text, which is always the same.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::request::{SideAnswer, SideRequest};
use crate::fault::Checked;
use crate::openai::field::{missing, wrong_word};
use crate::openai::stream::event;
use crate::script::Piece;
use crate::tokens::count;

/// The words of every recording.
const SAID: [&str; 4] = ["Nobody", " said", " a", " word."];
/// The media types of speech.
const SOUNDS: [(&str, &str); 6] = [
    ("mp3", "audio/mpeg"),
    ("opus", "audio/opus"),
    ("aac", "audio/aac"),
    ("flac", "audio/flac"),
    ("wav", "audio/wav"),
    ("pcm", "audio/pcm"),
];
/// The bytes of speech that a character takes.
const BYTES: usize = 256;
/// The bytes of a recording that are a token.
const BYTES_PER_TOKEN: u64 = 1_600;

/// Speech of a text: each piece a character's.
pub(super) fn speech(request: &SideRequest) -> Checked<SideAnswer> {
    let (_, input, _) = (request.required("model")?, request.required("input")?, voice(request)?);
    let format = request.text("response_format")?.unwrap_or("mp3");
    let media = SOUNDS.iter().find(|(name, _)| *name == format).map(|(_, media)| *media);
    let media =
        media.ok_or_else(|| wrong_word("response_format", format, "'mp3', 'opus', 'aac', 'flac', 'wav' and 'pcm'"))?;
    // As no text has them: whoever takes it for one breaks it.
    let sound = |character: char| vec![u8::try_from(u32::from(character) % 256).unwrap_or(0) | 0x80; BYTES];
    let pieces = input.chars().map(|character| Bytes::from(sound(character)));
    if request.text("stream_format")? != Some("sse") {
        return Ok(SideAnswer::Bytes(media, pieces.collect()));
    }
    let deltas = pieces.map(|piece| json!({ "type": "speech.audio.delta", "audio": STANDARD.encode(piece) }));
    let (input, output) = (count(input), 20);
    let usage = json!({ "input_tokens": input, "output_tokens": output, "total_tokens": input + output });
    let all = deltas.chain([json!({ "type": "speech.audio.done", "usage": usage })]);
    Ok(SideAnswer::Events(all.map(|value| Piece { bytes: event(&value), token: true }).collect()))
}

fn voice(request: &SideRequest) -> Checked<()> {
    request
        .fields
        .get("voice")
        .filter(|voice| voice.is_string() || voice.is_object())
        .map(drop)
        .ok_or_else(|| missing("voice"))
}

/// The text of a recording.
pub(super) fn text(request: &SideRequest, translated: bool) -> Checked<SideAnswer> {
    let model = request.required("model")?;
    let file = *request.files_of("file").first().ok_or_else(|| missing("file"))?;
    if file.name.is_empty() {
        return Err(missing("file"));
    }
    let said = SAID.concat();
    let input = u64::try_from(file.bytes).unwrap_or(0) / BYTES_PER_TOKEN + 1;
    let output = count(&said);
    let usage = if model.starts_with("whisper") {
        json!({ "type": "duration", "seconds": 3 })
    } else {
        json!({
            "type": "tokens",
            "input_tokens": input,
            "input_token_details": { "text_tokens": 0, "audio_tokens": input },
            "output_tokens": output,
            "total_tokens": input + output,
        })
    };
    if request.flag("stream")? && !translated {
        return Ok(SideAnswer::Events(events(&said, &usage)));
    }
    let whole = json!({ "text": said, "usage": usage });
    Ok(match request.text("response_format")?.unwrap_or("json") {
        "json" if translated => SideAnswer::Json(json!({ "text": said })),
        "json" => SideAnswer::Json(whole),
        "verbose_json" => SideAnswer::Json(verbose(&said, translated)),
        "text" => SideAnswer::Bytes("text/plain; charset=utf-8", vec![Bytes::from(format!("{said}\n"))]),
        "srt" => SideAnswer::Bytes(
            "text/plain; charset=utf-8",
            vec![Bytes::from(format!("1\n00:00:00,000 --> 00:00:03,000\n{said}\n\n"))],
        ),
        "vtt" => SideAnswer::Bytes(
            "text/plain; charset=utf-8",
            vec![Bytes::from(format!("WEBVTT\n\n00:00:00.000 --> 00:00:03.000\n{said}\n\n"))],
        ),
        other => return Err(wrong_word("response_format", other, "'json', 'text', 'srt', 'verbose_json' and 'vtt'")),
    })
}

fn verbose(said: &str, translated: bool) -> Value {
    let segment = json!({
        "id": 0, "seek": 0, "start": 0.0, "end": 3.0, "text": said, "tokens": [1, 2], "temperature": 0.0,
        "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.9,
    });
    let task = if translated { "translate" } else { "transcribe" };
    json!({
        "task": task, "language": "english", "duration": 3.0, "text": said, "segments": [segment],
        "usage": { "type": "duration", "seconds": 3 },
    })
}

fn events(said: &str, usage: &Value) -> Vec<Piece> {
    let deltas = SAID.iter().map(|piece| json!({ "type": "transcript.text.delta", "delta": piece }));
    let all = deltas.chain([json!({ "type": "transcript.text.done", "text": said, "usage": usage })]);
    all.map(|value| Piece { bytes: event(&value), token: true }).collect()
}
