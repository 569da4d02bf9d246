//! Checks of what must hold for whatever stands in an object that the cluster holds out as published.

use sluicegate_config::{Consumer, FEATURES, Pool, Route};

use super::published::Published;

/// Published objects: any content is taken, or refused in words that repeat nothing of it.
///
/// # Panics
/// When what must hold does not.
pub fn published(data: &[u8]) {
    let object = Published {
        name: "name".to_owned(),
        version: "1".to_owned(),
        content: "route".to_owned(),
        object: "default/name".to_owned(),
        revision: "a".to_owned(),
        secret: false,
        withdrawn: false,
        body: Some(data.to_vec()),
    };
    let refused = [
        object.compiled(&FEATURES, |route: &Route| &route.revision).err(),
        object.compiled(&FEATURES, |pool: &Pool| &pool.revision).err(),
        object.compiled(&FEATURES, |consumer: &Consumer| &consumer.revision).err(),
        object.credentials().err(),
    ];
    for why in refused.into_iter().flatten() {
        assert!(!why.is_empty() && why.len() < 400, "{why}");
    }
    let _ = object.identity("gateway").is_some();
}
