//! The consumers and the load that they make.

use std::time::{Duration, Instant};

use crate::book::{Ask, PRICES};
use crate::house::House;

/// The most calls of a consumer with `Kind::Places` that the provider is to work on at once.
pub(crate) const PLACES: u64 = 3;
/// The most tokens of an answer.
pub(crate) const MOST_OUTPUT: u64 = 200;
/// The tokens that the provider takes a prompt for, at most; the proxy's estimate is higher.
pub(crate) const MOST_PROMPT: u64 = 4;
/// The most that a call may reserve; prompts are estimated at less than this.
pub(crate) const MOST_TOKENS: u64 = 64 + MOST_OUTPUT;
pub(crate) const MOST_COST: u64 = 64 * PRICES.0 + MOST_OUTPUT * PRICES.1;
/// The budget of consumers with `Kind::Budget`, in picodollars.
pub(crate) const BUDGET: u64 = 20_000_000_000;

/// The thing that a consumer is limited by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Requests,
    Tokens,
    Budget,
    Places,
}

impl Kind {
    pub(crate) const fn of(consumer: usize) -> Self {
        match consumer % 5 {
            0 | 1 => Self::Requests,
            2 => Self::Tokens,
            3 => Self::Budget,
            _ => Self::Places,
        }
    }
}

/// How much is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) consumers: usize,
    pub(crate) window: Duration,
    /// The most calls of a consumer within a window.
    pub(crate) amount: u64,
    /// The windows that the load lasts for.
    pub(crate) windows: u32,
}

impl Plan {
    pub(crate) fn time(&self) -> Duration {
        self.window * self.windows
    }

    /// The tokens of a consumer within a window: about as many calls.
    pub(crate) const fn tokens(&self) -> u64 {
        self.amount * 33
    }

    /// The amount of what a kind is limited by.
    pub(crate) const fn amount_of(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Requests => self.amount,
            Kind::Tokens => self.tokens(),
            Kind::Budget => BUDGET,
            Kind::Places => PLACES,
        }
    }
}

/// The callers of a consumer, who ask at once.
const CALLERS: u32 = 4;

/// Every consumer asks all proxies in turn, all together four times what is let through, until the time is over.
pub(crate) async fn flood(house: &House, plan: &Plan) {
    let until = Instant::now() + plan.time();
    let callers = (0..plan.consumers).flat_map(|consumer| (0..CALLERS).map(move |caller| (consumer, caller)));
    let all = callers.map(|(consumer, caller)| async move {
        let kind = Kind::of(consumer);
        // Those that wait for places are answered one after another; budgets are spent in about half of the time.
        let each = match kind {
            Kind::Places => Duration::from_millis(10),
            Kind::Budget => plan.time() / 80,
            Kind::Requests | Kind::Tokens => plan.window * CALLERS / (4 * u32::try_from(plan.amount).unwrap()),
        };
        let mut next = Instant::now() + each * caller / CALLERS;
        let mut at = consumer + usize::try_from(caller).unwrap() * 2;
        loop {
            tokio::time::sleep_until(next.into()).await;
            // Who was held up does not make up for it: that would be a burst.
            next = (next + each).max(Instant::now());
            if Instant::now() >= until {
                return;
            }
            at += 1;
            let max_tokens = [1, 5, 20, MOST_OUTPUT][at / 3 % 4];
            house.ask(&Ask { consumer, proxy: at, max_tokens, stream: at % 7 == 0 }).await;
        }
    });
    futures_util::future::join_all(all).await;
}
