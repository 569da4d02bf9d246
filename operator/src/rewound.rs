//! Notices that the cluster's state was put back to an earlier one: no watch tells of that, nor of anything after it.

use std::cell::RefCell;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::{Api, Client};
use sluicegate_config::api_server::{HighestVersion, LOOK_BACK};
use tokio::sync::Notify;

/// The versions that consistent reads and own writes have met.
#[derive(Debug, Default)]
pub struct Rewound {
    highest: RefCell<HighestVersion>,
    noticed: Notify,
}

impl Rewound {
    /// One more is met.
    pub fn met(&self, version: Option<&str>) {
        if self.highest.borrow_mut().goes_back(version) {
            self.noticed.notify_one();
        }
    }

    /// Waits until the state has gone back.
    pub async fn noticed(&self) {
        self.noticed.notified().await;
    }

    /// Looks from time to time, for ever: where no lease is read, nobody else does.
    pub async fn look_back(&self, client: Client, namespace: &str) {
        let (api, one) = (Api::<ConfigMap>::namespaced(client, namespace), ListParams::default().limit(1));
        loop {
            // That the API server can not be asked the watches tell.
            let list = api.list_metadata(&one).await.ok();
            self.met(list.and_then(|list| list.metadata.resource_version).as_deref());
            tokio::time::sleep(LOOK_BACK).await;
        }
    }
}
