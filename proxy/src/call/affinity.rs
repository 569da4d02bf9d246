//! The conversation that a call is of, where its pool keeps those together: named by its client or known by its beginning.

use std::rc::Rc;
use std::sync::Arc;

use http::HeaderName;
use sluicegate_config::AffinitySource;
use sluicegate_dialects::conversation::{prefix_of_body, session_of_body};

use crate::balance::ConversationKey;
use crate::endpoint::ConversationPlace;
use crate::state::{Pool, PreparedAffinity};

use super::inbound::InboundCall;

/// The headers by which clients name a session: Claude Code's, Codex's, opencode's and OpenRouter's. The first that is there counts.
static SESSION_HEADERS: [HeaderName; 8] = [
    HeaderName::from_static("x-claude-code-session-id"),
    HeaderName::from_static("session_id"),
    HeaderName::from_static("session-id"),
    HeaderName::from_static("conversation_id"),
    HeaderName::from_static("conversation-id"),
    HeaderName::from_static("thread-id"),
    HeaderName::from_static("x-session-affinity"),
    HeaderName::from_static("x-session-id"),
];

/// A call's place in its conversation: held as long as the call is under way.
#[derive(Debug)]
pub(super) struct ConversationSeat {
    /// The word for balancing.
    pub(super) conversation: ConversationKey,
    _seat: ConversationPlace,
}

impl ConversationSeat {
    /// Stands for the conversation towards providers.
    pub(super) fn hint(&self) -> String {
        format!("{:016x}", self.conversation.key)
    }
}

/// The place of a call in its conversation; `None`: its pool keeps none together, or it is of none that anybody knows.
pub(super) fn seat(call: &InboundCall, pool: &Pool) -> Option<Rc<ConversationSeat>> {
    let affinity = pool.affinity.as_ref().filter(|_| call.operation.generates())?;
    let key = affinity.sources.iter().find_map(|source| key(call, affinity, *source))?;
    let seat = pool.state.seats.get_or_init(Arc::default).take(key);
    let conversation = ConversationKey { key, max_load_milli: affinity.max_load_milli, is_crowd: seat.is_crowd };
    Some(Rc::new(ConversationSeat { conversation, _seat: seat }))
}

fn key(call: &InboundCall, affinity: &PreparedAffinity, source: AffinitySource) -> Option<u64> {
    let header =
        |name: &HeaderName| Some(call.headers.get(name)?.as_bytes().trim_ascii()).filter(|value| !value.is_empty());
    let mut digest = blake3::Hasher::new();
    match source {
        AffinitySource::Header => digest.update(header(affinity.header.as_ref()?)?),
        AffinitySource::Session => match SESSION_HEADERS.iter().find_map(header) {
            Some(session) => digest.update(session),
            None => digest.update(session_of_body(&call.body)?.as_bytes()),
        },
        AffinitySource::Prefix => {
            let found = prefix_of_body(&call.body, |text| {
                digest.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes()).update(text.as_bytes());
            });
            found.then_some(&mut digest)?
        }
    };
    let [a, b, c, d, e, f, g, h, ..] = *digest.finalize().as_bytes();
    Some(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
}
