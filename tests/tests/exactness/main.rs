//! Exactness, from outside: consumers ask eight proxies on a real Redis Cluster for four times what their limits let through, and the
//! provider's own book says whether limits, budgets and ledgers told the truth, whatever dies meanwhile and whatever the clocks say.
//!
//! In short with all other tests, and in long (`make exactness`, with `SLUICEGATE_EXACTNESS=long`) with 100 000 calls of 50 consumers in each of the weathers.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test says what it expects")]
#![expect(clippy::print_stdout, reason = "the figures are for whoever asks for them with --nocapture")]

mod book;
mod fairness;
mod house;
mod judge;
mod load;

use std::time::Duration;

use house::House;
use judge::Verdict;
use load::{Kind, Plan, flood};

const SHORT: Plan = Plan { consumers: 10, window: Duration::from_secs(3), amount: 24, windows: 3 };
/// 100 000 calls.
const LONG: Plan = Plan { consumers: 50, window: Duration::from_secs(20), amount: 80, windows: 10 };

/// True if the long form is asked for: it takes half an hour.
#[expect(clippy::disallowed_methods, reason = "no setting of the product's")]
fn is_long() -> bool {
    std::env::var_os("SLUICEGATE_EXACTNESS").is_some_and(|form| form == "long")
}

async fn at(plan: &Plan, share: f64) {
    tokio::time::sleep(plan.time().mul_f64(share)).await;
}

/// What holds whatever happens: no more is worked on at once than `places`, and no more is spent.
fn assert_bounds(verdict: &Verdict, places: u64) {
    for row in verdict.of(Kind::Places) {
        assert!(row.at_once <= places, "{row:?}");
    }
    for row in verdict.of(Kind::Requests).chain(verdict.of(Kind::Tokens)) {
        // Redis lets no more through than the amount: beyond it there is only what it was not asked for, or has forgotten.
        let decided_alone = verdict.unanswered * if row.kind == Kind::Tokens { load::MOST_TOKENS } else { 1 };
        let most = (row.amount + decided_alone + row.forgotten).min(row.amount * 2);
        assert!(row.most <= most, "{row:?}; {} unanswered", verdict.unanswered);
    }
}

/// While Redis serves nothing is over, and hardly anything is left. `least`: the percentage of limits that is used. What is left in a
/// window is what the last calls of it had reserved and not settled, which hangs on how soon callers, proxies and provider get their
/// turn: the long form is exact about it, and the short one, which runs beside all other tests, finds what is lost for good.
fn assert_exact(verdict: &Verdict, least: f64) {
    assert_bounds(verdict, load::PLACES);
    for row in verdict.of(Kind::Requests).chain(verdict.of(Kind::Tokens)) {
        assert!(row.used_percent() >= least || verdict.unanswered > 0, "{row:?}");
    }
    for row in verdict.of(Kind::Places) {
        assert!(row.at_once == load::PLACES || verdict.unanswered > 0, "{row:?}");
    }
    // What is left of a budget is less than a call may cost.
    for row in verdict.of(Kind::Budget) {
        // Where Redis did not answer in time, shares decided.
        let decided_alone = verdict.unanswered * load::MOST_COST;
        assert!(row.cost <= load::BUDGET + decided_alone, "{row:?}; {} unanswered", verdict.unanswered);
        assert!(row.cost + load::MOST_COST >= load::BUDGET || verdict.unanswered > 0, "{row:?}");
    }
}

async fn clocks_are_wrong(plan: Plan, least: f64) {
    let house = House::start(&plan, &["", "+3h", "-26h", "+40d", "jumps"]);
    let jumps = async {
        at(&plan, 0.5).await;
        house.clock_jumps("-2h");
    };
    tokio::join!(flood(&house, &plan), jumps);
    let verdict = house.judge(&plan).await;
    verdict.print("clocks are wrong");
    assert_exact(&verdict, least);
    verdict.assert_books_agree();
}

#[tokio::test]
async fn nothing_is_over_and_hardly_anything_is_left_whatever_the_proxies_clocks_say() {
    clocks_are_wrong(SHORT, 75.0).await;
}

#[tokio::test]
async fn a_killed_proxy_a_frozen_node_and_a_killed_master_admit_no_more_than_is_written() {
    let plan = SHORT;
    let house = House::start(&plan, &[]);
    let trouble = async {
        at(&plan, 0.2).await;
        house.kill_proxy(7);
        house.freeze_a_master(Duration::from_secs(2)).await;
        at(&plan, 0.2).await;
        house.kill_a_master();
    };
    tokio::join!(flood(&house, &plan), trouble);
    let verdict = house.judge(&plan).await;
    verdict.print("a proxy killed, a node frozen, a master killed");
    assert_bounds(&verdict, load::PLACES);
    // It had so many on their way at most.
    verdict.assert_books_agree_but_for_the_dead(8);
}

#[tokio::test]
async fn long_with_clocks_that_are_wrong() {
    if is_long() {
        clocks_are_wrong(LONG, 97.0).await;
    }
}

#[tokio::test]
async fn long_with_a_proxy_killed() {
    if !is_long() {
        return;
    }
    let house = House::start(&LONG, &[]);
    let trouble = async {
        at(&LONG, 0.3).await;
        house.kill_proxy(7);
    };
    tokio::join!(flood(&house, &LONG), trouble);
    let verdict = house.judge(&LONG).await;
    verdict.print("a proxy killed");
    assert_exact(&verdict, 97.0);
    verdict.assert_books_agree_but_for_the_dead(0);
}

/// Something happens to Redis, at about a third of the time.
async fn long_while((weather, places): (&str, u64), trouble: impl AsyncFnOnce(&House)) {
    if !is_long() {
        return;
    }
    let house = House::start(&LONG, &[]);
    let trouble = async {
        at(&LONG, 0.3).await;
        trouble(&house).await;
    };
    tokio::join!(flood(&house, &LONG), trouble);
    let verdict = house.judge(&LONG).await;
    verdict.print(weather);
    assert_bounds(&verdict, places);
    verdict.assert_books_agree();
}

#[tokio::test]
async fn long_with_a_node_frozen() {
    long_while(("a node frozen", load::PLACES), async |house| house.freeze_a_master(LONG.window / 2).await).await;
}

#[tokio::test]
async fn long_with_a_master_killed() {
    long_while(("a master killed", load::PLACES), async |house| house.kill_a_master()).await;
}

#[tokio::test]
async fn long_with_all_of_redis_away() {
    // Whoever had more than its share ends what it has at work, beside those who begin with theirs (docs/queues.md, "How much that can be").
    long_while(("all of Redis frozen for a window", 2 * load::PLACES), async |house| {
        house.freeze_all(LONG.window).await;
    })
    .await;
}
