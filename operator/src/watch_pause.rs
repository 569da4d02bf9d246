//! The pauses of watches that break, before they are begun again.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use kube::runtime::watcher;
use tokio::time::Instant;

/// The first pause, doubled each time …
const FIRST: Duration = Duration::from_millis(500);
/// … up to this, where nobody answers: that costs an API server nothing, and when one is back its changes are seen so much later …
const LONGEST_AWAY: Duration = Duration::from_secs(6);
/// … or up to this, where it answers and refuses: for want of a right, or since it has too much to do.
const LONGEST_REFUSED: Duration = Duration::from_secs(30);
/// A watch that has held for so long begins with the first pause again.
const HELD: Duration = Duration::from_secs(15);

/// The next pause of one watch.
struct Pauses {
    next: Duration,
    /// The end of the last pause.
    begun: Instant,
}

impl Pauses {
    fn new(now: Instant) -> Self {
        Self { next: FIRST, begun: now }
    }

    /// The pause after an error.
    fn after(&mut self, error: &watcher::Error, now: Instant) -> Duration {
        if now.saturating_duration_since(self.begun) > HELD {
            self.next = FIRST;
        }
        let longest = if is_answer(error) { LONGEST_REFUSED } else { LONGEST_AWAY };
        let pause = self.next.min(longest);
        self.next = (pause * 2).min(longest);
        self.begun = now + pause;
        pause
    }
}

/// True if the API server has said no by itself.
fn is_answer(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    match error {
        // What stands in front of it says 502 and 504 while it is away.
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => {
            matches!(error, kube::Error::Api(status) if !matches!(status.code, 502 | 504))
        }
        WatchError(_) | NoResourceVersion => true,
    }
}

/// The events of a watcher, which asks again at once, with pauses after its errors. Several watches of several replicas do not come at
/// once.
pub(crate) fn paced<T: 'static>(
    events: impl Stream<Item = watcher::Result<T>> + Send + 'static,
) -> impl Stream<Item = watcher::Result<T>> {
    let state = (events.boxed(), Pauses::new(Instant::now()), Duration::ZERO);
    stream::unfold(state, |(mut events, mut pauses, pause)| async move {
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let event = events.next().await?;
        let pause =
            event.as_ref().err().map(|error| pauses.after(error, Instant::now())).map_or(Duration::ZERO, shortened);
        Some((event, (events, pauses, pause)))
    })
}

/// Half of a pause to the whole of it, by chance.
fn shortened(pause: Duration) -> Duration {
    let chance = RandomState::new().build_hasher().finish() % 1_000;
    pause / 2 + pause * u32::try_from(chance).unwrap_or_default() / 2_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> watcher::Error {
        watcher::Error::WatchStartFailed(kube::Error::LinesCodecMaxLineLengthExceeded)
    }

    fn refused(code: u16) -> watcher::Error {
        watcher::Error::WatchError(Box::new(kube::core::Status { code, ..Default::default() }))
    }

    #[test]
    fn an_api_server_that_is_away_is_asked_often_and_one_that_refuses_is_left_alone() {
        let mut pauses = Pauses::new(Instant::now());
        let mut now = Instant::now();
        let mut next = |error: &watcher::Error| {
            let pause = pauses.after(error, now);
            now += pause;
            pause.as_millis()
        };
        let waits: Vec<u128> = (0..6).map(|_| next(&away())).collect();
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 6_000, 6_000]);
        for code in [429, 410, 403, 500] {
            assert!(next(&refused(code)) >= 6_000, "{code}");
        }
        assert_eq!(next(&refused(429)), 30_000);
        assert_eq!(next(&away()), 6_000, "what was refused is away: it may be back any moment");
    }

    #[test]
    fn a_watch_that_has_held_begins_anew_and_one_that_breaks_at_once_does_not() {
        let now = Instant::now();
        let mut pauses = Pauses::new(now);
        let first = pauses.after(&refused(410), now);
        let second = pauses.after(&refused(410), now + first + Duration::from_secs(3));
        assert_eq!(second, FIRST * 2, "it was listed, and the watch ended again");
        let later = now + first + second + HELD + Duration::from_secs(9);
        assert_eq!(pauses.after(&refused(410), later), FIRST);
    }

    #[tokio::test]
    async fn events_pass_at_once_and_errors_are_followed_by_a_pause() {
        let events = stream::iter([Ok(1), Err(away()), Err(away()), Ok(2), Ok(3)]);
        let begun = Instant::now();
        let seen: Vec<(bool, u128)> =
            paced(events).map(|event| (event.is_ok(), begun.elapsed().as_millis())).collect().await;
        let oks: Vec<bool> = seen.iter().map(|(ok, _)| *ok).collect();
        assert_eq!(oks, [true, false, false, true, true]);
        let times: Vec<u128> = seen.iter().map(|(_, at)| *at).collect();
        assert!(times[2] >= 250 && times[3] >= times[2] + 500, "{times:?}");
    }
}
