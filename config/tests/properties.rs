//! What holds for every input: nothing panics, order changes no byte, a bad object changes nothing for its siblings.
#![cfg(feature = "compile")]
#![expect(clippy::unwrap_used, reason = "tests say what they expect")]

use proptest::prelude::*;
use sluicegate_config::compile::{Compiled, Kind, compile, manifests};
use sluicegate_config::{ObjectId, Snapshot};

fn read(documents: &[String]) -> Compiled {
    let (inputs, _) = manifests::read(&[("in.yaml".to_owned(), documents.join("\n---\n"))]);
    compile(&inputs)
}

fn bytes(compiled: &Compiled) -> Vec<u8> {
    serde_json::to_vec(&compiled.snapshot).unwrap()
}

fn pool() -> impl Strategy<Value = String> {
    let url =
        prop_oneof![Just("https://a.example.com"), Just("http://b:8000/api"), Just("nonsense"), Just("https://h:0")];
    let timeout = prop_oneof![Just("5s"), Just("0s"), Just("1h30m"), Just("99999h99999h99999h99999h"), Just("soon")];
    (0..4_u8, 0..3_u32, url, timeout, any::<bool>()).prop_map(|(name, weight, url, timeout, simulated)| {
        let provider = if simulated {
            format!("{{name: a, type: Simulated, weight: {weight}}}")
        } else {
            format!("{{name: a, type: OpenAI, url: \"{url}\", weight: {weight}, credentials: {{secretRef: {{name: s}}}}}}")
        };
        format!(
            "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p{name}}}\nspec: {{timeouts: {{idle: {timeout}}}, providers: [{provider}]}}"
        )
    })
}

fn route() -> impl Strategy<Value = String> {
    let condition = prop_oneof![Just("exact: a"), Just("regex: \"(\""), Just("prefix: a"), Just("exact: a, prefix: b")];
    (0..4_u8, 0..6_u8, 0..6_u8, condition).prop_map(|(name, target, fallback, condition)| {
        format!(
            "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: r{name}}}\nspec: {{rules: [{{name: x, matches: [{{model: {{{condition}}}}}], targets: [{{poolRef: {{name: p{target}}}}}], fallbacks: [{{poolRef: {{name: p{fallback}}}}}]}}]}}"
        )
    })
}

fn secret() -> impl Strategy<Value = String> {
    prop_oneof![Just("k"), Just("two words"), Just("")].prop_map(|value| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{api-key: \"{value}\"}}")
    })
}

fn documents() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop_oneof![3 => pool(), 3 => route(), 1 => secret()], 0..8)
}

/// Every pool that a route names is in the snapshot, and so is every credential.
fn is_closed(compiled: &Compiled) -> bool {
    let Snapshot { routes, pools } = &compiled.snapshot;
    let targets =
        routes.values().flat_map(|route| &route.rules).flat_map(|rule| rule.targets.iter().chain(&rule.fallbacks));
    let credentials =
        pools.values().flat_map(|pool| &pool.providers).filter_map(|provider| provider.credential.as_ref());
    targets.into_iter().all(|target| pools.contains_key(&target.pool))
        && credentials.into_iter().all(|id| compiled.credentials.contains_key(id))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_text_is_read_without_panic(text in "(?s).{0,200}") {
        drop(read(&[text]));
    }

    #[test]
    fn any_mutilated_manifest_is_read_without_panic(
        documents in documents(), at in any::<prop::sample::Index>(), junk in "[-\\[\\]{}:,\"'&*!|>%@`#?a0 \n]{0,6}",
    ) {
        let mut text: Vec<char> = documents.join("\n---\n").chars().collect();
        let at = at.index(text.len() + 1);
        text.splice(at..at, junk.chars());
        let compiled = read(&[text.into_iter().collect()]);
        prop_assert!(is_closed(&compiled));
    }

    #[test]
    fn order_changes_no_byte(documents in documents(), seed in any::<u64>()) {
        let (inputs, _) = manifests::read(&[("in.yaml".to_owned(), documents.join("\n---\n"))]);
        let mut shuffled = inputs.clone();
        let by = usize::try_from(seed % 7).unwrap();
        if !shuffled.pools.is_empty() {
            let by = by % shuffled.pools.len();
            shuffled.pools.rotate_left(by);
        }
        shuffled.routes.reverse();
        let (one, other) = (compile(&inputs), compile(&shuffled));
        prop_assert_eq!(bytes(&one), bytes(&other));
        prop_assert_eq!(one.verdicts, other.verdicts);
        prop_assert!(is_closed(&compile(&shuffled)));
    }

    #[test]
    fn what_serves_once_serves_after_any_bad_edit(before in documents(), after in documents()) {
        let first = read(&before);
        let (mut inputs, _) = manifests::read(&[("in.yaml".to_owned(), after.join("\n---\n"))]);
        inputs.previous = Some(&first.snapshot);
        inputs.previous_credentials = Some(&first.credentials);
        let second = compile(&inputs);
        prop_assert!(is_closed(&second));
        // A pool that is still there in any form does not vanish.
        for manifest in &inputs.pools {
            let served = first.snapshot.pools.contains_key(&manifest.id);
            prop_assert!(!served || second.snapshot.pools.contains_key(&manifest.id));
        }
        // Compiling what came out once more changes nothing.
        inputs.previous = Some(&second.snapshot);
        inputs.previous_credentials = Some(&second.credentials);
        let third = compile(&inputs);
        prop_assert_eq!(bytes(&second), bytes(&third));
    }

    #[test]
    fn a_bad_object_changes_nothing_for_its_siblings(documents in documents(), bad in prop_oneof![
        Just("kind: ProviderPool\nmetadata: {name: bad}\nspec: {providers: []}"),
        Just("kind: ProviderPool\nmetadata: {name: bad}\nspec: {providers: [{name: a, type: Nonsense}]}"),
        Just("kind: LLMRoute\nmetadata: {name: bad}\nspec: {rules: 3}"),
        Just("kind: LLMRoute\nmetadata: {name: bad}"),
    ]) {
        let bad = format!("apiVersion: sluicegate.dev/v1alpha1\n{bad}");
        let alone = read(&documents);
        let mut with_bad = documents;
        with_bad.push(bad);
        let together = read(&with_bad);
        prop_assert_eq!(bytes(&alone), bytes(&together));
        let id = ObjectId("default/bad".to_owned());
        let said = [Kind::ProviderPool, Kind::LlmRoute].iter().map(|kind| together.verdicts.of(*kind, &id).count()).sum::<usize>();
        prop_assert_eq!(together.verdicts.len(), alone.verdicts.len() + said);
        prop_assert!(said > 0);
    }
}
