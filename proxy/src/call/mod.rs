//! The life of one call: `handle` is its table of contents.
//!
//! `caller` and `intake` read it, `inbound` is what was read, `route` finds the rule, `cache_lookup` asks the cache, `coalesce` lets identical calls share one answer, `places` waits for a place among those that are worked on, `failover` is
//! the only loop (with `plan`, `turn`, `fallback`, `room`, `affinity`, `weigh`, `hedge`, `output_limit`, `suspects`, `outgoing`, `headers`, `attempt`, `times`, `repeat`, `retry_policy`, `retry_after`, `failure`, `nobody` and `count` in it; `provider_secret` keeps its credential out of what a provider says of errors),
//! `mirror` sends copies, `stored` (with `stored_call`) is about answers that a provider keeps (`sealed_stream` seals their ids in a stream), `stored_exchange` (with `stored_object`) is for calls that ask for those by their ids (`background` counts those that were not ready before), `referenced_items` for items that are named so, `named_path` for what passes because a rule names its path,
//! `answer_stream` and `transcoder` (with `verbatim_stream` and `translated_stream`) are the way back of a stream (`stream_source` is where it comes from, `stream_terms` what it is given and gives, `resume` and `continuation` let one that breaks go on elsewhere), `pending` a stream before its first token,
//! `whole_answer` reads a whole one, `part_prices` prices what several models had a part in (`passed` and `passed_stream` are for what is no conversation), `reply` puts the answer together and `response_body` is its body.

mod access;
mod affinity;
mod answer_head;
mod answer_stream;
mod answering;
mod attempt;
mod attempt_limits;
mod background;
mod batch;
mod batch_usage;
mod batched;
mod betas;
mod budgets;
mod cache_listener;
mod cache_lookup;
mod call_files;
mod call_size;
mod caller;
mod coalesce;
mod coding;
mod compress;
mod compress_request;
mod context;
mod continuation;
mod cors;
mod count;
mod custom_tools;
mod event_tail;
mod exchange;
mod failover;
mod failure;
mod fallback;
mod foreign_thoughts;
mod framing;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod handle;
mod headers;
mod hedge;
mod hops;
mod inbound;
mod intake;
mod keys;
mod limit_queue;
mod limit_refusal;
mod limits;
mod mirror;
mod named_files;
mod named_path;
mod neutral;
mod nobody;
mod open_attempt;
mod outgoing;
mod output_limit;
mod part_prices;
mod passed;
mod passed_stream;
mod pending;
mod places;
mod plan;
mod prompt_size;
mod provider_keys;
mod provider_secret;
mod referenced_items;
mod repeat;
mod reply;
mod response_body;
mod resume;
mod retry_after;
mod retry_policy;
mod room;
mod sealed_stream;
mod stored;
mod stored_call;
mod stored_exchange;
mod stored_list;
mod stored_object;
mod stored_retrieval;
mod stream_source;
mod stream_terms;
mod stream_timer;
mod suspects;
mod times;
mod transcoder;
mod translated_stream;
mod turn;
mod vendor_limits;
mod verbatim_stream;
mod weigh;
mod whole_answer;
mod write_buffer;

pub(crate) use handle::handle;
pub use response_body::{Cut, ResponseBody};
