//! An answer as a script: what is sent, when, and how it ends.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::behaviour::FailureKind;
use crate::journal::Outcome;
use crate::plan::{Breakage, Plan};
use crate::wire::Fate;

/// A piece of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// Its bytes.
    pub(crate) bytes: Bytes,
    /// True if it is a token of the answer, which has a pace.
    pub(crate) token: bool,
}

/// The next step.
#[derive(Debug, Clone)]
enum Step {
    Send(Bytes),
    Pause(Duration),
    /// A flush: what was sent so far leaves before what follows.
    Flush,
    /// Half of this is sent, then the connection ends.
    Half(Bytes),
    /// The connection ends.
    Cut,
    /// The connection is reset.
    Reset,
    /// Nothing more comes.
    Stall,
}

/// The body of an answer.
pub(crate) struct Script {
    steps: VecDeque<Step>,
    sleep: Option<Pin<Box<Sleep>>>,
    length: Option<u64>,
    fate: Arc<Fate>,
    outcome: Outcome,
}

/// The body ends here on purpose.
#[derive(Debug)]
pub(crate) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer breaks off as told")
    }
}

impl std::error::Error for Broken {}

impl From<Infallible> for Broken {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl Script {
    /// A body sent at once.
    pub(crate) fn whole(bytes: Bytes, fate: &Arc<Fate>, outcome: Outcome) -> Self {
        let length = Some(bytes.len() as u64);
        let steps = VecDeque::from([Step::Send(bytes)]);
        Self { steps, sleep: None, length, fate: Arc::clone(fate), outcome }
    }

    /// A whole answer of so many tokens, which may break.
    pub(crate) fn reply(bytes: &Bytes, tokens: u64, plan: &Plan, fate: &Arc<Fate>, outcome: Outcome) -> Self {
        let mut script = Self::whole(bytes.clone(), fate, outcome);
        if let Some(breakage) = &plan.breakage {
            let ends = breakage.after.saturating_mul(bytes.len() as u64) / tokens.max(1);
            let ends = usize::try_from(ends).unwrap_or(usize::MAX).min(bytes.len().saturating_sub(1));
            script.steps = VecDeque::from([Step::Send(bytes.slice(..ends)), Step::Flush, ending(breakage.kind)]);
        }
        script.steps = rechunked(script.steps, plan.chunk);
        script
    }

    /// A stream in pieces, paced, which may break; `error` is the vendor's error event.
    pub(crate) fn stream(pieces: Vec<Piece>, error: Bytes, plan: &Plan, fate: &Arc<Fate>, outcome: Outcome) -> Self {
        let mut steps = VecDeque::with_capacity(pieces.len() + 2);
        let breaks_at = plan.breakage.as_ref().map(|breakage| break_point(&pieces, breakage.after));
        if !plan.first_token.is_zero() {
            steps.push_back(Step::Pause(plan.first_token));
        }
        let mut tokens = 0_u64;
        for (at, piece) in pieces.into_iter().enumerate() {
            if let (Some(breakage), true) = (&plan.breakage, breaks_at == Some(at)) {
                break_off(&mut steps, breakage, piece.bytes, error);
                break;
            }
            if piece.token && tokens > 0 && !plan.token_interval.is_zero() {
                steps.push_back(Step::Pause(plan.token_interval));
            }
            tokens += u64::from(piece.token);
            steps.push_back(Step::Send(piece.bytes));
        }
        let steps = rechunked(steps, plan.chunk);
        Self { steps, sleep: None, length: None, fate: Arc::clone(fate), outcome }
    }

    /// Fixed pieces, paced.
    pub(crate) fn canned(pieces: &[Bytes], interval: Duration, fate: &Arc<Fate>) -> Self {
        let mut steps = VecDeque::with_capacity(pieces.len() * 2);
        for piece in pieces {
            if !interval.is_zero() && !steps.is_empty() {
                steps.push_back(Step::Pause(interval));
            }
            steps.push_back(Step::Send(piece.clone()));
        }
        Self { steps, sleep: None, length: None, fate: Arc::clone(fate), outcome: Outcome::unrecorded() }
    }
}

/// The index of the piece that the break comes before: the one after so many tokens, the first of all after none.
fn break_point(pieces: &[Piece], after: u64) -> usize {
    if after == 0 {
        return 0;
    }
    let mut tokens = 0_u64;
    let mut last = 0;
    for (at, piece) in pieces.iter().enumerate() {
        if tokens >= after {
            return at;
        }
        if piece.token {
            tokens += 1;
            last = at;
        }
    }
    (last + 1).min(pieces.len().saturating_sub(1))
}

fn break_off(steps: &mut VecDeque<Step>, breakage: &Breakage, next: Bytes, error: Bytes) {
    match breakage.kind {
        FailureKind::StreamError => steps.push_back(Step::Send(error)),
        FailureKind::Cut if breakage.after > 0 => steps.extend([Step::Flush, Step::Half(next)]),
        kind => steps.extend([Step::Flush, ending(kind)]),
    }
}

fn ending(kind: FailureKind) -> Step {
    match kind {
        FailureKind::Reset => Step::Reset,
        FailureKind::Stall | FailureKind::Silent => Step::Stall,
        FailureKind::Cut | FailureKind::Status | FailureKind::StreamError => Step::Cut,
    }
}

/// The same script with writes of at most so many bytes, each leaving by itself.
fn rechunked(steps: VecDeque<Step>, size: Option<usize>) -> VecDeque<Step> {
    let Some(size) = size.filter(|size| *size > 0) else { return steps };
    let mut out = VecDeque::new();
    let mut run = BytesMut::new();
    for step in steps {
        if let Step::Send(bytes) = step {
            run.extend_from_slice(&bytes);
            continue;
        }
        flush_run(&mut run, size, &mut out);
        out.push_back(step);
    }
    flush_run(&mut run, size, &mut out);
    out
}

fn flush_run(run: &mut BytesMut, size: usize, out: &mut VecDeque<Step>) {
    let mut bytes = run.split().freeze();
    while !bytes.is_empty() {
        out.push_back(Step::Send(bytes.split_to(size.min(bytes.len()))));
        out.push_back(Step::Flush);
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        loop {
            if let Some(sleep) = this.sleep.as_mut() {
                std::task::ready!(sleep.as_mut().poll(cx));
                this.sleep = None;
            }
            match this.steps.pop_front() {
                None => {
                    this.outcome.done();
                    return Poll::Ready(None);
                }
                Some(Step::Send(bytes)) if bytes.is_empty() => {}
                Some(Step::Send(bytes)) => {
                    // Clients of an answer of known length stop polling at its last byte.
                    if this.length.is_some() && this.steps.is_empty() {
                        this.outcome.done();
                    }
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Step::Pause(span)) => this.sleep = Some(Box::pin(tokio::time::sleep(span))),
                Some(Step::Flush) => {
                    // The server writes what it has when the body has nothing for it.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Step::Half(bytes)) => {
                    this.outcome.broken();
                    this.fate.halve();
                    this.steps = VecDeque::from([Step::Flush, Step::Cut]);
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Step::Cut) => {
                    this.outcome.broken();
                    return Poll::Ready(Some(Err(Broken)));
                }
                Some(Step::Reset) => {
                    this.outcome.broken();
                    this.fate.reset();
                    return Poll::Ready(Some(Err(Broken)));
                }
                Some(Step::Stall) => {
                    this.steps.push_front(Step::Stall);
                    return Poll::Pending;
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.length.is_some() && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
