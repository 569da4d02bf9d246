//! The part that each kind of resource has in the control plane: what it names, how it is given to `compile`, and what
//! comes out for it. One file a kind, behind one trait; whoever walks kinds asks [`steps`] and names none.

mod consumer;
mod limit_list;
mod pool;
mod route;
mod step;

use crate::Kind;

pub use step::{Form, KindSteps, Reference, Resource, Spec};

/// The steps of a kind: its row.
#[must_use]
pub fn steps(kind: Kind) -> &'static dyn KindSteps {
    match kind {
        Kind::ProviderPool => &pool::PoolSteps,
        Kind::LlmConsumer => &consumer::ConsumerSteps,
        Kind::LlmRoute => &route::RouteSteps,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{compile, manifests};
    use super::*;
    use crate::Snapshot;

    /// An example that holds an object of each kind.
    fn example() -> Vec<(String, String)> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/examples/consumers");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap())).collect()
    }

    #[test]
    fn every_kind_goes_from_a_manifest_to_a_form_and_back() {
        let (inputs, findings) = manifests::read(&example());
        assert!(findings.is_empty(), "{findings:?}");
        let compiled = compile(&inputs);
        let mut recalled = Snapshot::default();
        for kind in Kind::ALL {
            let steps = steps(*kind);
            let all = steps.all(&compiled.snapshot);
            assert!(!all.is_empty(), "the example has no {kind}: {:?}", compiled.verdicts);
            for (id, revision) in all {
                assert!(steps.serves(&compiled.snapshot, id));
                let form = steps.form(&compiled, id).unwrap();
                let (read, named) = steps.references_of_compiled(&form.text).unwrap();
                assert_eq!((read.as_str(), form.revision.as_str()), (revision, revision));
                assert!(steps.answers_alike(&form.text, &form.text));
                assert!(steps.reads_alike(Some(&form.text), &compiled, id));
                // What is named is published first: nothing names what is of its own rank or above.
                assert!(named.iter().all(|named| !matches!(named, Reference::Object(named, _) if named >= kind)));
                steps.recall(&mut recalled, id, &form.text);
            }
        }
        assert_eq!(recalled, compiled.snapshot);
    }
}
