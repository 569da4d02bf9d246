//! Manifests and calls in a line each.

use std::net::SocketAddr;

use serde_json::Value;
use sluicegate_tests::binaries::Simulator;
use sluicegate_tests::client::{Answer, Client};
use sluicegate_tests::upstream::{Act, Upstream, answer, chunk, last_chunk, stream_head};

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const MESSAGES: &str = "/v1/messages";
/// What the provider says that saves a call.
pub(crate) const SAVED: &str = "saved by the next one";

/// A provider of a pool. `more` are further fields in flow style, e.g. `priority: 1`.
pub(crate) fn provider(name: &str, kind: &str, address: SocketAddr, more: &str) -> String {
    format!("  - {{name: {name}, type: {kind}, url: \"http://{address}\", {more}}}\n")
}

/// A pool. `more` are further fields of its spec, indented by two.
pub(crate) fn pool(name: &str, providers: &[String], more: &str) -> String {
    format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: {name}}}\nspec:\n  providers:\n{}{more}\n---\n",
        providers.concat()
    )
}

/// A route that gives one model to one pool.
pub(crate) fn route(model: &str, pool: &str) -> String {
    rule(model, &format!("    targets: [{{poolRef: {{name: {pool}}}}}]\n"))
}

/// A route named after the one model it takes, whose rule goes on with these lines.
pub(crate) fn rule(model: &str, lines: &str) -> String {
    format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: {model}}}\nspec:\n  rules:\n  - name: only\n    matches: [{{model: {{exact: {model}}}}}]\n{lines}---\n"
    )
}

/// A call in OpenAI's dialect.
pub(crate) fn chat(model: &str, stream: bool) -> String {
    format!(r#"{{"model":"{model}","stream":{stream},"messages":[{{"role":"user","content":"Say something."}}]}}"#)
}

/// A call in Anthropic's dialect.
pub(crate) fn message(model: &str, stream: bool) -> String {
    format!(
        r#"{{"model":"{model}","stream":{stream},"max_tokens":64,"messages":[{{"role":"user","content":"Say something."}}]}}"#
    )
}

/// Which dialect a call is in, and whether it asks for a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) anthropic: bool,
    pub(crate) stream: bool,
}

/// Both dialects, whole and streamed.
pub(crate) const WAYS: [Way; 4] = [
    Way { anthropic: false, stream: false },
    Way { anthropic: false, stream: true },
    Way { anthropic: true, stream: false },
    Way { anthropic: true, stream: true },
];

impl Way {
    pub(crate) async fn call(self, client: &Client, model: &str, headers: &[(&str, &str)]) -> Answer {
        let (path, body) =
            if self.anthropic { (MESSAGES, message(model, self.stream)) } else { (CHAT, chat(model, self.stream)) };
        client.post(path, headers, body).await.unwrap_or_else(|error| panic!("{model} {self:?}: {error:#}"))
    }

    /// The text that an answer says, its stream put together.
    pub(crate) fn said(self, answer: &Answer) -> String {
        if self.stream {
            return events(answer).iter().map(|event| self.piece(event)).collect();
        }
        let body = answer.json();
        let text = if self.anthropic { &body["content"][0]["text"] } else { &body["choices"][0]["message"]["content"] };
        text.as_str().unwrap_or_default().to_owned()
    }

    fn piece(self, event: &Value) -> String {
        let piece = if self.anthropic { &event["delta"]["text"] } else { &event["choices"][0]["delta"]["content"] };
        piece.as_str().unwrap_or_default().to_owned()
    }

    /// Whether a stream says that it is whole.
    pub(crate) fn says_end(self, answer: &Answer) -> bool {
        let end = if self.anthropic { "\"message_stop\"" } else { "data: [DONE]" };
        answer.text().contains(end)
    }

    /// The error that an answer's body is, or its stream's last event: type and message.
    pub(crate) fn error(self, answer: &Answer) -> (String, String) {
        let body =
            if self.stream && answer.status == 200 { events(answer).pop().unwrap_or_default() } else { answer.json() };
        assert!(!self.anthropic || body["type"] == "error", "not Anthropic's shape: {}", answer.text());
        let text = |key: &str| body["error"][key].as_str().unwrap_or_default().to_owned();
        (text("type"), text("message"))
    }
}

/// The JSON of a stream's events.
pub(crate) fn events(answer: &Answer) -> Vec<Value> {
    let text = answer.text();
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    data.filter_map(|data| serde_json::from_str(data).ok()).collect()
}

/// A simulated provider that works and says `SAVED`.
pub(crate) fn good() -> Simulator {
    Simulator::start(&["--text", SAVED]).unwrap()
}

/// An upstream that answers every OpenAI call well, and whole ones of Anthropic's dialect; counted and kept.
pub(crate) fn plain_upstream() -> Upstream {
    Upstream::start(|received| {
        if received.head.contains("/messages") {
            return vec![anthropic_whole("fine")];
        }
        if received.streams() { openai_stream("fine") } else { vec![openai_whole("fine")] }
    })
    .unwrap()
}

pub(crate) fn anthropic_whole(text: &str) -> Act {
    let body = format!(
        r#"{{"id":"m","type":"message","role":"assistant","model":"m","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":3,"output_tokens":2}}}}"#
    );
    answer(200, &[("content-type", "application/json")], body.as_bytes())
}

pub(crate) fn openai_whole(text: &str) -> Act {
    let body = format!(
        r#"{{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}}}"#
    );
    answer(200, &[("content-type", "application/json")], body.as_bytes())
}

pub(crate) fn openai_piece(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

pub(crate) fn openai_stream(text: &str) -> Vec<Act> {
    let first = openai_piece(r#"{"role":"assistant","content":""}"#, "null");
    let said = openai_piece(&format!(r#"{{"content":"{text}"}}"#), "null");
    let end = openai_piece("{}", "\"stop\"") + "data: [DONE]\n\n";
    vec![stream_head(), chunk(first.as_bytes()), chunk(said.as_bytes()), chunk(end.as_bytes()), last_chunk()]
}
