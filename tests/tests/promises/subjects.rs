//! Tokens whose subjects are consumers of their own, by a template; keys of issuers that stand in a resource; and what is told of consumers'
//! calls for whoever pays for them.

use serde_json::{Value, json};
use sluicegate_tests::proxy::Proxy;

use crate::jwt::{Issuer, Signer, start};
use crate::resources::{CHAT, chat, plain_upstream, pool, provider};

async fn ask(proxy: &Proxy, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    proxy.client().post(CHAT, &[("authorization", &bearer)], chat("m", false)).await.unwrap().status
}

fn sum(proxy: &Proxy, name: &str, labels: &[(&str, &str)]) -> u64 {
    proxy.metrics().unwrap().sum(name, labels).round() as u64
}

#[tokio::test]
async fn each_subject_has_limits_and_budgets_of_its_own_and_all_are_selected_as_their_template() {
    let signer = Signer::new("a");
    let issuer = Issuer::start(&[&signer]);
    let consumer = issuer.consumer("staff", "subjects: {max: 4}").replace(
        "spec: {jwt",
        "spec: {limits: {rate: [{per: Consumer, unit: Requests, amount: 2, window: 1h}], \
         budgets: [{amount: \"1000\", unit: Tokens, period: Daily}]}, jwt",
    );
    let (proxy, upstream) = start(&consumer, &issuer).await;
    let token = |subject: &str| signer.sign(&issuer.claims(&json!({"sub": subject})));
    let (bob, eve) = (token("bob"), token("eve@example.com"));
    // Two each, whichever of its tokens a subject brings.
    let other_of_bob = signer.sign(&issuer.claims(&json!({"sub": "bob", "jti": "another"})));
    for (token, status) in [(&bob, 200), (&other_of_bob, 200), (&bob, 429), (&eve, 200), (&eve, 200), (&eve, 429)] {
        assert_eq!(ask(&proxy, token).await, status);
    }
    // Many others come and go; whose limits are used up find them so when they are made anew.
    for number in 0..20 {
        assert_eq!(ask(&proxy, &token(&format!("n{number}"))).await, 200);
    }
    assert_eq!(ask(&proxy, &token("bob")).await, 429);
    assert_eq!(upstream.calls(), 24);
    // A token that names nobody is not good.
    assert_eq!(ask(&proxy, &signer.sign(&issuer.claims(&json!({"sub": 7})))).await, 401);
    assert_eq!(sum(&proxy, "sluicegate_consumer_requests_total", &[("consumer", "default/staff/eve@example.com")]), 3);
    assert!(proxy.log().iter().any(|line| line.contains("\"consumer\":\"default/staff/bob\"")), "{:?}", proxy.log());
}

#[tokio::test]
async fn keys_of_an_issuer_may_stand_in_the_resource_and_nobody_is_asked_for_them() {
    let (signer, stranger) = (Signer::new("a"), Signer::new("b"));
    let issuer = Issuer::start(&[]);
    let keys = |signers: &[&Signer]| {
        let keys = json!({"keys": signers.iter().map(|signer| signer.published()).collect::<Vec<_>>()}).to_string();
        issuer.consumer("staff", &format!("jwks: {}", Value::String(keys)))
    };
    let upstream = plain_upstream();
    let route = "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: r}\nspec:\n  access: {from: Known}\n  rules:\n  - {name: only, targets: [{poolRef: {name: p}}]}\n---\n";
    let all = |signers: &[&Signer]| {
        [&pool("p", &[provider("one", "OpenAI", upstream.address, "")], ""), route, &keys(signers)].concat()
    };
    let proxy = Proxy::start(&[("all.yaml", &all(&[&signer]))], &[]).unwrap();
    let (good, other) = (signer.sign(&issuer.claims(&json!({}))), stranger.sign(&issuer.claims(&json!({}))));
    assert_eq!((ask(&proxy, &good).await, ask(&proxy, &other).await), (200, 401));
    // Other keys, and the ones before are good no longer.
    proxy.write("all.yaml", &all(&[&stranger])).unwrap();
    for _ in 0..600 {
        if ask(&proxy, &other).await == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!((ask(&proxy, &good).await, ask(&proxy, &other).await), (401, 200));
    assert_eq!(issuer.fetches(), 0);
}

#[tokio::test]
async fn labels_that_are_asked_for_stand_in_the_log_and_beside_the_metrics() {
    let upstream = plain_upstream();
    let consumer = "apiVersion: v1\nkind: Secret\nmetadata: {name: team}\nstringData: {api-key: the-key-of-the-team-that-pays}\n---\n\
                    apiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {name: team}\nspec:\n  keys: [{name: k, secretRef: {name: team}}]\n  \
                    labels: {department: research, cost-center: \"4711\", tier: gold}\n  chargeback: {labels: [department, cost-center]}\n---\n";
    let route = "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: r}\nspec:\n  rules:\n  - {name: only, targets: [{poolRef: {name: p}}]}\n---\n";
    let text = [&pool("p", &[provider("one", "OpenAI", upstream.address, "")], ""), route, consumer].concat();
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    assert_eq!(ask(&proxy, "the-key-of-the-team-that-pays").await, 200);
    let counted =
        |proxy: &Proxy| sum(proxy, "sluicegate_consumer_requests_total", &[("consumer", "default/team")]) == 1;
    proxy.until("the call is counted", counted).await.unwrap();
    let of = |label: &str, value: &str| {
        let labels = [("consumer", "default/team"), ("label", label), ("value", value)];
        sum(&proxy, "sluicegate_consumer_label", &labels)
    };
    assert_eq!((of("department", "research"), of("cost-center", "4711"), of("tier", "gold")), (1, 1, 0));
    let line = "\"labels\":\"department=research,cost-center=4711\"";
    proxy.until("the call is logged", |proxy| proxy.log().iter().any(|said| said.contains(line))).await.unwrap();
}
