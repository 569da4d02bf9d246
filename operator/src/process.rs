//! From settings to a running operator, and to its end.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::Context as _;
use kube::{Api, Client};
use prometheus_client::registry::Registry;
use sluicegate_config::compile::{DeniedNetworks, PriceList};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinSet, LocalSet};
use tracing_subscriber::EnvFilter;

use crate::admin::{self, Health, Question};
use crate::client;
use crate::generated_keys::KeyGenerator;
use crate::lease::{Candidate, Leadership};
use crate::metrics::Metrics;
use crate::owner::OwnerReporter;
use crate::publish::Publisher;
use crate::reconcile::Reconciler;
use crate::rewound::Rewound;
use crate::rollout::Rollout;
use crate::settings::Run;
use crate::status::GatewayId;
use crate::status_writer::StatusWriter;
use crate::token::TokenKeeper;
use crate::watch::Watches;
use crate::world::{ObjectTemplate, Shared, World};

/// Operates a gateway until the process is told to end.
#[must_use]
pub fn run(settings: Run) -> ExitCode {
    // The client's own words repeat what is told here with its cause.
    let filter = format!("kube_client=error,kube_runtime=off,{}", settings.log);
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    // Already set only where a test runs more than one in a process.
    drop(log.json().flatten_event(true).with_current_span(false).try_init());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => LocalSet::new().block_on(&runtime, operate(settings)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the operator cannot run");
            ExitCode::FAILURE
        }
    }
}

async fn operate(settings: Run) -> anyhow::Result<()> {
    let metrics = Rc::new(Metrics::default());
    let config = client::configuration().await?;
    let namespace = settings.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let api_server = client::address(&config);
    let client = client::counting(config, &metrics)?;
    let listener = TcpListener::bind(settings.admin_listen)
        .await
        .with_context(|| format!("{} cannot be listened on", settings.admin_listen))?;
    let address = listener.local_addr()?;
    tracing::info!(gateway = settings.gateway, namespace, admin = %address, "the operator starts");
    let wake = Rc::new(Notify::new());
    let template = ObjectTemplate { gateway: settings.gateway.clone(), owner: None };
    let mut world = World::new(template, settings.watched(), Rc::clone(&wake));
    if let Some(name) = &settings.owner_config_map {
        world.need_owner(name);
    }
    if let Some(claims) = settings.model_claims.clone() {
        world.keep_models(claims);
    }
    if let Some(path) = &settings.prices {
        let list = price_list(path)?;
        metrics.price_list.set(list.timestamp());
        world.keep_prices(list);
    }
    let owner = OwnerReporter::new(settings.owner_config_map.clone(), &namespace, Rc::clone(&metrics));
    let (world, owner): (Shared, _) = (Rc::new(world.into()), Rc::new(owner));
    let leadership = Rc::new(if settings.leader_elect { Leadership::default() } else { Leadership::always() });
    let house = Operator { settings, namespace, metrics, client, api_server, owner, world, leadership, wake };
    house.live(listener).await
}

/// The list of prices in a file.
fn price_list(path: &Path) -> anyhow::Result<PriceList> {
    let text = std::fs::read_to_string(path).with_context(|| format!("--prices: {}", path.display()))?;
    PriceList::parse(&text).map_err(|why| anyhow::anyhow!("--prices: {}: {why}", path.display()))
}

/// The parts that every task needs.
struct Operator {
    settings: Run,
    namespace: String,
    metrics: Rc<Metrics>,
    client: Client,
    api_server: Option<IpAddr>,
    owner: Rc<OwnerReporter>,
    world: Shared,
    leadership: Rc<Leadership>,
    wake: Rc<Notify>,
}

impl Operator {
    async fn live(self, listener: TcpListener) -> anyhow::Result<()> {
        let (mut end, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut tasks = JoinSet::new();
        let world = Rc::clone(&self.world);
        let rollout = Rc::new(Rollout::new(Box::new(move || world.borrow().token().map(str::to_owned))));
        self.answer(listener, Rc::clone(&rollout), &mut tasks);
        let watches = Watches {
            client: self.client.clone(),
            world: Rc::clone(&self.world),
            metrics: Rc::clone(&self.metrics),
            namespace: self.namespace.clone(),
            owner: Rc::clone(&self.owner),
        };
        watches.start(&mut tasks);
        let (owner, client, leadership) = (Rc::clone(&self.owner), self.client.clone(), Rc::clone(&self.leadership));
        tasks.spawn_local(async move { owner.tell(&client, &leadership).await });
        let rewound = Rc::<Rewound>::default();
        let candidate = Rc::new(self.candidate(Rc::clone(&rewound)));
        if self.settings.leader_elect {
            let candidate = Rc::clone(&candidate);
            tasks.spawn_local(async move { candidate.contend().await });
        } else {
            let (rewound, client, namespace) = (Rc::clone(&rewound), self.client.clone(), self.namespace.clone());
            tasks.spawn_local(async move { rewound.look_back(client, &namespace).await });
        }
        let keeper = self.keeper();
        tasks.spawn_local(async move { keeper.keep().await });
        let (following, client) = (Rc::clone(&rollout), self.client.clone());
        let (namespace, selector) = (self.namespace.clone(), self.settings.selector());
        tasks.spawn_local(async move { following.run(client, &namespace, &selector).await });
        let status_writer = Rc::new(self.status_writer(rollout));
        let writing = Rc::clone(&status_writer);
        tasks.spawn_local(async move { writing.run().await });
        let reconciler = self.reconciler(status_writer);
        tasks.spawn_local(async move { reconciler.run().await });
        let is_rewound = tokio::select! {
            _ = end.recv() => false,
            _ = interrupt.recv() => false,
            () = rewound.noticed() => true,
        };
        tracing::info!("the operator ends");
        // Whatever is being written ends or is cut: another replica, or the next start, ends in the same bytes.
        tasks.shutdown().await;
        candidate.release().await;
        // What is known is of a state that is no more, and watches say nothing until the versions of before are reached again.
        anyhow::ensure!(
            !is_rewound,
            "the cluster's state was put back to an earlier one, as by a restore of etcd: the operator is to be started again, to read all anew"
        );
        Ok(())
    }

    fn candidate(&self, rewound: Rc<Rewound>) -> Candidate {
        let me = self.settings.identity.clone().unwrap_or_else(|| {
            let random = RandomState::new().build_hasher().finish();
            format!("{}-{random:016x}", self.settings.gateway)
        });
        let name = format!("sluicegate-operator-{}", self.settings.gateway);
        let leases = Api::namespaced(self.client.clone(), &self.namespace);
        Candidate::new(leases, name, me, Rc::clone(&self.leadership), rewound).owned_as_in(Rc::clone(&self.world))
    }

    fn keeper(&self) -> TokenKeeper {
        let (client, namespace) = (self.client.clone(), self.namespace.clone());
        TokenKeeper { client, namespace, world: Rc::clone(&self.world), leadership: Rc::clone(&self.leadership) }
    }

    fn status_writer(&self, rollout: Rc<Rollout>) -> StatusWriter {
        let (world, leadership) = (Rc::clone(&self.world), Rc::clone(&self.leadership));
        let gateway = GatewayId::new(&self.namespace, &self.settings.gateway);
        StatusWriter::new((self.client.clone(), gateway), world, rollout, leadership, Rc::clone(&self.metrics))
    }

    fn reconciler(&self, status_writer: Rc<StatusWriter>) -> Reconciler {
        let (world, leadership) = (Rc::clone(&self.world), Rc::clone(&self.leadership));
        let publisher = Publisher::new(self.client.clone(), &self.namespace, Rc::clone(&world), Rc::clone(&leadership));
        let generator = KeyGenerator {
            world: Rc::clone(&world),
            client: self.client.clone(),
            leadership: Rc::clone(&leadership),
            enabled: self.settings.generate_keys,
        };
        Reconciler {
            world,
            generator,
            wake: Rc::clone(&self.wake),
            client: self.client.clone(),
            publisher,
            status_writer,
            leadership,
            metrics: Rc::clone(&self.metrics),
            denied: Arc::new(self.denied()),
        }
    }

    /// The addresses where no provider may be.
    fn denied(&self) -> DeniedNetworks {
        let Run { deny_networks, allow_networks, .. } = &self.settings;
        DeniedNetworks::in_cluster(self.api_server).with(deny_networks, allow_networks)
    }

    /// Pages run where anything may; what they ask is answered from here.
    fn answer(&self, listener: TcpListener, rollout: Rc<Rollout>, tasks: &mut JoinSet<()>) {
        let mut registry = Registry::default();
        self.metrics.register(&mut registry);
        let (questions, mut asked) = mpsc::channel::<Question>(8);
        tasks.spawn_local(admin::serve(listener, Arc::new(registry), questions));
        let (world, leadership) = (Rc::clone(&self.world), Rc::clone(&self.leadership));
        let metrics = Rc::clone(&self.metrics);
        tasks.spawn_local(async move {
            while let Some(answer) = asked.recv().await {
                let world = world.borrow();
                metrics.is_leader.set(i64::from(leadership.holds()));
                metrics.queued.set(i64::try_from(world.queue.waiting()).unwrap_or(i64::MAX));
                // Whoever asked may have left.
                let (mut missing, unpublishable) = (world.lists.awaited(), world.unpublishable());
                if !rollout.is_listed() {
                    missing.push("pods".to_owned());
                }
                let closed = world.lists.closed().into_iter().map(str::to_owned).collect();
                drop(answer.send(Health { missing, closed, unseen: rollout.failing(), unpublishable }));
            }
        });
    }
}
