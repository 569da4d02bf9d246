//! A whole answer told as a stream: what grows in each block in one delta.

use serde_json::value::RawValue;

use crate::json::{Object, ROOT, Writer, one_line};

/// Fields of the message that its end says again, where it has them: within the delta, and beside it.
const IN_THE_LAST_DELTA: [&str; 3] = ["stop_reason", "stop_sequence", "container"];
const BESIDE_THE_LAST_DELTA: [&str; 1] = ["context_management"];

/// Appends a stream that says what this whole answer says. `None`: a stream has no words for something in it.
pub(crate) fn replay(whole: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let message = read(std::str::from_utf8(whole).ok()?)?;
    let member = |wanted: &str| message.members().find(|(name, _)| *name == wanted).map(|(_, raw)| raw);
    let blocks: Vec<&RawValue> = serde_json::from_str(member("content")?.get()).ok()?;
    let usage = member("usage").map(|raw| read(raw.get())).map_or(Some(None), |usage| usage.map(Some))?;
    write("message_start", out, |json| {
        json.open_field("message", b'{');
        for (name, raw) in message.members() {
            match name {
                "content" => {
                    json.open_field(name, b'[');
                    json.close(b']');
                }
                "stop_reason" | "stop_sequence" => json.value_field(name, "null"),
                "usage" => write_usage(usage.as_ref(), true, json),
                _ => line(name, raw, json),
            }
        }
        json.close(b'}');
    });
    for (index, raw) in blocks.into_iter().enumerate() {
        block(index, &read(raw.get())?, out)?;
    }
    write("message_delta", out, |json| {
        json.open_field("delta", b'{');
        for name in IN_THE_LAST_DELTA {
            member(name).into_iter().for_each(|raw| line(name, raw, json));
        }
        json.close(b'}');
        write_usage(usage.as_ref(), false, json);
        for name in BESIDE_THE_LAST_DELTA {
            member(name).into_iter().for_each(|raw| line(name, raw, json));
        }
    });
    write("message_stop", out, |_| {});
    Some(())
}

/// At the beginning nothing has been said: what was answered is counted at the end.
fn write_usage(usage: Option<&Object<'_>>, begins: bool, json: &mut Writer) {
    let Some(usage) = usage else { return };
    json.open_field("usage", b'{');
    for (name, raw) in usage.members() {
        match name {
            "output_tokens" if begins => json.value_field(name, 0),
            "output_tokens_details" if begins => {}
            _ => line(name, raw, json),
        }
    }
    json.close(b'}');
}

fn block(index: usize, block: &Object<'_>, out: &mut Vec<u8>) -> Option<()> {
    let member = |wanted: &str| block.members().find(|(name, _)| *name == wanted).map(|(_, raw)| raw);
    let kind: String = serde_json::from_str(member("type")?.get()).ok()?;
    let input = member("input").filter(|input| input.get().starts_with('{'));
    let grows: &[(&str, &str, &str)] = match &*kind {
        "text" => &[("text", "text_delta", "text")],
        "thinking" => &[("thinking", "thinking_delta", "thinking"), ("signature", "signature_delta", "signature")],
        "compaction" => &[("content", "compaction_delta", "content")],
        _ => &[],
    };
    let grows = grows.iter().filter(|(field, ..)| member(field).is_some_and(|raw| raw.get().starts_with('"')));
    let citations = member("citations").filter(|list| kind == "text" && list.get() != "null");
    let citations: Vec<&RawValue> = citations.map_or(Some(Vec::new()), |list| serde_json::from_str(list.get()).ok())?;
    // Tools that a provider runs itself (`server_tool_use`) stream their input as a caller's do.
    let calls = kind.ends_with("tool_use") && input.is_some();
    let begin = |json: &mut Writer| {
        json.value_field("index", index);
        json.open_field("content_block", b'{');
        for (name, raw) in block.members() {
            match name {
                "input" if calls => json.value_field(name, "{}"),
                "citations" if !citations.is_empty() => json.value_field(name, "[]"),
                _ if grows.clone().any(|(field, ..)| *field == name) => json.text_field(name, ""),
                _ => line(name, raw, json),
            }
        }
        json.close(b'}');
    };
    write("content_block_start", out, begin);
    let mut delta = |kind: &str, write_piece: &dyn Fn(&mut Writer)| {
        write("content_block_delta", out, |json| {
            json.value_field("index", index);
            json.open_field("delta", b'{');
            json.text_field("type", kind);
            write_piece(json);
            json.close(b'}');
        });
    };
    for (field, kind, piece) in grows.clone() {
        let text = member(field)?;
        if text.get() != "\"\"" {
            delta(kind, &|json| json.raw_field(piece, text));
        }
    }
    for citation in &citations {
        delta("citations_delta", &|json| line("citation", citation, json));
    }
    if let Some(input) = input.filter(|_| calls) {
        delta("input_json_delta", &|json| json.text_field("partial_json", input.get()));
    }
    write("content_block_stop", out, |json| json.value_field("index", index));
    Some(())
}

/// An object each of whose names stands there once.
fn read(text: &str) -> Option<Object<'_>> {
    Object::read(text, &ROOT).ok()
}

/// A member, in one line.
fn line(name: &str, raw: &RawValue, json: &mut Writer) {
    json.key(name);
    json.raw(&one_line(raw));
}

/// Writes one event, straight into `out`.
fn write(kind: &str, out: &mut Vec<u8>, rest: impl FnOnce(&mut Writer)) {
    out.extend_from_slice(format!("event: {kind}\ndata: ").as_bytes());
    let mut json = Writer::onto(std::mem::take(out));
    json.open(b'{');
    json.text_field("type", kind);
    rest(&mut json);
    json.close(b'}');
    *out = json.into_bytes();
    out.extend_from_slice(b"\n\n");
}
