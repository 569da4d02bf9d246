//! Nobody learns from a refusal what another namespace holds: a pool that is not there, one that does not let the route in
//! and one that lets it in and cannot serve read alike, byte for byte.
#![cfg(feature = "compile")]
#![expect(clippy::unwrap_used, reason = "tests say what they expect")]

use sluicegate_config::ObjectId;
use sluicegate_config::compile::{Kind, compile, manifests};

const ROUTE: &str = "
apiVersion: sluicegate.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat, namespace: team-a}
spec:
  rules:
  - name: all
    matches: [{model: {exact: secret-model}}]
    targets: [{poolRef: {name: p, namespace: team-b}}]
    fallbacks: [{poolRef: {name: p, namespace: team-b}, model: other}]
";

fn told(pool: &str) -> (String, Vec<u8>) {
    let (inputs, findings) = manifests::read(&[("in.yaml".to_owned(), format!("{ROUTE}---\n{pool}"))]);
    assert!(findings.is_empty(), "{findings:?}");
    let compiled = compile(&inputs);
    let id = ObjectId("team-a/chat".to_owned());
    let verdicts: Vec<_> = compiled.verdicts.of(Kind::LlmRoute, &id).collect();
    assert_eq!(verdicts.len(), 2, "{verdicts:?}");
    (format!("{verdicts:?}"), serde_json::to_vec(&compiled.snapshot.routes.get(&id).unwrap()).unwrap())
}

#[test]
fn absent_and_not_allowed_read_alike() {
    let head =
        "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {name: p, namespace: team-b}\nspec: ";
    let absent = told("");
    assert!(absent.0.contains("BackendNotFound"), "{}", absent.0);
    for (what, spec) in [
        ("not allowed", "{providers: [{name: a, type: Simulated}]}"),
        (
            "not selected",
            "{allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: c}}}}, providers: [{name: a, type: Simulated}]}",
        ),
        ("not allowed, with other models", "{providers: [{name: a, type: Simulated, models: [{name: x}]}]}"),
        ("not allowed, and bad", "{providers: []}"),
        ("allowed, and bad", "{allowedRoutes: {namespaces: {from: All}}, providers: []}"),
        (
            "allowed, without its only Secret",
            "{allowedRoutes: {namespaces: {from: All}}, providers: [{name: a, type: OpenAI, url: \"https://x\", credentials: {secretRef: {name: s}}}]}",
        ),
    ] {
        assert_eq!(told(&format!("{head}{spec}")), absent, "{what}");
    }
}
