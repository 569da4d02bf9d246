//! What holds for every input: nothing panics, order changes no byte, a bad object changes nothing for its siblings, and
//! part of the objects, closed over what they name, compiles to the same as within the whole.
#![cfg(feature = "compile")]
#![expect(clippy::unwrap_used, reason = "tests say what they expect")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sluicegate_config::compile::{
    Compiled, Credentials, Inputs, Kind, Manifest, MatchConflicts, Needs, Reason, Service, compile, manifests, needs,
    needs_of_compiled, reads_alike, references, references_of_compiled, steps,
};
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
    let provider = (0..3_u32, url, 0..4_u8).prop_map(|(weight, url, what)| match what {
        0 => format!("type: Simulated, weight: {weight}"),
        1 => format!("type: OpenAI, serviceRef: {{name: s{weight}, port: 80}}"),
        2 => format!("type: OpenAI, url: \"https://a\", models: [{{name: {}}}]", if weight == 0 { "a" } else { "b" }),
        _ => format!("type: OpenAI, url: \"{url}\", weight: {weight}, credentials: {{secretRef: {{name: s}}}}"),
    });
    let allowed = prop_oneof![
        Just("from: Same"),
        Just("from: All"),
        Just("from: Selector, selector: {matchLabels: {team: a}}"),
        Just("from: Selector, selector: {matchExpressions: [{key: team, operator: NotIn, values: [a]}]}"),
        Just("from: Selector"),
    ];
    (0..4_u8, namespace(), prop::collection::vec(provider, 1..3), timeout, allowed).prop_map(
        |(name, namespace, providers, timeout, allowed)| {
            let providers: Vec<String> =
                providers.iter().zip(["a", "b"]).map(|(provider, name)| format!("{{name: {name}, {provider}}}")).collect();
            format!(
                "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p{name}, namespace: {namespace}}}\nspec: {{timeouts: {{idle: {timeout}}}, allowedRoutes: {{namespaces: {{{allowed}}}}}, providers: [{}]}}",
                providers.join(", ")
            )
        },
    )
}

fn namespace() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just("default"), 1 => Just("team-a"), 1 => Just("team-b")]
}

fn route() -> impl Strategy<Value = String> {
    let condition = prop_oneof![Just("exact: a"), Just("regex: \"(\""), Just("prefix: a"), Just("exact: a, prefix: b")];
    (0..4_u8, namespace(), (0..6_u8, namespace()), 0..6_u8, condition).prop_map(
        |(name, namespace, (target, its_namespace), fallback, condition)| {
            format!(
                "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: r{name}, namespace: {namespace}}}\nspec: {{rules: [{{name: x, matches: [{{model: {{{condition}}}}}], targets: [{{poolRef: {{name: p{target}, namespace: {its_namespace}}}}}], fallbacks: [{{poolRef: {{name: p{fallback}}}}}]}}]}}"
            )
        },
    )
}

fn secret() -> impl Strategy<Value = String> {
    (namespace(), prop_oneof![Just("k"), Just("l"), Just("two words"), Just("a-key-that-nobody-can-guess"), Just("")]).prop_map(|(namespace, value)| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: {namespace}}}\nstringData: {{api-key: \"{value}\"}}")
    })
}

fn labels() -> impl Strategy<Value = String> {
    (namespace(), prop_oneof![Just("{team: a}"), Just("{team: b}"), Just("{}")]).prop_map(|(name, labels)| {
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {labels}}}")
    })
}

fn consumer() -> impl Strategy<Value = String> {
    let model = prop_oneof![Just("exact: a"), Just("regex: \"(\""), Just("prefix: a, exact: b")];
    let expires = prop_oneof![Just("2027-01-31T00:00:00Z"), Just("2027-02-31T00:00:00Z"), Just("soon")];
    (0..3_u8, namespace(), model, expires).prop_map(|(name, namespace, model, expires)| {
        format!(
            "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: c{name}, namespace: {namespace}}}\nspec: {{models: {{allow: [{{{model}}}]}}, keys: [{{name: a, secretRef: {{name: s}}}}, {{name: b, secretRef: {{name: t}}, expiresAt: '{expires}'}}]}}"
        )
    })
}

fn documents() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop_oneof![3 => pool(), 3 => route(), 1 => consumer(), 1 => secret(), 1 => labels()], 0..12)
}

/// What a cluster would tell of Services, if there is one.
fn services() -> impl Strategy<Value = Option<BTreeMap<ObjectId, Service>>> {
    let endpoints = prop::collection::vec((1..4_u8).prop_map(|end| format!("10.0.0.{end}:8080")), 0..4);
    let service = (prop_oneof![4 => Just(80_u16), 1 => Just(81)], endpoints, prop::bool::weighted(0.1)).prop_map(
        |(port, endpoints, is_external_name)| Service { ports: [(port, endpoints)].into(), is_external_name },
    );
    let id = (namespace(), 0..3_u8).prop_map(|(namespace, name)| ObjectId(format!("{namespace}/s{name}")));
    prop::option::weighted(0.8, prop::collection::btree_map(id, service, 0..5))
}

fn inputs(documents: &[String], services: Option<BTreeMap<ObjectId, Service>>) -> Inputs<'static> {
    let (mut inputs, _) = manifests::read(&[("in.yaml".to_owned(), documents.join("\n---\n"))]);
    // As from a cluster, where everything has been read.
    inputs.incomplete = false;
    inputs.services = services;
    inputs
}

fn space(id: &ObjectId) -> &str {
    id.0.split('/').next().unwrap()
}

/// The part of a world that has to be compiled when some of its objects change.
struct Part {
    routes: BTreeSet<ObjectId>,
    pools: BTreeSet<ObjectId>,
}

impl Part {
    /// What changed, with the routes that name the pools in it, and all pools that its routes name.
    fn closed(changed: impl Fn(&ObjectId) -> bool, inputs: &Inputs<'_>) -> Self {
        let previous = inputs.previous.unwrap();
        let mut named: BTreeMap<&ObjectId, BTreeSet<ObjectId>> = BTreeMap::new();
        for Manifest { id, spec, .. } in &inputs.routes {
            let names = named.entry(id).or_default();
            names.extend(spec.iter().flat_map(|spec| references(spec, space(id))));
            names.extend(previous.routes.get(id).map(references_of_compiled).unwrap_or_default());
        }
        let mut pools: BTreeSet<ObjectId> =
            inputs.pools.iter().map(|manifest| manifest.id.clone()).filter(|id| changed(id)).collect();
        named.retain(|id, names| changed(id) || names.iter().any(|pool| pools.contains(pool) || changed(pool)));
        pools.extend(named.values().flatten().cloned());
        Self { routes: named.into_keys().cloned().collect(), pools }
    }

    fn inputs<'a>(&self, whole: &Inputs<'a>, previous: &'a Snapshot, credentials: &'a Credentials) -> Inputs<'a> {
        let mut part = whole.clone();
        part.pools.retain(|manifest| self.pools.contains(&manifest.id));
        part.routes.retain(|manifest| self.routes.contains(&manifest.id));
        let mut needed = Needs::default();
        let now = part.pools.iter().filter_map(|m| m.spec.as_ref().ok().map(|spec| needs(spec, space(&m.id))));
        for Needs { secrets, services } in now.chain(previous.pools.values().map(needs_of_compiled)) {
            needed.secrets.extend(secrets);
            needed.services.extend(services);
        }
        part.secrets.retain(|id, _| needed.secrets.contains(id));
        if let Some(services) = &mut part.services {
            services.retain(|id, _| needed.services.contains(id));
        }
        part.previous = Some(previous);
        part.previous_credentials = Some(credentials);
        part
    }

    /// What of a compilation is about this part.
    fn of(&self, compiled: &Compiled) -> (String, Credentials) {
        let has = |kind, id: &ObjectId| match kind {
            Kind::ProviderPool => self.pools.contains(id),
            // A consumer is compiled by itself.
            Kind::LlmConsumer => false,
            Kind::LlmRoute => self.routes.contains(id),
        };
        let Compiled { snapshot, credentials, verdicts, kept, withdrawn: _ } = compiled;
        let snapshot = self.previous(snapshot);
        let verdicts: Vec<_> = verdicts.iter().filter(|verdict| has(verdict.kind, &verdict.object)).collect();
        let kept: Vec<_> = kept.iter().filter(|(kind, id)| has(*kind, id)).collect();
        let json = serde_json::to_string(&snapshot).unwrap();
        (format!("{json}\n{verdicts:?}\n{kept:?}"), self.credentials(&snapshot, credentials))
    }

    fn previous(&self, whole: &Snapshot) -> Snapshot {
        let mut part = whole.clone();
        part.pools.retain(|id, _| self.pools.contains(id));
        part.consumers.clear();
        part.routes.retain(|id, _| self.routes.contains(id));
        part
    }

    fn credentials(&self, part: &Snapshot, whole: &Credentials) -> Credentials {
        let providers = part.pools.values().flat_map(|pool| &pool.providers);
        let named = providers.flat_map(sluicegate_config::Provider::credentials);
        named.filter_map(|id| Some((id.clone(), whole.get(id)?.clone()))).collect()
    }
}

/// Every pool that a route names is in the snapshot, and so is every credential.
fn is_closed(compiled: &Compiled) -> bool {
    let Snapshot { routes, pools, consumers: _ } = &compiled.snapshot;
    let targets =
        routes.values().flat_map(|route| &route.rules).flat_map(|rule| rule.targets.iter().chain(&rule.fallbacks));
    let credentials =
        pools.values().flat_map(|pool| &pool.providers).flat_map(sluicegate_config::Provider::credentials);
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
    fn order_changes_no_byte(documents in documents(), services in services(), seed in any::<u64>()) {
        let inputs = inputs(&documents, services);
        let mut shuffled = inputs.clone();
        let by = usize::try_from(seed % 7).unwrap();
        if !shuffled.pools.is_empty() {
            let by = by % shuffled.pools.len();
            shuffled.pools.rotate_left(by);
        }
        shuffled.routes.reverse();
        for service in shuffled.services.iter_mut().flat_map(BTreeMap::values_mut) {
            service.ports.values_mut().for_each(|endpoints| endpoints.reverse());
        }
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
        prop_assert_eq!(&second.kept, &third.kept);
        prop_assert_eq!(&second.verdicts, &third.verdicts);
    }

    #[test]
    fn what_is_kept_serves_and_is_not_as_written(
        before in documents(), after in documents(), then in services(), now in services(),
    ) {
        let first = compile(&inputs(&before, then));
        let mut inputs = inputs(&after, now);
        let anew = compile(&inputs);
        inputs.previous = Some(&first.snapshot);
        inputs.previous_credentials = Some(&first.credentials);
        let second = compile(&inputs);
        for (kind, id) in &second.kept {
            prop_assert!(second.verdicts.of(*kind, id).next().is_some());
            prop_assert!(steps(*kind).serves(&second.snapshot, id));
        }
        // What is not kept serves as if there had never been anything before; a route also by what its pools were.
        for (id, pool) in second.snapshot.pools.iter().filter(|(id, _)| !second.kept.contains(&(Kind::ProviderPool, (*id).clone()))) {
            prop_assert_eq!(Some(pool), anew.snapshot.pools.get(id));
        }
    }

    #[test]
    fn a_closed_part_compiles_as_within_the_whole(
        before in documents(), after in documents(), then in services(), now in services(), changed in any::<u64>(),
    ) {
        let first = compile(&inputs(&before, then));
        let mut whole = inputs(&after, now);
        whole.previous = Some(&first.snapshot);
        whole.previous_credentials = Some(&first.credentials);
        let changed = |id: &ObjectId| {
            let hash = id.0.bytes().fold(changed, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
            (hash >> 7) % 3 == 0
        };
        let part = Part::closed(changed, &whole);
        let previous = part.previous(&first.snapshot);
        let credentials = part.credentials(&previous, &first.credentials);
        let of_whole = compile(&whole);
        // Routes beside the part are known by what serves of them.
        let conflicts = MatchConflicts::of(&of_whole.snapshot.routes);
        let inputs = Inputs { conflicts: Some(&conflicts), ..part.inputs(&whole, &previous, &credentials) };
        let compiled = compile(&inputs);
        prop_assert_eq!(part.of(&compiled), part.of(&of_whole));
        // And nothing else.
        prop_assert!(compiled.snapshot.pools.keys().all(|id| part.pools.contains(id)));
        prop_assert!(compiled.credentials.len() == part.of(&compiled).1.len());
    }

    #[test]
    fn routes_over_pools_that_read_alike_come_out_the_same(
        before in documents(), after in documents(), then in services(), now in services(),
    ) {
        let zero = compile(&inputs(&before, then.clone()));
        let mut at_first = inputs(&after, then);
        at_first.previous = Some(&zero.snapshot);
        at_first.previous_credentials = Some(&zero.credentials);
        let first = compile(&at_first);
        // The same routes and namespaces, and something happens to the pools.
        let mut later = inputs(&before, now);
        later.routes.clone_from(&at_first.routes);
        later.namespaces.clone_from(&at_first.namespaces);
        later.previous = Some(&first.snapshot);
        later.previous_credentials = Some(&first.credentials);
        let second = compile(&later);
        for Manifest { id, spec, .. } in &at_first.routes {
            let mut named: BTreeSet<ObjectId> = spec.iter().flat_map(|spec| references(spec, space(id))).collect();
            named.extend(first.snapshot.routes.get(id).map(references_of_compiled).unwrap_or_default());
            if named.iter().all(|pool| reads_alike(first.snapshot.pools.get(pool), second.snapshot.pools.get(pool))) {
                prop_assert_eq!(first.snapshot.routes.get(id), second.snapshot.routes.get(id));
                let of = |compiled: &Compiled| -> Vec<_> { compiled.verdicts.of(Kind::LlmRoute, id).filter(|verdict| verdict.reason != Reason::Shadowed).cloned().collect() };
                prop_assert_eq!(of(&first), of(&second));
                let key = (Kind::LlmRoute, id.clone());
                prop_assert_eq!(first.kept.contains(&key), second.kept.contains(&key));
            }
        }
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
