//! Items that a call names by their ids: said in its own words, out of the conversations that the gateway keeps for its caller.

use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;
use sluicegate_dialects::hub::ErrorKind;
use sluicegate_dialects::stored;

use crate::errors::Problem;
use crate::kept_responses::{KeptConversations, KeptName};

use super::inbound::InboundCall;
use super::stored::{memory_away, patiently};
use super::stored_call::StoredCall;

/// The most items that a call names, and the most conversations that they are looked for in.
const MOST: usize = 512;
const MOST_CONVERSATIONS: usize = 16;

/// The call in which the items that it names are said; `None`: it names none.
///
/// # Errors
/// One of them is not kept for this caller, or Redis can not say.
pub(super) async fn said(call: &InboundCall, named: &[String]) -> Result<Rc<InboundCall>, Problem> {
    let first = || not_there(named.first().map(String::as_str).unwrap_or_default());
    let (Some(kept), Some(stored)) = (&call.context.worker.conversations, call.stored()) else { return Err(first()) };
    if named.len() > MOST {
        return Err(too_many());
    }
    let mut items = HashMap::new();
    let mut looked = 0;
    // What was said last is of the longest conversation: most often all others are in it.
    for id in named.iter().rev() {
        if items.contains_key(id) {
            continue;
        }
        looked += 1;
        if looked > MOST_CONVERSATIONS {
            return Err(too_many());
        }
        let conversation = conversation(kept, stored, id).await?;
        items.extend(stored::items_by_id(&conversation));
        if !items.contains_key(id) {
            return Err(not_there(id));
        }
    }
    let body = stored::with_items(&call.body, &items).ok_or_else(first)?;
    call.written_out(body, stored.same())
}

/// The conversation that an item is in.
async fn conversation(kept: &KeptConversations, stored: &StoredCall, id: &str) -> Result<Bytes, Problem> {
    let StoredCall { owner, sealer, .. } = stored;
    let answer = patiently(async || kept.item((owner, id), sealer).await).await.map_err(|_| memory_away())?;
    let answer = answer.ok_or_else(|| missed(kept, id))?;
    let found = kept.get(&KeptName { owner, answer: &answer }, sealer).await.map_err(|_| memory_away())?;
    found.ok_or_else(|| missed(kept, id))
}

fn missed(kept: &KeptConversations, id: &str) -> Problem {
    kept.counts().missed.add();
    not_there(id)
}

/// The problem of an item that is not there for this caller, whether it is another's or nobody's.
fn not_there(id: &str) -> Problem {
    let shown: String = id.chars().take(200).collect();
    let message = format!(
        "Item with id '{shown}' not found: it is not kept here, or no longer. Send the item itself in `input` in place of its \
         `item_reference`."
    );
    Problem::client(ErrorKind::NotFound, message).param("input".to_owned()).retry(false, None)
}

fn too_many() -> Problem {
    let message = format!(
        "`input` names more items than are looked up for one call ({MOST} of {MOST_CONVERSATIONS} conversations): send the items \
         themselves in `input`."
    );
    Problem::client(ErrorKind::InvalidRequest, message).param("input".to_owned()).retry(false, None)
}
