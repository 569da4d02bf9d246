//! The provider and its book: when each call came, what it used and cost, how many of a consumer were worked on at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sluicegate_tests::upstream::{Act, AtWork, Received, Upstream, answer, chunk, last_chunk, stream_head};

use crate::load::{Kind, MOST_PROMPT};

/// The prices of a token of prompt and of one of answer, in picodollars.
pub(crate) const PRICES: (u64, u64) = (2_500_000, 10_000_000);
/// The time that a call of a consumer takes which is limited in what is worked on at once.
const WORK: Duration = Duration::from_millis(120);

/// A call as its caller makes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) consumer: usize,
    pub(crate) proxy: usize,
    pub(crate) max_tokens: u64,
    pub(crate) stream: bool,
}

/// A call as the provider saw it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) number: usize,
    pub(crate) consumer: usize,
    pub(crate) proxy: usize,
    pub(crate) at: Instant,
    pub(crate) tokens: u64,
    pub(crate) cost: u64,
}

/// The book.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book {
    entries: Arc<Mutex<Vec<Entry>>>,
    at_work: Arc<Mutex<BTreeMap<usize, AtWork>>>,
}

impl Book {
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }

    /// The most calls of a consumer that were worked on at once.
    pub(crate) fn most_at_once(&self, consumer: usize) -> u64 {
        self.at_work.lock().unwrap().get(&consumer).map_or(0, AtWork::most)
    }

    fn work_of(&self, consumer: usize) -> AtWork {
        self.at_work.lock().unwrap().entry(consumer).or_default().clone()
    }
}

/// The header by which the provider knows whose call it is, which of all, and by way of which proxy.
pub(crate) fn lane(ask: &Ask, number: usize) -> String {
    format!("{}/{}/{number}", ask.consumer, ask.proxy)
}

/// A provider that keeps this book.
pub(crate) fn provider(book: &Book) -> Upstream {
    let book = book.clone();
    Upstream::start(move |received| serve(&book, received)).unwrap()
}

fn serve(book: &Book, received: &Received) -> Vec<Act> {
    let mut lane = received.header("x-lane").split('/').map(|part| part.parse::<usize>().unwrap());
    let [consumer, proxy, number] = std::array::from_fn(|_| lane.next().unwrap());
    let asked: serde_json::Value = serde_json::from_slice(&received.body).unwrap();
    let most = asked["max_tokens"].as_u64().unwrap();
    let turn = received.number;
    let (prompt, output) = (1 + turn * 7 % MOST_PROMPT, 1 + turn * 13 % most);
    let (tokens, cost) = (prompt + output, prompt * PRICES.0 + output * PRICES.1);
    let work = book.work_of(consumer);
    work.come();
    book.entries.lock().unwrap().push(Entry { number, consumer, proxy, at: received.at, tokens, cost });
    let time = if Kind::of(consumer) == Kind::Places { WORK } else { Duration::ZERO };
    let mut acts = vec![Act::Wait(time), Act::Over(work)];
    let usage = format!(r#""usage":{{"prompt_tokens":{prompt},"completion_tokens":{output},"total_tokens":{tokens}}}"#);
    if received.streams() {
        let said = r#"data: {"choices":[{"index":0,"delta":{"content":"fine"},"finish_reason":"stop"}]}"#;
        let used = format!("data: {{\"choices\":[],{usage}}}\n\ndata: [DONE]\n\n");
        acts.extend([stream_head(), chunk(format!("{said}\n\n").as_bytes()), chunk(used.as_bytes()), last_chunk()]);
    } else {
        let body = format!(
            r#"{{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"fine"}},"finish_reason":"stop"}}],{usage}}}"#
        );
        acts.push(answer(200, &[("content-type", "application/json")], body.as_bytes()));
    }
    acts
}
