//! Manifests: any text is read and compiled without panic, to the same bytes every time and in any order.

use crate::compile::{Compiled, compile, manifests};

/// The target.
///
/// # Panics
/// When what must hold does not.
pub fn check(data: &[u8]) {
    let files = [("fuzz.yaml".to_owned(), String::from_utf8_lossy(data).into_owned())];
    let (mut inputs, findings) = manifests::read(&files);
    assert_eq!(manifests::read(&files).1, findings);
    let first = compile(&inputs);
    is_closed(&first);
    inputs.pools.reverse();
    inputs.routes.reverse();
    let again = compile(&inputs);
    assert_eq!(first, again, "order and time change nothing");
    assert_eq!(snapshot(&first), snapshot(&again));
    inputs.previous = Some(&first.snapshot);
    inputs.previous_credentials = Some(&first.credentials);
    assert_eq!(snapshot(&compile(&inputs)), snapshot(&first), "what was compiled last adds nothing to itself");
}

fn snapshot(compiled: &Compiled) -> String {
    serde_json::to_string(&compiled.snapshot).expect("a snapshot serialises")
}

/// Every pool that a route names is there, and so is every credential.
fn is_closed(compiled: &Compiled) {
    for rule in compiled.snapshot.routes.values().flat_map(|route| &route.rules) {
        for target in rule.targets.iter().chain(&rule.fallbacks) {
            assert!(compiled.snapshot.pools.contains_key(&target.pool), "no pool {:?}", target.pool);
        }
    }
    for provider in compiled.snapshot.pools.values().flat_map(|pool| &pool.providers) {
        if let Some(id) = &provider.credential {
            assert!(compiled.credentials.contains_key(id), "no credential {id:?}");
        }
    }
}
