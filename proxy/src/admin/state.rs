//! The facts that the admin pages know of the process.

use std::sync::Arc;

use tokio::sync::watch;

use crate::account::Metrics;
use crate::drain::Staff;
use crate::endpoint::Registry;
use crate::identity::keeper::Tokens;
use crate::limit::SharedLimits;
use crate::source::Report;

/// The things that the admin pages tell of.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Written out at `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Written out at `/config`; readiness hangs on its revision.
    pub report: watch::Receiver<Arc<Report>>,
    /// Readiness hangs on every worker, too.
    pub staff: watch::Receiver<Staff>,
    /// No new calls are wanted.
    pub draining: watch::Receiver<bool>,
    /// The tokens for providers' clouds.
    pub(crate) tokens: Arc<Tokens>,
    /// The keys of providers that have several.
    pub registry: Arc<Registry>,
    /// The budgets and limits whose use the operator is told of.
    pub limits: Arc<SharedLimits>,
}

impl Admin {
    /// The reason why no call should be sent here; `None`: send them.
    pub(super) fn unready(&self) -> Option<String> {
        if *self.draining.borrow() {
            return Some("draining: calls in flight end, new ones belong elsewhere".to_owned());
        }
        let report = Arc::clone(&self.report.borrow());
        if report.revision.is_none() {
            let errors = report.problems.iter().map(|problem| format!("\n- {problem}")).collect::<String>();
            return Some(format!("no configuration is applied{errors}"));
        }
        (!self.staff.borrow().all_accept()).then(|| "not every worker takes connections".to_owned())
    }
}
