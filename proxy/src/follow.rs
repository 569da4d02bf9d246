//! From a source to the workers: each configuration is made ready on the control thread, given to the workers, and
//! told of after that: who reads of a revision is served by it. Calls in flight keep the one they began under.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::source::{Gateway, Report, Subscription};
use crate::state::{Builder, Ready};

/// The place that configurations go to once they are ready.
pub(crate) struct Workers {
    /// The configuration that workers take up with their next call.
    pub(crate) ready: Arc<ArcSwap<Ready>>,
    /// The report on what they serve by.
    pub(crate) told: watch::Sender<Arc<Report>>,
}

/// Makes ready what a folder's source has read by now.
pub(crate) fn current(subscription: &Subscription, builder: &mut Builder) -> Arc<Ready> {
    match subscription.configuration.borrow().as_ref() {
        Some(found) => builder.replace(&found.snapshot, &found.credentials),
        None => builder.ready(),
    }
}

/// Follows a folder's source to its end.
pub(crate) async fn folder(mut subscription: Subscription, mut builder: Builder, workers: Workers) {
    // The source publishes a report after each configuration.
    while subscription.report.changed().await.is_ok() {
        let report = Arc::clone(&subscription.report.borrow_and_update());
        if subscription.configuration.has_changed().unwrap_or_default() {
            subscription.configuration.mark_unchanged();
            workers.ready.store(current(&subscription, &mut builder));
        }
        workers.told.send_replace(report);
    }
}

/// Follows what is published for a gateway.
pub(crate) async fn gateway(mut gateway: Gateway, mut builder: Builder, workers: Workers) {
    while let Some(update) = gateway.next().await {
        // An empty gateway's configuration is one, too: its models are unknown, and not yet to come.
        let begins = update.report.revision.is_some() && !workers.ready.load().is_configured();
        if begins || !update.changes.is_empty() {
            let (began, changes) = (Instant::now(), update.changes.len());
            workers.ready.store(builder.apply(update.changes));
            tracing::debug!(changes, micros = began.elapsed().as_micros(), "made ready");
        }
        if update.deserted {
            workers.ready.store(builder.desert());
        }
        workers.told.send_replace(update.report);
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_config::compile::{Inputs, compile, manifests};

    use super::*;
    use crate::account::{LogQueue, Metrics};
    use crate::cache;
    use crate::source::Configuration;
    use crate::state::{Lasting, Permission};

    fn finds(ready: &ArcSwap<Ready>) -> bool {
        matches!(
            ready.load().find("m", &http::HeaderMap::new(), None, &crate::matching::AskedAmount::default),
            Permission::Granted(..)
        )
    }

    #[tokio::test(flavor = "local")]
    async fn a_revision_is_told_of_when_calls_are_served_by_it() {
        let metrics = Metrics::new(LogQueue::new().0);
        let builder = Builder::new(Lasting {
            registry: Arc::default(),
            cache: cache::SharedCache::new(),
            limits: Arc::default(),
            metrics,
            outward: Default::default(),
            tokens: Arc::default(),
            jwks: Arc::default(),
            discovery: Arc::default(),
            known_only: false,
            region: None,
        });
        let (configurations, configuration) = watch::channel(None);
        let (reports, report) = watch::channel(Arc::<Report>::default());
        let ready = Arc::new(ArcSwap::from(builder.ready()));
        let (told, mut tells) = watch::channel(Arc::<Report>::default());
        let workers = Workers { ready: Arc::clone(&ready), told };
        tokio::task::spawn_local(folder(Subscription { configuration, report }, builder, workers));
        let text = "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {name: p}\nspec: {providers: [{name: a, type: Simulated}]}\n---\n\
            apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: r}\nspec: {rules: [{name: all, targets: [{poolRef: {name: p}}]}]}\n";
        let inputs: Inputs<'_> = manifests::read(&[("all.yaml".to_owned(), text.to_owned())]).0;
        let compiled = compile(&inputs);
        let configuration = Configuration {
            revision: "new".to_owned(),
            snapshot: compiled.snapshot,
            credentials: compiled.credentials,
        };
        assert!(!finds(&ready));
        configurations.send_replace(Some(Arc::new(configuration)));
        reports.send_replace(Arc::new(Report { revision: Some("new".to_owned()), ..Report::default() }));
        assert_eq!(tells.borrow().revision, None, "nobody serves it yet");
        tells.changed().await.unwrap();
        assert_eq!(tells.borrow().revision.as_deref(), Some("new"));
        assert!(finds(&ready));
    }
}
