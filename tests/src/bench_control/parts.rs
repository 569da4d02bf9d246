//! The parts under measure, real ones: an API server with its etcd, the operator, the proxies and a Pod for each of them.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use kube::Client;
use serde_json::json;
use sluicegate_config::published::GATEWAY_LABEL;
use tempfile::TempPath;

use super::audit::{Audit, Moment, Writes};
use super::figures::PATIENCE;
use crate::kube::account::{self, Grant, rule};
use crate::kube::{ControlPlane, Options, manifests, pod};
use crate::operator::Operator;
use crate::process::Process;
use crate::proxy::Proxy;

/// Name of the gateway.
const GATEWAY: &str = "bench";
/// The accounts of the operator and of the proxies: by them the audit log tells them from the bench.
const OPERATOR: &str = "operator";
const PROXY: &str = "proxy";
/// What an operator has put off (the count of a pool's routes) is written within this time.
const QUIET: Duration = Duration::from_secs(6);

/// Everything that runs.
pub(crate) struct Parts {
    // Whoever needs the API server ends before it.
    operator: Option<Operator>,
    proxies: Vec<Proxy>,
    /// The operator's kubeconfig; the file goes with the value.
    account: TempPath,
    audit: Audit,
    /// The gateway's namespace.
    pub home: String,
    /// Namespace of the routes.
    pub team: String,
    /// The administrator.
    pub client: Client,
    // The last to go.
    _cluster: ControlPlane,
}

impl Parts {
    /// Starts everything, with no route yet.
    ///
    /// # Errors
    /// Something does not start.
    pub(crate) async fn start(proxies: usize) -> Result<Self> {
        // Without controllers: who else writes would be counted by nobody, and costs processor time.
        let cluster = ControlPlane::start_with(Options { controllers: false })?;
        let audit = Audit::beside(cluster.kubeconfig())?;
        let client = cluster.client().await?;
        manifests::install_crds(&client).await?;
        let home = manifests::namespace(&client, "gateway", &[]).await?;
        let team = manifests::namespace(&client, "team", &[]).await?;
        let admin = cluster.kubeconfig();
        let all = [Grant::Everywhere { rules: vec![rule("*", &["*"], &["*"])] }];
        let account = account::create(&client, admin, (&home, OPERATOR), &all).await?;
        let read = vec![rule("", &["configmaps", "secrets"], &["get", "list", "watch"])];
        let read = [Grant::In { namespace: home.clone(), rules: read }];
        let reader = account::create(&client, admin, (&home, PROXY), &read).await?;
        let (operator, started) = (start_operator(&account, &home)?, start_proxies(&reader, &home, proxies)?);
        let labels = json!({GATEWAY_LABEL: GATEWAY, "app.kubernetes.io/component": "proxy"});
        for (number, proxy) in started.iter().enumerate() {
            pod::create(&client, (&home, &format!("proxy-{number}")), &labels, proxy.admin).await?;
        }
        let operator = Some(operator);
        let parts = Self { operator, proxies: started, account, audit, home, team, client, _cluster: cluster };
        parts.lead().await?;
        Ok(parts)
    }

    /// Waits until the operator has read everything, leads and has nothing left to look at.
    async fn lead(&self) -> Result<()> {
        let operator = self.operator()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ready = operator.page("/readyz").await.is_ok_and(|(status, _)| status == 200);
            let metric = async |name| operator.metric(name, &[]).await;
            if ready
                && metric("sluicegate_operator_is_leader").await? > 0.5
                && metric("sluicegate_operator_queued_objects").await? < 0.5
            {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the operator does not lead:\n{}", operator.log().join("\n"));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The operator.
    ///
    /// # Errors
    /// It is stopped.
    pub(crate) fn operator(&self) -> Result<&Operator> {
        self.operator.as_ref().context("the operator is stopped")
    }

    /// The operator's process.
    ///
    /// # Errors
    /// It is stopped.
    pub(crate) fn operator_process(&self) -> Result<&Process> {
        Ok(self.operator()?.process())
    }

    /// The proxies' processes.
    pub(crate) fn proxy_processes(&self) -> impl Iterator<Item = &Process> {
        self.proxies.iter().map(Proxy::process)
    }

    /// Where the proxies take calls.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.proxies.iter().map(|proxy| proxy.address).collect()
    }

    /// Stops the operator as Kubernetes does, starts another, and gives the time from its start to its lead.
    ///
    /// # Errors
    /// It does not end, or does not lead.
    pub(crate) async fn restart_operator(&mut self) -> Result<Duration> {
        self.operator.take().context("the operator is stopped")?.stop().await?;
        let begin = Instant::now();
        self.operator = Some(start_operator(&self.account, &self.home)?);
        self.lead().await?;
        Ok(begin.elapsed())
    }

    /// Now, for [`Parts::written_since`].
    ///
    /// # Errors
    /// The audit log cannot be read.
    pub(crate) fn now(&self) -> Result<Moment> {
        self.audit.now()
    }

    /// What operator and proxies have written since.
    ///
    /// # Errors
    /// The audit log cannot be read, or a proxy has written something.
    pub(crate) fn written_since(&self, moment: Moment) -> Result<Writes> {
        let by_proxies = self.audit.since(moment, (&self.home, PROXY))?;
        ensure!(by_proxies == Writes::default(), "a proxy has written: {by_proxies}");
        self.audit.since(moment, (&self.home, OPERATOR))
    }

    /// Waits until nothing has been written for a while.
    ///
    /// # Errors
    /// That does not come in time.
    pub(crate) async fn quiet(&self) -> Result<()> {
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            let moment = self.now()?;
            tokio::time::sleep(QUIET).await;
            let writes = self.written_since(moment)?;
            if writes.beside_the_lease() == 0 {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the operator goes on writing: {writes}");
        }
    }
}

fn start_operator(kubeconfig: &Path, home: &str) -> Result<Operator> {
    Operator::start(kubeconfig, (GATEWAY, home), &["--identity", "bench"])
}

fn start_proxies(kubeconfig: &Path, home: &str, count: usize) -> Result<Vec<Proxy>> {
    let start = |_| Proxy::in_cluster(kubeconfig, (GATEWAY, home), &["--workers", "1", "--log-sample", "0"]);
    (0..count).map(start).collect()
}
