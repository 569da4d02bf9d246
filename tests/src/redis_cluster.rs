//! A real Redis Cluster on loopback: six `redis-server` processes, three masters with a replica each, which a test can
//! stop, kill, freeze and thaw one by one.
//!
//! Nothing is kept on disk beyond a temporary directory. All processes end with the value, also when a test panics.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use redis::{Commands, Connection, Value};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::listen::free_port;
use crate::process::{Process, pause};

/// How many nodes there are; the first half begins as masters, the other half as their replicas.
pub const NODES: usize = 6;
const MASTERS: usize = NODES / 2;
const SLOTS: usize = 16_384;
/// A node that is silent for so long is taken for dead by the others.
const NODE_TIMEOUT: &str = "1000";
/// Limit of every wait in here.
const PATIENCE: Duration = Duration::from_secs(20);
/// Limit of every question to a node.
const ANSWER: Duration = Duration::from_millis(500);

/// One `redis-server`, in cluster mode or alone.
#[derive(Debug)]
pub struct RedisNode {
    port: u16,
    bus: Option<u16>,
    dir: TempDir,
    process: Option<Process>,
    frozen: bool,
}

impl RedisNode {
    /// Starts one that belongs to no cluster.
    ///
    /// # Errors
    /// When `redis-server` is not installed or does not start.
    pub fn alone() -> anyhow::Result<Self> {
        Self::start(false)
    }

    fn start(cluster: bool) -> anyhow::Result<Self> {
        // Somebody else may take the port between finding it and using it.
        let mut last = None;
        for _ in 0..5 {
            let dir = TempDir::with_prefix("sluicegate-redis-")?;
            let bus = if cluster { Some(free_port()?) } else { None };
            let mut node = Self { port: free_port()?, bus, dir, process: None, frozen: false };
            match node.restart() {
                Ok(()) => return Ok(node),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no attempt")?)
    }

    /// Starts it again, on its port and empty, after it has been stopped or killed.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.process = None;
        self.frozen = false;
        let mut process = spawn(self.port, self.bus, self.dir.path())?;
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            // Two that start at once may have found the same port: who answers there may be the other one.
            if self.answers_as(process.child().id()) {
                self.process = Some(process);
                return Ok(());
            }
            if process.child().try_wait()?.is_some() || Instant::now() > deadline {
                let log = std::fs::read_to_string(self.dir.path().join("redis.log")).unwrap_or_default();
                bail!("redis-server on port {} did not start: {log}", self.port);
            }
            pause(Duration::from_millis(5));
        }
    }

    /// True if the process of this id answers on its port.
    fn answers_as(&self, id: u32) -> bool {
        let told = self.ask::<String>(&["INFO", "server"]).unwrap_or_default();
        told.lines().any(|line| line.trim_end() == format!("process_id:{id}"))
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether it runs, and is not frozen.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.process.is_some() && !self.frozen
    }

    /// Ends it as an administrator would (SIGTERM) and waits for its end.
    ///
    /// # Errors
    /// When it is gone already, or does not end.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        let mut process = self.process.take().context("the node does not run")?;
        process.signal(Signal::TERM)?;
        process.wait(PATIENCE)?;
        Ok(())
    }

    /// Ends it as a power cut would (SIGKILL).
    ///
    /// # Errors
    /// When it is gone already.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let process = self.process.take().context("the node does not run")?;
        self.frozen = false;
        drop(process);
        Ok(())
    }

    /// Makes it stand still (SIGSTOP): its connections stay open and nothing answers.
    ///
    /// # Errors
    /// When it is gone.
    pub fn freeze(&mut self) -> anyhow::Result<()> {
        self.process.as_ref().context("the node does not run")?.signal(Signal::STOP)?;
        self.frozen = true;
        Ok(())
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// When it is gone.
    pub fn thaw(&mut self) -> anyhow::Result<()> {
        self.process.as_ref().context("the node does not run")?.signal(Signal::CONT)?;
        self.frozen = false;
        Ok(())
    }

    /// Asks it something on a connection of its own.
    ///
    /// # Errors
    /// When it does not answer in time, or with an error.
    pub fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> anyhow::Result<T> {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(word);
        }
        Ok(command.query(&mut self.connection()?)?)
    }

    /// A connection to it, with bounded waits.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub fn connection(&self) -> anyhow::Result<Connection> {
        let connection = redis::Client::open(self.url())?.get_connection_with_timeout(ANSWER)?;
        connection.set_read_timeout(Some(ANSWER))?;
        connection.set_write_timeout(Some(ANSWER))?;
        Ok(connection)
    }
}

fn spawn(port: u16, bus: Option<u16>, dir: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--protected-mode", "no", "--save", "", "--appendonly", "no"]);
    command.args(["--logfile", "redis.log", "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"]);
    command.arg("--port").arg(port.to_string()).arg("--dir").arg(dir);
    if let Some(bus) = bus {
        command.args(["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"]);
        command.args(["--cluster-node-timeout", NODE_TIMEOUT, "--cluster-replica-validity-factor", "0"]);
        command.arg("--cluster-port").arg(bus.to_string());
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Process::start(&mut command).context("redis-server must be installed (tests/setup/packages.sh)")
}

/// Three masters and three replicas.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisNode>,
}

impl RedisCluster {
    /// Starts the processes, makes them one cluster, and waits until it serves.
    ///
    /// # Errors
    /// When `redis-server` is not installed, or the cluster does not come together.
    pub fn start() -> anyhow::Result<Self> {
        let starting: Vec<_> = (0..NODES).map(|_| std::thread::spawn(|| RedisNode::start(true))).collect();
        let mut nodes = Vec::with_capacity(NODES);
        for thread in starting {
            nodes.push(thread.join().map_err(|_| anyhow::anyhow!("a node's start panicked"))??);
        }
        let cluster = Self { nodes };
        cluster.join()?;
        Ok(cluster)
    }

    fn join(&self) -> anyhow::Result<()> {
        for (at, node) in self.nodes.iter().enumerate() {
            node.ask::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()])?;
            if at < MASTERS {
                let (first, last) = (SLOTS * at / MASTERS, SLOTS * (at + 1) / MASTERS - 1);
                node.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()])?;
            }
        }
        // Everybody meets everybody: gossip alone would take seconds.
        for one in &self.nodes {
            for other in self.nodes.iter().filter(|other| other.port != one.port) {
                let bus = other.bus.context("a node of the cluster has a bus")?;
                one.ask::<()>(&["CLUSTER", "MEET", "127.0.0.1", &other.port.to_string(), &bus.to_string()])?;
            }
        }
        self.wait("the nodes to know each other", |cluster| {
            cluster.nodes.iter().all(|node| {
                let known = node.ask::<String>(&["CLUSTER", "NODES"]).unwrap_or_default();
                known.lines().count() == NODES && !known.contains("handshake")
            })
        })?;
        for (replica, master) in self.nodes.iter().skip(MASTERS).zip(&self.nodes) {
            let id = master.ask::<String>(&["CLUSTER", "MYID"])?;
            replica.ask::<()>(&["CLUSTER", "REPLICATE", &id])?;
        }
        self.wait("the replicas to follow", |cluster| {
            cluster.nodes.iter().skip(MASTERS).all(|node| {
                let told = node.ask::<String>(&["INFO", "replication"]).unwrap_or_default();
                told.contains("role:slave") && told.contains("master_link_status:up")
            })
        })?;
        self.wait_until_whole()
    }

    /// Waits until all running nodes say that the cluster serves all slots, and agree on who does.
    ///
    /// # Errors
    /// When they do not in time.
    pub fn wait_until_whole(&self) -> anyhow::Result<()> {
        self.wait("the cluster to serve every slot", |cluster| {
            let mut masters = Vec::new();
            for node in cluster.nodes.iter().filter(|node| node.is_running()) {
                let told = node.ask::<String>(&["CLUSTER", "INFO"]).unwrap_or_default();
                let Ok(ranges) = ranges(node) else { return false };
                if !told.contains("cluster_state:ok") {
                    return false;
                }
                masters.push(ranges);
            }
            let serving = |range: &Range| cluster.nodes.iter().any(|n| n.port == range.port && n.is_running());
            masters.windows(2).all(|two| two.first() == two.last()) && masters.iter().flatten().all(serving)
        })
    }

    /// URLs of all nodes, as `--redis` takes them.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisNode::url).collect()
    }

    /// All nodes; the place in this slice is a node's number.
    #[must_use]
    pub fn nodes(&self) -> &[RedisNode] {
        &self.nodes
    }

    /// One node, to stop, kill, freeze or thaw it.
    ///
    /// # Errors
    /// There is no such number.
    pub fn node(&mut self, number: usize) -> anyhow::Result<&mut RedisNode> {
        self.nodes.get_mut(number).context("there is no node of that number")
    }

    /// The number of the node that serves a key now, as the others see it.
    ///
    /// # Errors
    /// When nobody knows.
    pub fn master_of(&self, key: &str) -> anyhow::Result<usize> {
        let node = self.nodes.iter().find(|node| node.is_running()).context("no node runs")?;
        let slot = node.ask::<usize>(&["CLUSTER", "KEYSLOT", key])?;
        let ranges = ranges(node)?;
        let range = ranges.iter().find(|range| (range.first..=range.last).contains(&slot));
        let port = range.context("nobody has the slot")?.port;
        self.nodes.iter().position(|node| node.port == port).context("a stranger has the slot")
    }

    /// Numbers of the nodes that are masters now.
    ///
    /// # Errors
    /// When no node answers.
    pub fn masters(&self) -> anyhow::Result<Vec<usize>> {
        let node = self.nodes.iter().find(|node| node.is_running()).context("no node runs")?;
        let ranges = ranges(node)?;
        Ok((0..self.nodes.len())
            .filter(|at| self.nodes.get(*at).is_some_and(|n| ranges.iter().any(|r| r.port == n.port)))
            .collect())
    }

    /// The keys that all running masters hold, sorted.
    ///
    /// # Errors
    /// When one of them does not answer.
    pub fn keys(&self) -> anyhow::Result<Vec<String>> {
        let mut keys = Vec::new();
        for number in self.masters()? {
            let node = self.nodes.get(number).context("a master is a node")?;
            if node.is_running() {
                keys.extend(node.connection()?.keys::<_, Vec<String>>("*")?);
            }
        }
        keys.sort();
        Ok(keys)
    }

    fn wait(&self, what: &str, is_so: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            ensure!(Instant::now() < deadline, "waited too long for {what}");
            pause(Duration::from_millis(20));
        }
        Ok(())
    }
}

/// Slots and the port of their master.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    first: usize,
    last: usize,
    port: u16,
}

fn ranges(node: &RedisNode) -> anyhow::Result<Vec<Range>> {
    let rows = node.ask::<Vec<Vec<Value>>>(&["CLUSTER", "SLOTS"])?;
    let mut ranges = Vec::with_capacity(rows.len());
    for row in rows {
        let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = row.as_slice() else {
            bail!("a row of CLUSTER SLOTS that is none: {row:?}");
        };
        let Some(Value::Int(port)) = master.get(1) else { bail!("a master without a port: {master:?}") };
        ranges.push(Range {
            first: usize::try_from(*first)?,
            last: usize::try_from(*last)?,
            port: u16::try_from(*port)?,
        });
    }
    ranges.sort();
    Ok(ranges)
}
