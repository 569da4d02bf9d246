//! Tokens of an issuer by which callers are known: a small issuer with keys of its own, which rotate, go away and lie.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Upstream, answer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::resources::{CHAT, MESSAGES, chat, message, plain_upstream, pool, provider};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const KEYS: &str = "GET /keys ";

/// An issuer: its keys are at `/keys`, its description where everybody's is.
pub(crate) struct Issuer {
    server: Upstream,
    published: Arc<Mutex<Vec<Value>>>,
    is_away: Arc<AtomicBool>,
}

/// A key that it signs with.
pub(crate) struct Signer {
    id: &'static str,
    pair: EcdsaKeyPair,
}

impl Signer {
    pub(crate) fn new(id: &'static str) -> Self {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).unwrap();
        Self { id, pair }
    }

    pub(crate) fn published(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "alg": "ES256", "x": part(x), "y": part(y)})
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let signed = parts(&json!({"alg": "ES256", "kid": self.id, "typ": "JWT"}), claims);
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn parts(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

impl Issuer {
    pub(crate) fn start(signers: &[&Signer]) -> Self {
        let published = Arc::new(Mutex::new(signers.iter().map(|signer| signer.published()).collect::<Vec<_>>()));
        let is_away = Arc::new(AtomicBool::new(false));
        let (keys, away) = (Arc::clone(&published), Arc::clone(&is_away));
        let server = Upstream::start(move |received| {
            if away.load(Ordering::Relaxed) {
                return vec![answer(503, &[], b"")];
            }
            let address = format!("http://{}", received.header("host"));
            let body = match received.head.starts_with(KEYS) {
                true => json!({"keys": *keys.lock().unwrap()}),
                false => json!({"issuer": address, "jwks_uri": format!("{address}/keys")}),
            };
            vec![answer(200, JSON, body.to_string().as_bytes())]
        })
        .unwrap();
        Self { server, published, is_away }
    }

    fn name(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Good claims, with these changed.
    pub(crate) fn claims(&self, changed: &Value) -> Value {
        let mut claims = json!({"iss": self.name(), "aud": ["else", "gateway"], "sub": "bob", "exp": now() + 600, "groups": ["research"]});
        for (name, value) in changed.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    pub(crate) fn fetches(&self) -> usize {
        self.server.received().iter().filter(|received| received.head.starts_with(KEYS)).count()
    }

    pub(crate) fn consumer(&self, name: &str, more: &str) -> String {
        format!(
            "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: {name}}}\nspec: {{jwt: {{issuer: \"{}\", audiences: [gateway, other-gateway], {more}}}}}\n---\n",
            self.name()
        )
    }
}

/// A proxy with these consumers, whose one route is for all that are known.
pub(crate) async fn start(consumers: &str, issuer: &Issuer) -> (Proxy, Upstream) {
    let upstream = plain_upstream();
    let route = "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: r}\nspec:\n  access: {from: Known}\n  rules:\n  - {name: only, targets: [{poolRef: {name: p}}]}\n---\n";
    let all = [&pool("p", &[provider("one", "OpenAI", upstream.address, "")], ""), route, consumers].concat();
    let proxy = Proxy::start(&[("all.yaml", &all)], &[]).unwrap();
    if !issuer.is_away.load(Ordering::Relaxed) {
        let is_here = |proxy: &Proxy| metric(proxy, "sluicegate_jwks_usable ") == 1;
        proxy.until("the issuer's keys are here", is_here).await.unwrap();
    }
    (proxy, upstream)
}

fn metric(proxy: &Proxy, begins: &str) -> u64 {
    let page = proxy.page("/metrics").unwrap().1;
    let line = page.lines().find_map(|line| line.strip_prefix(begins)).unwrap_or("0");
    line.trim().parse().unwrap()
}

pub(crate) async fn status(proxy: &Proxy, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    proxy.client().post(CHAT, &[("authorization", &bearer)], chat("m", false)).await.unwrap().status
}

#[tokio::test]
async fn a_token_is_known_wherever_a_key_would_be_and_checked_once() {
    let signer = Signer::new("a");
    let issuer = Issuer::start(&[&signer]);
    let both = issuer.consumer("researchers", "claims: [{name: groups, values: [research]}]")
        + &issuer.consumer("writers", "claims: [{name: groups, values: [writing]}]");
    let (proxy, upstream) = start(&both, &issuer).await;
    let token = signer.sign(&issuer.claims(&json!({})));
    let bearer = format!("Bearer {token}");
    for (path, header, value, body) in [
        (CHAT, "authorization", &bearer, chat("m", false)),
        (CHAT, "api-key", &token, chat("m", false)),
        (MESSAGES, "x-api-key", &token, message("m", false)),
        (MESSAGES, "authorization", &bearer, message("m", false)),
    ] {
        let answer = proxy.client().post(path, &[(header, value)], body).await.unwrap();
        assert_eq!(answer.status, 200, "{header}: {}", answer.text());
    }
    assert!(!upstream.received().iter().any(|received| received.head.contains("eyJ")), "no token goes on");
    assert_eq!(metric(&proxy, "sluicegate_jwt_tokens_total{outcome=\"verified\"} "), 1);
    assert_eq!(metric(&proxy, "sluicegate_jwt_tokens_total{outcome=\"cached\"} "), 3);
    let writer = signer.sign(&issuer.claims(&json!({"groups": "writing", "aud": "other-gateway"})));
    assert_eq!(status(&proxy, &writer).await, 200);
    let log = || proxy.log().join("\n");
    for name in ["researchers", "writers"] {
        let line = format!("\"consumer\":\"default/{name}\"");
        proxy.until("the log tells who calls", |_| log().contains(&line)).await.unwrap();
    }
    assert!(!log().contains(&token) && !log().contains(token.rsplit('.').next().unwrap()));
}

#[tokio::test]
async fn keys_that_another_consumer_gives_its_issuer_shut_nobody_out() {
    let (signer, other, unknown) = (Signer::new("a"), Signer::new("a"), Signer::new("b"));
    let issuer = Issuer::start(&[&signer]);
    let given = |name: &str, key: &Signer| {
        let keys = json!({"keys": [key.published()]}).to_string().replace('"', "\\\"");
        issuer.consumer(name, &format!("jwks: \"{keys}\""))
    };
    // Those of a smaller name are asked first.
    let all = given("a-same-name", &other) + &given("b-another-name", &unknown) + &issuer.consumer("mine", "");
    let (proxy, _upstream) = start(&all, &issuer).await;
    for (signer, status_of, name) in
        [(&signer, 200, "mine"), (&other, 200, "a-same-name"), (&unknown, 200, "b-another-name")]
    {
        assert_eq!(status(&proxy, &signer.sign(&issuer.claims(&json!({})))).await, status_of, "{name}");
        let line = format!("\"consumer\":\"default/{name}\"");
        proxy.until("the log tells who calls", |proxy| proxy.log().join("\n").contains(&line)).await.unwrap();
    }
    assert_eq!(status(&proxy, &Signer::new("a").sign(&issuer.claims(&json!({})))).await, 401, "nobody's");
}

#[tokio::test]
async fn what_is_wrong_with_a_token_the_log_says_and_not_the_caller() {
    let (signer, stranger) = (Signer::new("a"), Signer::new("a"));
    let issuer = Issuer::start(&[&signer]);
    let (proxy, _upstream) =
        start(&issuer.consumer("all", "claims: [{name: groups, values: [research]}]"), &issuer).await;
    let good = issuer.claims(&json!({}));
    let fixed = |header: Value| parts(&header, &good);
    let secret = hmac::Key::new(hmac::HMAC_SHA256, signer.pair.public_key().as_ref());
    let confused = fixed(json!({"alg": "HS256", "kid": "a"}));
    let confused = format!("{confused}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&secret, confused.as_bytes())));
    let signed = signer.sign(&good);
    let (head, signature) = signed.rsplit_once('.').unwrap();
    let changed = parts(&json!({"alg": "ES256", "kid": "a", "typ": "JWT"}), &issuer.claims(&json!({"sub": "eve"})));
    let of = |changes: Value| signer.sign(&issuer.claims(&changes));
    let mut bodies = Vec::new();
    for (what, token) in [
        ("over", of(json!({"exp": now() - 120}))),
        ("without an end", of(json!({"exp": null}))),
        ("not yet", of(json!({"nbf": now() + 600}))),
        ("another audience", of(json!({"aud": "elsewhere"}))),
        ("another group", of(json!({"groups": ["writing"]}))),
        ("another issuer", of(json!({"iss": "https://elsewhere.example"}))),
        ("another's signature", stranger.sign(&good)),
        ("other claims", format!("{changed}.{signature}")),
        ("cut", head.to_owned() + "."),
        ("none", fixed(json!({"alg": "none"})) + "."),
        ("the public key as a secret", confused),
        ("an algorithm that is not allowed", fixed(json!({"alg": "RS512", "kid": "a"})) + ".AAAA"),
    ] {
        let bearer = format!("Bearer {token}");
        let answer = proxy.client().post(CHAT, &[("authorization", &bearer)], chat("m", false)).await.unwrap();
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "invalid_api_key", "{what}");
        bodies.push(answer.json()["error"]["message"].to_string());
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    // Clocks may differ by a minute.
    assert_eq!(status(&proxy, &of(json!({"exp": now() - 20}))).await, 200);
    assert_eq!(status(&proxy, &of(json!({"nbf": now() + 20}))).await, 200);
    let log = || proxy.log().join("\n");
    proxy.until("the log says why", |_| log().contains("a caller's token is refused")).await.unwrap();
}

#[tokio::test]
async fn keys_rotate_a_flood_of_unknown_ones_makes_few_fetches_and_the_last_good_ones_are_kept() {
    let (first, second) = (Signer::new("first"), Signer::new("second"));
    let issuer = Issuer::start(&[&first]);
    let (proxy, _upstream) = start(&issuer.consumer("all", ""), &issuer).await;
    assert_eq!(issuer.fetches(), 1);
    let (old, new) = (first.sign(&issuer.claims(&json!({}))), second.sign(&issuer.claims(&json!({}))));
    assert_eq!(status(&proxy, &old).await, 200);
    // The issuer signs by another key from now on, and its old one is good no longer.
    *issuer.published.lock().unwrap() = vec![second.published()];
    let strangers = (0..40).map(|turn| second.sign(&issuer.claims(&json!({"turn": turn})))).collect::<Vec<_>>();
    let answers = futures_util::future::join_all(strangers.iter().map(|stranger| status(&proxy, stranger))).await;
    assert_eq!(answers, vec![200; 40], "the first calls with it wait for the issuer's answer");
    assert_eq!(issuer.fetches(), 2, "once for the sake of all");
    assert_eq!(status(&proxy, &new).await, 200);
    assert_eq!(
        status(&proxy, &old).await,
        401,
        "a token that was found good before is not, by a key that was taken back"
    );
    // The issuer is away, and unknown keys are named all the time.
    issuer.is_away.store(true, Ordering::Relaxed);
    for turn in 0..200 {
        assert_eq!(status(&proxy, &first.sign(&issuer.claims(&json!({"turn": turn})))).await, 401);
    }
    assert!(issuer.fetches() <= 6, "{} fetches", issuer.fetches());
    assert_eq!(status(&proxy, &new).await, 200);
    assert_eq!(status(&proxy, &second.sign(&issuer.claims(&json!({"sub": "new"})))).await, 200, "the keys are kept");
}

#[tokio::test]
async fn a_key_that_is_used_before_it_is_published_is_asked_for_before_it_is_refused() {
    let (first, second) = (Signer::new("first"), Signer::new("second"));
    let issuer = Issuer::start(&[&first]);
    let (proxy, _upstream) = start(&issuer.consumer("all", ""), &issuer).await;
    let new = second.sign(&issuer.claims(&json!({})));
    // Nobody has asked for it yet: the issuer is asked at once, and does not have it.
    assert_eq!(status(&proxy, &new).await, 401);
    assert_eq!(issuer.fetches(), 2, "once for its sake");
    // It was asked just now. For another key it is not asked again so soon: the caller is to come again.
    let other = Signer::new("third").sign(&issuer.claims(&json!({})));
    assert_eq!(status(&proxy, &other).await, 503);
    assert_eq!((status(&proxy, &new).await, issuer.fetches()), (401, 2));
}

#[tokio::test]
async fn without_an_issuers_keys_a_caller_is_told_to_come_again() {
    let signer = Signer::new("a");
    let issuer = Issuer::start(&[&signer]);
    issuer.is_away.store(true, Ordering::Relaxed);
    let (proxy, _upstream) = start(&issuer.consumer("all", "clockSkew: 10s"), &issuer).await;
    let token = signer.sign(&issuer.claims(&json!({})));
    let bearer = format!("Bearer {token}");
    let answer = proxy.client().post(CHAT, &[("authorization", &bearer)], chat("m", false)).await.unwrap();
    assert_eq!((answer.status, answer.header("x-should-retry")), (503, "true"), "{}", answer.text());
    issuer.is_away.store(false, Ordering::Relaxed);
    proxy.until("the keys are here", |proxy| metric(proxy, "sluicegate_jwks_usable ") == 1).await.unwrap();
    assert_eq!(status(&proxy, &token).await, 200);
}

/// Serves an issuer's description and keys over TLS under a certificate of its own making: where it is, and the certificate.
async fn issuer_of_its_own_authority(keys: Value) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = format!("https://{}", listener.local_addr().unwrap());
    let description = json!({"issuer": name, "jwks_uri": format!("{name}/keys")});
    tokio::task::spawn_local(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // Who trusts nobody but the system's authorities goes away here.
            let Ok(mut stream) = acceptor.accept(socket).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { break };
                head.push(byte);
            }
            let body = if head.starts_with(KEYS.as_bytes()) { &keys } else { &description }.to_string();
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
            let _gone = stream.write_all(answer.as_bytes()).await;
            let _gone = stream.shutdown().await;
        }
    });
    (name, made.cert.pem())
}

#[tokio::test(flavor = "local")]
async fn an_issuer_with_an_authority_of_its_own_is_believed_where_the_consumer_says_so() {
    let signer = Signer::new("a");
    let (issuer, certificate) = issuer_of_its_own_authority(json!({"keys": [signer.published()]})).await;
    let upstream = plain_upstream();
    let route = "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: r}\nspec:\n  access: {from: Known}\n  rules:\n  - {name: only, targets: [{poolRef: {name: p}}]}\n---\n";
    let token = signer.sign(&json!({"iss": issuer, "aud": "gateway", "sub": "bob", "exp": now() + 600}));
    for (trusts, wanted) in [(true, 200), (false, 503)] {
        let mut jwt = json!({"issuer": issuer, "audiences": ["gateway"]});
        if trusts {
            jwt["caCertificate"] = json!(certificate);
        }
        let consumer = json!({"apiVersion": "sluicegate.dev/v1alpha1", "kind": "LLMConsumer", "metadata": {"name": "all"}, "spec": {"jwt": jwt}});
        let pool = pool("p", &[provider("one", "OpenAI", upstream.address, "")], "");
        let proxy = Proxy::start(&[("all.yaml", &[&pool, route, &consumer.to_string()].concat())], &[]).unwrap();
        let fetched = |outcome| format!("sluicegate_jwks_fetches_total{{outcome=\"{outcome}\"}} ");
        let wait_for = fetched(if trusts { "ok" } else { "failed" });
        proxy.until("the issuer is asked", |proxy| metric(proxy, &wait_for) > 0).await.unwrap();
        assert_eq!(status(&proxy, &token).await, wanted, "{:?}", proxy.log());
    }
}
