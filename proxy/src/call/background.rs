//! Answers that are made in the background: their call is over before anybody knows what they use. It is counted when one is fetched
//! whole for the first time, and what the call had reserved of budgets is settled by it.

use std::time::Duration;

use sluicegate_dialects::{AnsweredBy, is_in_background};

use crate::account::AttemptEntry;
use crate::sealing::SealedId;
use crate::state::Provider;

use super::inbound::InboundCall;
use super::part_prices;
use super::stored_object::StoredObject;

/// The reservations of such a call stand for so long at most; then they stay as they are. Vendors are done within hours.
pub(super) const LONGEST: Duration = Duration::from_secs(86_400);

/// True if a call's answer is made in the background, and can be asked for by its id.
pub(super) fn is_asked_for(call: &InboundCall) -> bool {
    call.stored().is_some() && call.operation.generates() && is_in_background(&call.body)
}

/// Stands for an answer where it is kept that its usage is to be counted.
pub(super) fn name(of: &SealedId) -> [u8; 32] {
    let mut digest = blake3::Hasher::new_derive_key("sluicegate answers of the background v1");
    digest.update(&of.target.to_le_bytes()).update(of.id.as_bytes());
    *digest.finalize().as_bytes()
}

/// Counts what an answer used that was made in the background, if this is the first time that it is told whole.
pub(super) async fn count(call: &InboundCall, provider: &Provider, body: &[u8], entry: &mut AttemptEntry) {
    let Some(answer) = call.object().and_then(StoredObject::answer_again) else { return };
    if !is_in_background(body) {
        return;
    }
    let Some(usage) = call.dialect().usage_of_whole(body).ok().flatten() else { return };
    let budgets = call.context.worker.limiter.budgets();
    let Some(reserved) = budgets.take_late(name(answer)).await else { return };
    let model = AnsweredBy::of_whole(body).model.unwrap_or_default();
    // Where its provider calls the model otherwise than it was asked for (a deployment), it is the one of the call.
    let listed = part_prices::listed(&provider.models, &model).or_else(|| provider.models.get(&reserved.model));
    let price = listed.and_then(|model| model.price.as_deref());
    entry.answered_model(&model);
    entry.usage(usage, price);
    budgets.settle_late(reserved, usage, entry.cost());
}
