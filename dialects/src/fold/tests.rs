//! Folding by hand: bounds, cuts, citations, tools the provider runs itself.

use super::*;
use crate::hub::ErrorKind;

fn fold(events: &[Event], max_bytes: usize) -> Result<Reply, Unfolded> {
    let mut fold = Fold::new(Dialect::AnthropicMessages, max_bytes);
    events.iter().for_each(|event| fold.push(event));
    fold.finish()
}

fn text(text: &str) -> Event {
    Event::Delta { choice: 0, part: 0, delta: Delta::Text(text.to_owned()) }
}

fn begin(part: u32, kind: PartKind) -> Event {
    Event::PartStart { choice: 0, part, kind }
}

const FINISH: Event = Event::Finish { choice: 0, stop: Stop::End };

#[test]
fn bounds_cuts_and_failures() {
    let whole = [begin(0, PartKind::Text), text("a"), text("b"), FINISH, Event::End];
    let reply = fold(&whole, 1000).unwrap();
    assert!(matches!(&reply.choices[0].parts[0].content, Content::Text { text, .. } if text == "ab"));
    assert_eq!(fold(&whole, 100).unwrap_err(), Unfolded::TooLarge(100));
    assert_eq!(fold(&whole[..4], 1000).unwrap_err(), Unfolded::Cut);
    assert_eq!(fold(&[begin(0, PartKind::Text), Event::End], 1000).unwrap_err(), Unfolded::Cut);
    assert_eq!(fold(&[Event::End], 1000).unwrap_err(), Unfolded::Cut);
    assert_eq!(fold(&[text("a")], 1000).unwrap_err(), Unfolded::Unknown);
    let far = Event::Finish { choice: u32::MAX, stop: Stop::End };
    assert_eq!(fold(&[far], 100_000).unwrap_err(), Unfolded::TooLarge(100_000));
    let kind = ErrorKind::Overloaded;
    let error = ProviderError { kind, message: "m".into(), r#type: None, code: None, param: None };
    assert_eq!(fold(&[Event::Error(error.clone())], 1000).unwrap_err(), Unfolded::Failed(error));
}

#[test]
fn signatures_citations_and_provider_tools_survive_both_ways() {
    let dialect = Dialect::AnthropicMessages;
    let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
    let tool = raw(r#"{"type":"server_tool_use","id":"s","name":"web_search","input":{}}"#);
    let delta = |part, delta| Event::Delta { choice: 0, part, delta };
    let events = [
        begin(0, PartKind::Thinking),
        text("hm"),
        delta(0, Delta::Signature("s1".into())),
        begin(1, PartKind::Other { dialect, raw: tool }),
        delta(1, Delta::Arguments("{\"q\":".into())),
        delta(1, Delta::Arguments("1}".into())),
        begin(2, PartKind::Text),
        delta(2, Delta::Text("x".into())),
        delta(2, Delta::Citation(raw(r#"{"c":1}"#))),
        delta(2, Delta::Citation(raw(r#"{"c":2}"#))),
        FINISH,
        Event::End,
    ];
    let reply = fold(&events, 10_000).unwrap();
    let parts = &reply.choices[0].parts;
    assert!(matches!(&parts[0].content, Content::Thinking { signature: Some(signed), .. } if signed == "s1"));
    assert!(matches!(&parts[1].content, Content::Other { raw, .. } if raw.get().contains(r#""input":{"q":1}"#)));
    assert!(
        matches!(&parts[2].content, Content::Text { citations: Some(raw), .. } if raw.get() == r#"[{"c":1},{"c":2}]"#)
    );
    let again = fold(&unfold(&reply), 10_000).unwrap();
    assert_eq!(format!("{again:?}"), format!("{reply:?}"));
}

#[test]
fn an_answer_printed_over_many_lines_is_told_in_one_line_per_event() {
    // What goes into a stream raw: blocks and citations of Anthropic's, OpenAI's log probabilities.
    let anthropic = r#"{"id":"m","type":"message","role":"assistant","model":"m","stop_reason":"end_turn","content":[
        {"type":"server_tool_use",
         "id":"s", "name":"web_search", "input":{}},
        {"type":"text", "text":"x", "citations":[{
            "type":"char_location", "cited_text":"a\nb"}]}]}"#;
    let openai = r#"{"id":"c","model":"m","choices":[{"index":0,"finish_reason":"stop",
        "message":{"role":"assistant","content":"x"},
        "logprobs":{
            "content":[{"token":"x\n"}]}}]}"#;
    for (dialect, body) in [(Dialect::AnthropicMessages, anthropic), (Dialect::OpenAiChat, openai)] {
        for body in [body.to_owned(), body.replace('\n', "\r\n")] {
            let reply = dialect.decode_reply(body.as_bytes()).unwrap();
            let mut encoder = dialect.stream_encoder(crate::StreamOptions::default());
            let mut out = Vec::new();
            unfold(&reply).iter().for_each(|event| encoder.push(event, &mut out));
            let text = String::from_utf8(out).unwrap();
            let framed = |line: &str| line.is_empty() || line.starts_with("data: {") || line.starts_with("event: ");
            assert!(text.lines().all(|line| framed(line) || line == "data: [DONE]"), "{text}");
            let (mut decoder, mut events) = (dialect.stream_decoder(), Vec::new());
            decoder.push(text.as_bytes(), &mut events).unwrap();
            let mut fold = Fold::new(dialect, 10_000);
            events.iter().for_each(|event| fold.push(event));
            assert_eq!(fold.finish().unwrap().choices[0].parts.len(), reply.choices[0].parts.len());
        }
    }
}
