//! A proxy's `/rollout`, read from outside.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use sluicegate_config::rollout::{Line, MEDIA_TYPE, PATH};

use crate::client::Client;

/// How long a line may take, a sign of life included.
const PATIENCE: Duration = Duration::from_secs(30);

/// An open stream.
#[derive(Debug)]
pub struct Rollout {
    body: Incoming,
    buffer: Vec<u8>,
    /// Empty lines so far.
    pub heartbeats: u64,
}

impl Rollout {
    /// Opens the stream of the proxy with this admin address.
    ///
    /// # Errors
    /// It is not answered, or not with a stream.
    pub async fn open(admin: SocketAddr) -> anyhow::Result<Self> {
        let answer = Client::new(admin).open(Request::get(PATH).body(Default::default())?).await?;
        let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        ensure!(answer.status() == 200 && kind == MEDIA_TYPE, "{} {kind}", answer.status());
        Ok(Self { body: answer.into_body(), buffer: Vec::new(), heartbeats: 0 })
    }

    /// The next line that says something; `None`: the stream has ended.
    ///
    /// # Errors
    /// Nothing comes in time, or no line of a rollout.
    pub async fn next(&mut self) -> anyhow::Result<Option<Line>> {
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if line.len() > 1 {
                    return Ok(Some(serde_json::from_slice(&line)?));
                }
                self.heartbeats += 1;
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.context("no sign of life")?;
            // A process that ends cuts its streams.
            let Some(Ok(frame)) = frame else { return Ok(None) };
            self.buffer.extend(frame.into_data().unwrap_or_default());
        }
    }
}
