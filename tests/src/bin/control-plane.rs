//! A Kubernetes control plane that lasts as long as its standard input: tests ask for it and hold the other end.
//!
//! By hand: `control-plane`, then use the KUBECONFIG it prints from another terminal; Ctrl-D ends it.

use clap::Parser;
use sluicegate_tests::kube::components::Components;
use tokio::signal::unix::{SignalKind, signal};

/// etcd, the API server and the controllers on loopback.
#[derive(Parser)]
struct Settings {
    /// Leave the controller manager out.
    #[arg(long)]
    without_controllers: bool,
}

#[expect(clippy::print_stdout, reason = "a command that says where to go on")]
fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut terminated = signal(SignalKind::terminate())?;
        let components = Components::start(!settings.without_controllers).await?;
        println!("KUBECONFIG={}", components.kubeconfig().display());
        let ended = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        tokio::select! {
            _ = ended => {}
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
        drop(components);
        anyhow::Ok(())
    })?;
    // A read of standard input that still waits must not keep the process.
    runtime.shutdown_background();
    Ok(())
}
