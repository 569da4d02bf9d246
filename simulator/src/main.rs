//! The simulated provider on a port of its own, for tests and load.

mod flags;
mod listener;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;

use flags::Flags;

fn main() -> ExitCode {
    let flags = Flags::parse();
    match run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "a command tells its user why it ended")]
fn complain(error: &anyhow::Error) {
    eprintln!("sluicegate-simulator: {error:#}");
}

#[expect(clippy::print_stdout, reason = "whoever starts it reads the address from its first line")]
fn announce(address: std::net::SocketAddr) {
    println!("listening on {address}");
}

fn run(flags: &Flags) -> anyhow::Result<()> {
    let model = Arc::new(flags.model());
    let first = listener::bind(flags.listen)?;
    let address = first.local_addr()?;
    // Port 0 is chosen once, by the first; the others share it.
    let others = (1..flags.workers.max(1)).map(|_| listener::bind(address)).collect::<Result<Vec<_>, _>>()?;
    announce(address);
    let workers: Vec<_> = others
        .into_iter()
        .map(|socket| {
            let model = Arc::clone(&model);
            std::thread::spawn(move || listener::work(socket, &model))
        })
        .collect();
    listener::work(first, &model)?;
    // The first worker ends when it is told to; the process then takes the others with it.
    drop(workers);
    Ok(())
}
