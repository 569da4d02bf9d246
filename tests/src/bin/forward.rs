//! A way into a network namespace: a socket that was opened outside, each of its connections carried on inside.
//!
//! A socket belongs to the namespace it was opened in, whoever holds it. So this is started inside with the listener as
//! its standard input. `--listen` and `--node` do that from outside, for a person.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use clap::Parser;
use tokio::net::TcpStream;

/// Carries connections from a socket to an address.
#[derive(Parser)]
struct Settings {
    /// Where they go.
    target: SocketAddr,
    /// Listen here instead of on what standard input is, and go into a node.
    #[arg(long, requires = "node")]
    listen: Option<SocketAddr>,
    /// The node's process, see the file `holder` in its folder.
    #[arg(long, requires = "listen")]
    node: Option<u32>,
}

fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    if let (Some(listen), Some(node)) = (settings.listen, settings.node) {
        let listener = OwnedFd::from(TcpListener::bind(listen)?);
        let mut inside = Command::new("nsenter");
        inside.arg(format!("--net=/proc/{node}/ns/net")).arg(std::env::current_exe()?);
        return Err(inside.arg(settings.target.to_string()).stdin(listener).exec().into());
    }
    let listener = TcpListener::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, carry(listener, settings.target))
}

async fn carry(listener: TcpListener, target: SocketAddr) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut beat = tokio::time::interval(Duration::from_millis(200));
    loop {
        let (mut outside, _) = tokio::select! {
            _ = beat.tick() => {
                // Nobody reads this. That it can be written says that whoever asked is still there.
                let mut output = std::io::stdout();
                match output.write_all(b"\n").and_then(|()| output.flush()) {
                    Ok(()) => continue,
                    Err(_) => return Ok(()),
                }
            }
            accepted = listener.accept() => accepted?,
        };
        outside.set_nodelay(true)?;
        tokio::task::spawn_local(async move {
            let mut inside = TcpStream::connect(target).await?;
            inside.set_nodelay(true)?;
            tokio::io::copy_bidirectional(&mut outside, &mut inside).await
        });
    }
}
