//! Publishes the token by which proxies know the operator: made up once, kept in a Secret, put right when others change it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use sluicegate_config::published::TOKEN_KEY;

use crate::client::error_text;
use crate::lease::{LONGEST_WRITE, Leadership};
use crate::randomness;
use crate::world::{MANAGER, Shared};

/// The time between two looks, in memory, at how it stands.
const LOOK: Duration = Duration::from_millis(500);
/// A write that failed is tried again after this.
const AGAIN: Duration = Duration::from_secs(5);

/// Keeps the token published, as long as this replica leads.
pub struct TokenKeeper {
    /// Writes.
    pub client: Client,
    /// The gateway's namespace.
    pub namespace: String,
    /// The world as it is known.
    pub world: Shared,
    /// The leadership: whether this replica may write.
    pub leadership: Rc<Leadership>,
}

impl TokenKeeper {
    /// Keeps it for ever.
    pub async fn keep(&self) {
        loop {
            let is_wanted = self.leadership.holds() && self.world.borrow().wants_token();
            let went_well = !is_wanted || self.write().await;
            tokio::time::sleep(if went_well { LOOK } else { AGAIN }).await;
        }
    }

    /// Writes it. Says whether that went well.
    async fn write(&self) -> bool {
        let known = self.world.borrow().token().map(str::to_owned);
        let Some(token) = known.or_else(randomness::word) else {
            tracing::error!("there is no randomness to make a token for proxies of");
            return false;
        };
        let metadata = self.world.borrow().template().token_meta();
        let name = metadata.name.clone().unwrap_or_default();
        let data = BTreeMap::from([(TOKEN_KEY.to_owned(), ByteString(token.clone().into_bytes()))]);
        let secret = Secret { metadata, data: Some(data), ..Secret::default() };
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let how = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(&secret);
        match tokio::time::timeout(LONGEST_WRITE, api.patch(&name, &how, &patch)).await {
            Ok(Ok(written)) => {
                self.world.borrow_mut().token_seen(&written.metadata, Some(token));
                true
            }
            Ok(Err(error)) => {
                tracing::warn!(
                    error = error_text(&error),
                    name,
                    "the token for proxies could not be written; it is tried again"
                );
                false
            }
            Err(_) => {
                tracing::warn!(name, "the API server did not answer a write in time; it is tried again");
                false
            }
        }
    }
}
