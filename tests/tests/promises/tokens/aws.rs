//! Keys of Amazon's, where a pod, a container or a machine has them: by a web identity (IRSA), of EKS Pod Identity, of the metadata of
//! EC2, of the environment; and roles that are taken on with them. The services here look at signatures, forms and sessions as
//! Amazon's do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::{digest, hmac};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Received, Upstream, answer};

use super::{JSON, ROUNDS, no_secret_is_told, status, until};
use crate::resources::{pool, rule};

const XML: &[(&str, &str)] = &[("content-type", "text/xml")];
const ROLE: &str = "arn:aws:iam::123456789012:role/gateway";
const OTHER_ROLE: &str = "arn:aws:iam::210987654321:role/models";
const REGION: &str = "eu-west-1";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

/// Secrets and sessions, by the keys' ids.
type Known = Arc<Mutex<BTreeMap<String, (String, Option<String>)>>>;

/// The id of the keys that have signed a request for a service, if they have.
fn signer(received: &Received, service: &str, known: &Known) -> Option<String> {
    let line = received.header("authorization").strip_prefix("AWS4-HMAC-SHA256 ")?;
    let part = |name: &str| line.split(", ").find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let (credential, names, signature) = (part("Credential")?, part("SignedHeaders")?, part("Signature")?);
    let (id, scope) = credential.split_once('/')?;
    let (secret, session) = known.lock().unwrap().get(id)?.clone();
    let date = received.header("x-amz-date");
    let day = date.get(..8)?;
    if scope != format!("{day}/{REGION}/{service}/aws4_request") {
        return None;
    }
    if received.header("x-amz-security-token") != session.as_deref().unwrap_or_default() {
        return None;
    }
    let mut words = received.head.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let headers: String = names.split(';').map(|name| format!("{name}:{}\n", received.header(name))).collect();
    let body = hex(digest::digest(&digest::SHA256, &received.body).as_ref());
    let canonical = format!("{method}\n{path}\n\n{headers}\n{names}\n{body}");
    let canonical = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let mut key = mac(format!("AWS4{secret}").as_bytes(), day);
    for word in [REGION, service, "aws4_request"] {
        key = mac(&key, word);
    }
    let expected = hex(&mac(&key, &format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{canonical}")));
    (expected == signature && names.contains("host")).then(|| id.to_owned())
}

/// A field of a form.
fn field(received: &Received, name: &str) -> String {
    let body = String::from_utf8(received.body.clone()).unwrap();
    let mut fields = body.split('&').filter_map(|field| field.split_once('='));
    let value = fields.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned()).unwrap_or_default();
    let mut bytes = Vec::new();
    let mut rest = value.as_str();
    while let Some((before, behind)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(&behind[..2], 16).unwrap());
        rest = &behind[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap()
}

/// Amazon: its token service, its metadata and its containers' keys in one, and what of it is out of order.
struct Amazon {
    upstream: Upstream,
    known: Known,
    /// The life of keys that are given out, in seconds; 0: none are.
    life: Arc<AtomicU64>,
    given: Arc<AtomicU64>,
}

struct Giving {
    known: Known,
    life: Arc<AtomicU64>,
    given: Arc<AtomicU64>,
}

impl Giving {
    /// New keys, named after the place where they are had: id, secret, session and end.
    fn keys(&self, place: &str) -> Option<[String; 4]> {
        let life = self.life.load(Ordering::SeqCst);
        (life > 0).then_some(())?;
        let number = self.given.fetch_add(1, Ordering::SeqCst) + 1;
        let end = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(life.try_into().unwrap());
        let keys = [
            format!("ASIA{place}{number}"),
            format!("planted/secret+{number}"),
            format!("planted-session-{number}=="),
            end.to_string(),
        ];
        let [id, secret, session, _] = &keys;
        self.known.lock().unwrap().insert(id.clone(), (secret.clone(), Some(session.clone())));
        Some(keys)
    }

    fn xml(&self, action: &str, place: &str) -> Act {
        let Some([id, secret, session, end]) = self.keys(place) else { return refused("ServiceUnavailable", 503) };
        let text = format!(
            "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{session}</SessionToken><Expiration>{end}</Expiration></Credentials></{action}Result></{action}Response>"
        );
        answer(200, XML, text.as_bytes())
    }

    fn json(&self, place: &str) -> Act {
        let Some([id, secret, session, end]) = self.keys(place) else { return answer(500, JSON, b"{}") };
        let text = format!(
            r#"{{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"{id}","SecretAccessKey":"{secret}","Token":"{session}","Expiration":"{end}"}}"#
        );
        answer(200, JSON, text.as_bytes())
    }
}

fn refused(code: &str, status: u16) -> Act {
    let text = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}</Code><Message>planted</Message></Error></ErrorResponse>"
    );
    answer(status, XML, text.as_bytes())
}

impl Amazon {
    fn start(life: u64) -> Self {
        let (known, given) = (Known::default(), Arc::new(AtomicU64::new(0)));
        let life = Arc::new(AtomicU64::new(life));
        known.lock().unwrap().insert("AKIDOFSECRET".to_owned(), ("se/cret+planted".to_owned(), None));
        let giving = Giving { known: Arc::clone(&known), life: Arc::clone(&life), given: Arc::clone(&given) };
        let upstream = Upstream::start(move |received| vec![Self::answer(received, &giving)]).unwrap();
        Self { upstream, known, life, given }
    }

    fn answer(received: &Received, giving: &Giving) -> Act {
        let mut words = received.head.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let roles = "/latest/meta-data/iam/security-credentials/";
        match (method, path) {
            ("POST", "/") => match field(received, "Action").as_str() {
                "AssumeRoleWithWebIdentity" if field(received, "RoleArn") != ROLE => refused("AccessDenied", 403),
                "AssumeRoleWithWebIdentity" if field(received, "RoleSessionName").is_empty() => {
                    refused("ValidationError", 400)
                }
                "AssumeRoleWithWebIdentity" if !field(received, "WebIdentityToken").starts_with("planted-web.") => {
                    refused("InvalidIdentityToken", 400)
                }
                "AssumeRoleWithWebIdentity" => giving.xml("AssumeRoleWithWebIdentity", "WEB"),
                "AssumeRole" if signer(received, "sts", &giving.known).is_none() => {
                    refused("SignatureDoesNotMatch", 403)
                }
                "AssumeRole" if field(received, "ExternalId") != "the+word" => refused("AccessDenied", 403),
                "AssumeRole" if field(received, "RoleArn") == OTHER_ROLE => giving.xml("AssumeRole", "ROLE"),
                _ => refused("InvalidAction", 400),
            },
            ("GET", "/v1/credentials") if received.header("authorization") == "planted-pod-token" => giving.json("POD"),
            ("PUT", "/latest/api/token") if !received.header("x-aws-ec2-metadata-token-ttl-seconds").is_empty() => {
                answer(200, &[], b"planted-imds==")
            }
            ("GET", _) if received.header("x-aws-ec2-metadata-token") != "planted-imds==" => answer(401, &[], b""),
            ("GET", path) if path == roles => answer(200, &[], b"gateway-role\n"),
            ("GET", path) if path.strip_prefix(roles) == Some("gateway-role") => giving.json("EC2"),
            _ => answer(404, &[], b""),
        }
    }

    fn at(&self) -> String {
        format!("http://{}", self.upstream.address)
    }

    /// A provider that answers whoever has signed, with the id of the keys in its log.
    fn bedrock(&self) -> Bedrock {
        let (known, ids) = (Arc::clone(&self.known), Arc::new(Mutex::new(Vec::new())));
        let seen = Arc::clone(&ids);
        let upstream = Upstream::start(move |received| {
            let said = r#"{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"text","text":"x"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}"#;
            let id = signer(received, "bedrock", &known);
            let status = if id.is_some() { 200 } else { 403 };
            seen.lock().unwrap().extend(id);
            vec![answer(status, JSON, said.as_bytes())]
        })
        .unwrap();
        Bedrock { upstream, ids }
    }
}

struct Bedrock {
    upstream: Upstream,
    ids: Arc<Mutex<Vec<String>>>,
}

impl Bedrock {
    fn last(&self) -> String {
        self.ids.lock().unwrap().last().cloned().unwrap_or_default()
    }

    /// Each id once, in the order in which they came.
    fn seen(&self) -> Vec<String> {
        let mut ids = self.ids.lock().unwrap().clone();
        ids.dedup();
        ids
    }
}

fn bedrock(address: SocketAddr, credentials: &str) -> String {
    let one = format!(
        "  - {{name: only, type: Bedrock, url: \"http://{address}\", credentials: {{type: AWS, region: {REGION}{credentials}}}}}\n"
    );
    pool("bedrock", &[one], "") + &rule("claude-x", "    targets: [{poolRef: {name: bedrock}}]\n")
}

fn with(environment: &[(&str, &str)], text: &str) -> Proxy {
    Proxy::with_environment(environment, &[("all.yaml", text)], &["--log", "debug", "--workers", "2"]).unwrap()
}

#[tokio::test]
async fn a_pods_web_identity_becomes_keys_which_are_renewed_beside_the_calls() {
    let amazon = Amazon::start(3);
    let provider = amazon.bedrock();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "planted-web.1\n").unwrap();
    let at = amazon.at();
    let environment = [
        ("AWS_ROLE_ARN", ROLE),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
        ("AWS_ENDPOINT_URL_STS", at.as_str()),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let proxy = with(&environment, &bedrock(provider.upstream.address, ""));
    for _ in 0..ROUNDS {
        let (status, text) = status(&proxy).await;
        assert_eq!(status, 200, "{text}\n{}", proxy.log().join("\n"));
        if provider.seen().len() >= 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let seen = provider.seen();
    assert!(seen.len() >= 3 && seen[0] == "ASIAWEB1" && seen[1] == "ASIAWEB2", "{seen:?}");
    assert!(amazon.given.load(Ordering::SeqCst) <= seen.len() as u64 + 1);
    // The kubelet's next token is the one that is shown: what it is now, Amazon refuses, and says why.
    std::fs::write(&file, "other").unwrap();
    let told = until(&proxy, 503).await;
    assert!(told.contains("no token for provider `only`"), "{told}");
    let page = proxy.page("/status").unwrap().1;
    let why = format!("AssumeRoleWithWebIdentity for {ROLE}: it answered with status 400 (InvalidIdentityToken)");
    assert!(page.contains(&why), "{page}");
    std::fs::write(&file, "planted-web.2").unwrap();
    until(&proxy, 200).await;
    no_secret_is_told(&proxy);
}

#[tokio::test]
async fn keys_are_where_amazons_own_tools_look_for_them_and_in_that_order() {
    let amazon = Amazon::start(3600);
    let provider = amazon.bedrock();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (web, pod) = (file("web", "planted-web.1"), file("pod", "planted-pod-token"));
    let shared = file(
        "credentials",
        "[default]\naws_access_key_id = wrong\naws_secret_access_key = wrong\n[mine]\naws_access_key_id = AKIDOFSECRET\naws_secret_access_key = se/cret+planted\n",
    );
    let (at, full) = (amazon.at(), format!("{}/v1/credentials", amazon.at()));
    let mut environment = vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT", at.as_str())];
    let text = bedrock(provider.upstream.address, "");
    // From the last place to the first: each is before all that were named until then.
    for (more, id) in [
        (vec![], "ASIAEC2"),
        (
            vec![
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", full.as_str()),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", pod.as_str()),
            ],
            "ASIAPOD",
        ),
        (
            vec![
                ("AWS_ROLE_ARN", ROLE),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", web.as_str()),
                ("AWS_ENDPOINT_URL_STS", at.as_str()),
            ],
            "ASIAWEB",
        ),
        (vec![("AWS_SHARED_CREDENTIALS_FILE", shared.as_str()), ("AWS_PROFILE", "mine")], "AKIDOFSECRET"),
        (
            vec![
                ("AWS_ACCESS_KEY_ID", "AKIDOFSECRET"),
                ("AWS_SECRET_ACCESS_KEY", "se/cret+planted"),
                ("AWS_PROFILE", "none"),
            ],
            "AKIDOFSECRET",
        ),
    ] {
        environment.extend(more);
        let proxy = with(&environment, &text);
        until(&proxy, 200).await;
        assert!(provider.last().starts_with(id), "{id}: {}", provider.last());
        no_secret_is_told(&proxy);
    }
}

#[tokio::test]
async fn a_role_is_taken_on_with_keys_of_a_secret_or_with_the_gateways_own() {
    let amazon = Amazon::start(3600);
    let provider = amazon.bedrock();
    let role = format!(", assumeRole: {{arn: \"{OTHER_ROLE}\", externalID: the+word}}");
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: aws}\nstringData: {api-key: \"AKIDOFSECRET:se/cret+planted\"}\n---\n";
    let at = amazon.at();
    let environment = [("AWS_ENDPOINT_URL_STS", at.as_str()), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", at.as_str())];
    for more in [", secretRef: {name: aws}", ""] {
        let text = secret.to_owned() + &bedrock(provider.upstream.address, &format!("{role}{more}"));
        let proxy = with(&environment, &text);
        until(&proxy, 200).await;
        assert!(provider.last().starts_with("ASIAROLE"), "{}", provider.last());
        let page = proxy.page("/status").unwrap().1;
        assert!(page.contains(&format!("{OTHER_ROLE}, taken on with")), "{page}");
        no_secret_is_told(&proxy);
        // Who does not know the owner's word is refused by it, and that is told.
        let wrong = text.replace("the+word", "another");
        let proxy = with(&environment, &wrong);
        until(&proxy, 503).await;
        let page = proxy.page("/status").unwrap().1;
        assert!(page.contains("AssumeRole: it answered with status 403 (AccessDenied)"), "{page}");
        no_secret_is_told(&proxy);
    }
}

#[tokio::test]
async fn the_last_keys_are_good_to_their_end_and_nobody_else_is_shown_the_gateways_own() {
    let amazon = Amazon::start(6);
    let provider = amazon.bedrock();
    let at = amazon.at();
    let environment = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", at.as_str())];
    let text = bedrock(provider.upstream.address, "");
    let proxy = with(&environment, &text);
    until(&proxy, 200).await;
    amazon.life.store(0, Ordering::SeqCst);
    for _ in 0..ROUNDS {
        if proxy.page("/status").unwrap().1.contains("it answered with status 500") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(proxy.page("/status").unwrap().1.contains("it answered with status 500"));
    assert_eq!(status(&proxy).await.0, 200);
    until(&proxy, 503).await;
    amazon.life.store(3600, Ordering::SeqCst);
    until(&proxy, 200).await;
    assert!(provider.seen().len() >= 2, "{:?}", provider.seen());
    let elsewhere = text.replace(&format!("http://{}", provider.upstream.address), "https://collector.example");
    let proxy = with(&environment, &elsewhere);
    assert!(proxy.page("/config").unwrap().1.contains("the gateway's own identity is shown to Amazon alone"));
    assert_eq!(status(&proxy).await.0, 503);
}
