//! Processes that tests and benches start: stopped by their id when the value goes, their costs read from `/proc`.

use std::io;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A child process that is killed and reaped when this value goes.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        Ok(Self { child: command.spawn()? })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child itself, for its pipes.
    pub const fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        Ok(kill_process(id.ok_or(io::ErrorKind::NotFound)?, signal)?)
    }

    /// Waits until it has ended by itself, at most so long.
    ///
    /// # Errors
    /// When it is still there at the end of that time.
    pub fn wait(&mut self, at_most: Duration) -> io::Result<std::process::ExitStatus> {
        let deadline = std::time::Instant::now() + at_most;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if std::time::Instant::now() > deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the process did not end"));
            }
            pause(Duration::from_millis(5));
        }
    }

    /// CPU time it has used so far, all threads.
    ///
    /// # Errors
    /// When it is gone.
    pub fn cpu(&self) -> io::Result<Duration> {
        let mut nanoseconds = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.id()))? {
            nanoseconds += on_cpu(&task?.path().join("schedstat"))?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Its resident memory in bytes.
    ///
    /// # Errors
    /// When it is gone.
    pub fn resident(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kilobytes =
            line.and_then(|line| line.split_ascii_whitespace().nth(1)).and_then(|text| text.parse::<u64>().ok());
        kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first figure of a schedstat file: nanoseconds on a core. Finer than the clock ticks of `stat`.
fn on_cpu(path: &Path) -> io::Result<u64> {
    let text = std::fs::read_to_string(path)?;
    text.split_ascii_whitespace()
        .next()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A pause of a test's own thread.
#[expect(clippy::disallowed_methods, reason = "no worker of the product is blocked here")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
