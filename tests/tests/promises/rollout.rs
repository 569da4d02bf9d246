//! What a proxy says that it runs, and what it answers by.

use sluicegate_config::rollout::Line;
use sluicegate_config::{Kind, ObjectId};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::rollout::Rollout;
use sluicegate_tests::upstream::Upstream;

use crate::resources::{CHAT, chat, openai_whole, pool, provider, route};

fn to(upstream: &Upstream) -> String {
    pool("p", &[provider("only", "OpenAI", upstream.address, "")], "")
}

fn id(name: &str) -> ObjectId {
    ObjectId(format!("default/{name}"))
}

/// The next line that tells of the pool.
async fn told(rollout: &mut Rollout) -> Line {
    loop {
        let line = rollout.next().await.unwrap().unwrap();
        if line.of(Kind::ProviderPool, &id("p")).is_some() {
            return line;
        }
    }
}

#[tokio::test]
async fn what_is_told_to_run_is_what_the_next_call_is_answered_by() {
    let upstreams = ["one", "two"].map(|text| Upstream::always(vec![openai_whole(text)]).unwrap());
    let proxy = Proxy::start(&[("route.yaml", &route("m", "p")), ("pool.yaml", &to(&upstreams[0]))], &[]).unwrap();
    let mut rollout = Rollout::open(proxy.admin).await.unwrap();
    let whole = rollout.next().await.unwrap().unwrap();
    assert!(whole.whole && whole.ready && whole.of(Kind::LlmRoute, &id("m")).is_some(), "{whole:?}");
    let client = proxy.client();
    for number in 1..=20 {
        let upstream = &upstreams[number % 2];
        proxy.write("pool.yaml", &to(upstream)).unwrap();
        let line = told(&mut rollout).await;
        assert!(
            line.of(Kind::ProviderPool, &id("p")).unwrap().revision.is_some() && line.objects.len() == 1 && !line.whole,
            "{line:?}"
        );
        let before = upstream.calls();
        let answer = client.post(CHAT, &[], chat("m", false)).await.unwrap();
        assert!(answer.is_good(), "{}", answer.text());
        assert_eq!(upstream.calls(), before + 1, "answered by what ran before");
    }
}

#[tokio::test]
async fn what_is_refused_is_told_with_its_reason_and_the_end_is_told_before_it_comes() {
    let upstream = Upstream::always(vec![openai_whole("fine")]).unwrap();
    let mut proxy = Proxy::start(&[("route.yaml", &route("m", "p")), ("pool.yaml", &to(&upstream))], &[]).unwrap();
    let mut rollout = Rollout::open(proxy.admin).await.unwrap();
    let ran = rollout.next().await.unwrap().unwrap().of(Kind::ProviderPool, &id("p")).unwrap().revision.clone();
    proxy.write("pool.yaml", &to(&upstream).replace("type: OpenAI", "type: Nobody")).unwrap();
    let line = told(&mut rollout).await;
    let pool = line.of(Kind::ProviderPool, &id("p")).unwrap();
    assert_eq!(pool.revision, ran, "what ran runs on");
    assert!(pool.rejected.as_ref().unwrap().message.contains("type"), "{pool:?}");
    proxy.terminate().unwrap();
    assert!(!rollout.next().await.unwrap().unwrap().ready);
    assert_eq!(rollout.next().await.unwrap(), None);
    assert!(proxy.ended().await.unwrap().success());
}
