//! The length of the answer's own text in a stream: measured in its first chunks and in every sixteenth after them.

use memchr::memmem::Finder;

/// So many chunks are all measured …
const ALL_OF: u64 = 16;
/// … and of those after them one in so many.
const ONE_OF: u64 = 16;

/// Measures a stream's deltas.
#[derive(Debug)]
pub(super) struct TextMeter {
    key: Finder<'static>,
    chunks: u64,
    bytes: u64,
}

impl TextMeter {
    /// Of texts behind this key.
    pub(super) fn new(key: &'static str) -> Self {
        Self { key: Finder::new(key), chunks: 0, bytes: 0 }
    }

    /// Takes the next event's data.
    pub(super) fn measure(&mut self, data: &[u8]) {
        self.chunks += 1;
        let stands_for = if self.chunks <= ALL_OF { 1 } else { ONE_OF };
        if !self.chunks.is_multiple_of(stands_for) {
            return;
        }
        let deltas = self.key.find_iter(data).map(|at| data.get(at + self.key.needle().len()..).unwrap_or_default());
        self.bytes += deltas.map(text_of).sum::<u64>() * stands_for;
    }

    /// The text so far, in bytes.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// The length of the text, or of all texts in the object, that stands behind a key, but for those that are no part of the answer.
fn text_of(behind: &[u8]) -> u64 {
    let value = behind.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start).unwrap_or_default();
    if let Some(text) = value.strip_prefix(b"\"") {
        return end_of_text(text) as u64;
    }
    let (mut depth, mut sum, mut rest) = (0_u32, 0, behind);
    let mut key: &[u8] = b"";
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    break;
                }
            }
            b'"' => {
                let end = end_of_text(behind);
                let text = behind.get(..end).unwrap_or_default();
                rest = behind.get(end + 1..).unwrap_or_default();
                if rest.first() == Some(&b':') {
                    key = text;
                } else if !matches!(key, b"role" | b"type" | b"id" | b"name" | b"signature") {
                    sum += text.len() as u64;
                }
                if depth == 0 {
                    break;
                }
            }
            _ => {}
        }
    }
    sum
}

/// The end of a text that has begun: at its quote, or with the data.
fn end_of_text(text: &[u8]) -> usize {
    let mut from = 0;
    while let Some(at) = memchr::memchr2(b'"', b'\\', text.get(from..).unwrap_or_default()) {
        if text.get(from + at) == Some(&b'"') {
            return from + at;
        }
        from += at + 2;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deltas_text_is_measured_and_its_frame_is_not() {
        for (data, length) in [
            (r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"role":"assistant","content":"one two"}}]}"#, 7),
            (
                r#"{"choices":[{"delta":{"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]}}]}"#,
                9,
            ),
            (r#"{"choices":[{"delta":{}}],"usage":{"x":"y"}}"#, 0),
            (r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a \"b\" c"}}"#, 9),
            (r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"abc"}}"#, 0),
            (r#"{"delta":{"content":"cut"#, 3),
            (r#"{"delta":"#, 0),
            (r#"{"delta":{"content":"\"#, 1),
            (r#"{"type":"response.output_text.delta","item_id":"msg_1","delta":"a \"b\"","obfuscation":"xxxxxx"}"#, 7),
            ("[DONE]", 0),
        ] {
            let mut meter = TextMeter::new("\"delta\"");
            meter.measure(data.as_bytes());
            assert_eq!(meter.bytes(), length, "{data}");
        }
    }

    #[test]
    fn a_long_stream_is_measured_in_parts() {
        let mut meter = TextMeter::new("\"delta\"");
        (0..1_600).for_each(|_| meter.measure(br#"{"choices":[{"delta":{"content":"four"}}]}"#));
        assert_eq!(meter.bytes(), 1_600 * 4);
    }

    #[test]
    fn a_text_that_is_no_object_is_measured_alone() {
        let mut meter = TextMeter::new("\"text\"");
        meter.measure(br#"{"choices":[{"text":"four","index":0,"finish_reason":"stop"}],"model":"some"}"#);
        assert_eq!(meter.bytes(), 4);
    }
}
