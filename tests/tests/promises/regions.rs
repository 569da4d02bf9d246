//! Regions: a proxy calls addresses of its own region first, and others where those can not serve.

use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, answer};

use crate::resources::{CHAT, chat, openai_whole, pool, provider, route};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

fn well() -> Upstream {
    Upstream::always(vec![openai_whole("fine")]).unwrap()
}

fn counts(upstreams: &[&Upstream]) -> Vec<u64> {
    upstreams.iter().map(|upstream| upstream.calls()).collect()
}

async fn ask(proxy: &Proxy, calls: u32) {
    for _ in 0..calls {
        let got = proxy.client().post(CHAT, JSON, chat("m", false)).await.unwrap();
        assert_eq!(got.status, 200, "{}", got.text());
    }
}

#[tokio::test]
async fn addresses_of_one_provider_are_preferred_by_region_and_saved_by_the_others() {
    let (west, east) = (well(), well());
    let regions = format!("region: west, regions: [{{name: east, url: \"http://{}\"}}]", east.address);
    let text = pool("p", &[provider("a", "OpenAI", west.address, &regions)], "") + &route("m", "p");
    for (flags, expected) in [(&["--region", "west"][..], [6, 0]), (&["--region", "east"], [0, 6])] {
        let before = counts(&[&west, &east]);
        let proxy = Proxy::start(&[("all.yaml", &text)], flags).unwrap();
        ask(&proxy, 6).await;
        let after = counts(&[&west, &east]);
        assert_eq!([after[0] - before[0], after[1] - before[1]], expected, "{flags:?}");
    }
    // Who says no region, or one that none is in, asks all alike.
    for flags in [&[][..], &["--region", "moon"]] {
        let before = counts(&[&west, &east]);
        let proxy = Proxy::start(&[("all.yaml", &text)], flags).unwrap();
        ask(&proxy, 40).await;
        let after = counts(&[&west, &east]);
        assert!(after[0] - before[0] > 5 && after[1] - before[1] > 5, "{flags:?}: {before:?} {after:?}");
    }

    let broken = Upstream::always(vec![answer(503, JSON, b"{}")]).unwrap();
    let regions = format!("region: west, regions: [{{name: east, url: \"http://{}\"}}]", east.address);
    let text = pool("p", &[provider("a", "OpenAI", broken.address, &regions)], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--region", "west"]).unwrap();
    let before = east.calls();
    ask(&proxy, 4).await;
    assert_eq!(east.calls() - before, 4);
    assert!(broken.calls() > 0);
}

#[tokio::test]
async fn providers_of_a_tier_are_preferred_by_region_and_a_tier_goes_before_a_region() {
    let (near, far, anywhere) = (well(), well(), well());
    let text = |priority: u32| {
        let providers = [
            provider("near", "OpenAI", near.address, &format!("region: west, priority: {priority}")),
            provider("far", "Anthropic", far.address, "region: east"),
            provider("anywhere", "OpenAI", anywhere.address, ""),
        ];
        pool("p", &providers, "") + &route("m", "p")
    };
    let proxy = Proxy::start(&[("all.yaml", &text(0))], &["--region", "west"]).unwrap();
    ask(&proxy, 30).await;
    assert_eq!(far.calls(), 0);
    assert!(near.calls() > 5 && anywhere.calls() > 5, "{:?}", counts(&[&near, &anywhere]));
    let before = near.calls();
    let proxy = Proxy::start(&[("all.yaml", &text(1))], &["--region", "west"]).unwrap();
    ask(&proxy, 10).await;
    assert_eq!((near.calls() - before, far.calls()), (0, 0));
}

#[tokio::test]
async fn one_provider_of_two_regions_has_no_greater_share_than_one_of_one() {
    let (west, east, other) = (well(), well(), well());
    let regions = format!("region: west, regions: [{{name: east, url: \"http://{}\"}}]", east.address);
    let providers = [provider("two", "OpenAI", west.address, &regions), provider("one", "OpenAI", other.address, "")];
    let text = pool("p", &providers, "  loadBalancing: {strategy: Weighted}") + &route("m", "p");
    for flags in [&[][..], &["--region", "west"]] {
        let before = other.calls();
        let proxy = Proxy::start(&[("all.yaml", &text)], flags).unwrap();
        ask(&proxy, 200).await;
        let share = other.calls() - before;
        assert!((60..140).contains(&share), "{flags:?}: {share} of 200");
    }
}

/// A connection that nobody takes is as good as a region that is away.
#[tokio::test]
async fn a_region_that_can_not_be_reached_costs_no_call() {
    let east = well();
    let gone = Upstream::always(vec![Act::Close]).unwrap();
    let regions = format!("region: west, regions: [{{name: east, url: \"http://{}\"}}]", east.address);
    let text = pool("p", &[provider("a", "OpenAI", gone.address, &regions)], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--region", "west"]).unwrap();
    ask(&proxy, 5).await;
    assert_eq!(east.calls(), 5);
}
