//! Images, speech, its text, moderation and ranking: they pass byte for byte, in JSON, as forms, as sound and as events, with the routes,
//! keys, limits, costs and failover of any call.

use serde_json::{Value, json};
use sluicegate_tests::binaries::Simulator;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, answer, chunk, last_chunk};

use crate::resources::{pool, provider, route, rule};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const FORM: &str = "multipart/form-data; boundary=sluice";
const HEARD: &str = r#"{"text":"heard","usage":{"type":"tokens","input_tokens":100,"input_token_details":{"text_tokens":10,"audio_tokens":90},"output_tokens":10,"total_tokens":110}}"#;

/// A form of these fields, with a file that is no text before the last of them.
fn form(fields: &[(&str, &str)], file: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for (at, (name, value)) in fields.iter().enumerate() {
        if at + 1 == fields.len() {
            let head = "--sluice\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\n";
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(file);
            body.extend_from_slice(b"\r\n");
        }
        let part = format!("--sluice\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    body.extend_from_slice(b"--sluice--\r\n");
    body
}

/// Bytes that no text has, of which some look like boundaries.
fn noise(length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at * 7 % 251).unwrap() | 0x80).collect();
    bytes.extend_from_slice(b"--sluice \r\n--slui");
    bytes
}

fn gateway(kind: &str, upstream: &Upstream, more: &str) -> Proxy {
    let text = pool("p", &[provider("only", kind, upstream.address, more)], "") + &route("m", "p");
    Proxy::start(&[("all.yaml", &text)], &[]).unwrap()
}

/// The line of the access log about the only call.
async fn line_of(proxy: &Proxy) -> Value {
    let told = |proxy: &Proxy| proxy.log().iter().any(|line| line.contains("\"cost_usd\""));
    proxy.until("the call is in the log", told).await.unwrap();
    let line = proxy.log().into_iter().find(|line| line.contains("\"cost_usd\"")).unwrap();
    serde_json::from_str(&line).unwrap()
}

#[tokio::test]
async fn a_form_passes_byte_for_byte_and_only_its_model_is_renamed_wherever_it_stands() {
    for (renaming, sent) in
        [("models: [{name: m}]", "m"), ("models: [{name: m, upstreamName: whisper-other}]", "whisper-other")]
    {
        let upstream = Upstream::always(vec![answer(200, JSON, HEARD.as_bytes())]).unwrap();
        let proxy = gateway("OpenAI", &upstream, renaming);
        // The model stands behind a file of a megabyte.
        let body = |model| form(&[("language", "en"), ("model", model)], &noise(1 << 20));
        let got = proxy.client().post("/v1/audio/transcriptions", &[("content-type", FORM)], body("m")).await.unwrap();
        assert_eq!((got.status, got.text()), (200, HEARD.to_owned()));
        let received = upstream.received().pop().unwrap();
        assert!(received.head.starts_with("POST /v1/audio/transcriptions "), "{}", received.head);
        assert_eq!(received.header("content-type"), FORM);
        assert!(received.body == body(sent), "{sent}");
    }
}

#[tokio::test]
async fn what_the_provider_says_of_usage_is_booked_and_what_it_does_not_say_is_unknown() {
    const PRICE: &str = "models: [{name: m, price: {inputPerMillion: '1', outputPerMillion: '5', audioInputPerMillion: '10', imageInputPerMillion: '3', imageOutputPerMillion: '30'}}]";
    let drawn = r#"{"created":1,"data":[{"b64_json":"AAAA"}],"usage":{"input_tokens":50,"output_tokens":20,"total_tokens":70,"input_tokens_details":{"text_tokens":40,"image_tokens":10}}}"#;
    let of_form = || form(&[("model", "m")], &noise(2_000));
    let said = |name: &str| format!(r#"{{"model":"m","{name}":"x"}}"#).into_bytes();
    for (path, kind, body, told, operation, cost) in [
        ("/v1/audio/transcriptions", FORM, of_form(), HEARD, "transcription", Some(10.0 + 900.0 + 50.0)),
        ("/v1/images/generations", JSON[0].1, said("prompt"), drawn, "image_generation", Some(40.0 + 30.0 + 600.0)),
        ("/v1/images/edits", FORM, of_form(), drawn, "image_edit", Some(40.0 + 30.0 + 600.0)),
        (
            "/v1/audio/transcriptions",
            FORM,
            of_form(),
            r#"{"text":"x","usage":{"type":"duration","seconds":3}}"#,
            "transcription",
            None,
        ),
        ("/v1/audio/translations", FORM, of_form(), r#"{"text":"x"}"#, "translation", None),
        ("/v1/moderations", JSON[0].1, said("input"), r#"{"id":"m","model":"m","results":[]}"#, "moderation", None),
        ("/v1/rerank", JSON[0].1, said("query"), r#"{"results":[],"usage":{"total_tokens":7}}"#, "rerank", Some(7.0)),
    ] {
        let upstream = Upstream::always(vec![answer(200, JSON, told.as_bytes())]).unwrap();
        let proxy = gateway("OpenAICompatible", &upstream, PRICE);
        let got = proxy.client().post(path, &[("content-type", kind)], body).await.unwrap();
        assert_eq!((got.status, got.text()), (200, told.to_owned()), "{path}");
        let line = line_of(&proxy).await;
        let booked = line["cost_usd"].as_f64().map(|usd| (usd * 1e9).round() / 1e3);
        assert_eq!(
            (booked, &line["operation"], &line["model"]),
            (cost, &json!(operation), &json!("m")),
            "{path}: {line}"
        );
        let metrics = proxy.metrics().unwrap();
        assert_eq!(metrics.sum("sluicegate_cost_unknown_total", &[]), f64::from(u8::from(cost.is_none())), "{path}");
        let labels = [("gen_ai_operation_name", operation)];
        assert_eq!(metrics.sum("gen_ai_server_request_duration_seconds_count", &labels), 1.0, "{path}");
    }
}

#[tokio::test]
async fn speech_passes_as_it_comes_and_a_cut_one_never_looks_whole() {
    let sound: Vec<Vec<u8>> = (0..40).map(|at| noise(1_000 + at)).collect();
    let head = Act::Send(b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n".to_vec());
    let mut acts = vec![head];
    acts.extend(sound.iter().map(|piece| chunk(piece)));
    let mut cut = acts.clone();
    acts.push(last_chunk());
    cut.push(Act::Reset);
    let asked = r#"{"model":"m","input":"say","voice":"alloy","response_format":"mp3"}"#;
    let upstream = Upstream::always(acts).unwrap();
    let proxy = gateway("OpenAI", &upstream, "");
    let got = proxy.client().post("/v1/audio/speech", &[JSON[0], ("accept", "audio/mpeg")], asked).await.unwrap();
    assert!(got.status == 200 && got.whole && got.body == sound.concat(), "{} {}", got.status, got.body.len());
    assert_eq!(got.header("content-type"), "audio/mpeg");
    let received = upstream.received().pop().unwrap();
    assert_eq!((received.header("accept"), received.body.as_slice()), ("audio/mpeg", asked.as_bytes()));
    assert_eq!(line_of(&proxy).await["cost_usd"], Value::Null);

    let upstream = Upstream::always(cut).unwrap();
    let proxy = gateway("OpenAI", &upstream, "");
    let got = proxy.client().post("/v1/audio/speech", JSON, asked).await.unwrap();
    assert!(got.status == 200 && !got.whole && sound.concat().starts_with(&got.body), "{}", got.whole);
    let line = line_of(&proxy).await;
    assert_eq!((&line["outcome"], &line["cost_usd"]), (&json!("upstream_cut"), &Value::Null), "{line}");
}

#[tokio::test]
async fn events_pass_as_they_come_and_their_usage_is_booked() {
    let event = |text: &str| {
        format!(
            "event: image_generation.{}\ndata: {text}\n\n",
            if text.contains("usage") { "completed" } else { "partial_image" }
        )
    };
    let big = format!(r#"{{"type":"image_generation.partial_image","b64_json":"{}"}}"#, "QUJD".repeat(100_000));
    let last = r#"{"type":"image_generation.completed","b64_json":"AAAA","usage":{"input_tokens":5,"output_tokens":20,"total_tokens":25}}"#;
    let events = event(&big) + &event(last);
    let mut acts = vec![sluicegate_tests::upstream::stream_head()];
    acts.extend(events.as_bytes().chunks(70_001).map(chunk));
    acts.push(last_chunk());
    let upstream = Upstream::always(acts).unwrap();
    let proxy = gateway(
        "OpenAI",
        &upstream,
        "models: [{name: m, price: {inputPerMillion: '1', outputPerMillion: '2', imageOutputPerMillion: '3'}}]",
    );
    let asked = r#"{"model":"m","prompt":"x","stream":true,"partial_images":1}"#;
    let got = proxy.client().post("/v1/images/generations", JSON, asked).await.unwrap();
    assert!(got.status == 200 && got.whole && got.body == events.as_bytes());
    assert_eq!(got.header("content-type"), "text/event-stream");
    let line = line_of(&proxy).await;
    assert_eq!((line["cost_usd"].as_f64().unwrap() * 1e6).round(), 65.0, "{line}");
}

#[tokio::test]
async fn a_call_that_fails_is_saved_by_the_next_provider_with_the_same_bytes() {
    for failing in [vec![answer(500, JSON, b"{}")], vec![Act::Reset], vec![answer(200, JSON, b"no json")]] {
        let bad = Upstream::always(failing).unwrap();
        let good = Upstream::always(vec![answer(200, JSON, HEARD.as_bytes())]).unwrap();
        let providers = [
            provider("bad", "OpenAI", bad.address, "priority: 0"),
            provider("good", "OpenAI", good.address, "priority: 1"),
        ];
        let text = pool("p", &providers, "") + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        let body = form(&[("model", "m")], &noise(100_000));
        let got =
            proxy.client().post("/v1/audio/transcriptions", &[("content-type", FORM)], body.clone()).await.unwrap();
        assert_eq!((got.status, got.text()), (200, HEARD.to_owned()));
        assert!(good.received().pop().unwrap().body == body && bad.received().pop().unwrap().body == body);
    }
}

#[tokio::test]
async fn a_page_in_a_providers_place_is_no_answer() {
    let page: &[(&str, &str)] = &[("content-type", "text/html; charset=utf-8")];
    let said = |name: &str| format!(r#"{{"model":"m","{name}":"x"}}"#);
    let sound: &[(&str, &str)] = &[("content-type", "audio/mpeg")];
    let plain: &[(&str, &str)] = &[("content-type", "text/plain")];
    for (path, body, bad, good) in [
        ("/v1/rerank", said("query"), page, JSON),
        ("/v1/moderations", said("input"), page, JSON),
        ("/v1/moderations", said("input"), plain, JSON),
        ("/v1/images/generations", said("prompt"), page, JSON),
        ("/v1/images/generations", r#"{"model":"m","prompt":"x","stream":true}"#.to_owned(), page, JSON),
        ("/v1/audio/transcriptions", said("file"), page, JSON),
        ("/v1/audio/transcriptions", said("file"), page, plain),
        ("/v1/audio/speech", said("input"), page, sound),
        ("/v1/audio/speech", said("input"), JSON, sound),
    ] {
        let bad = Upstream::always(vec![answer(200, bad, b"<html>login</html>")]).unwrap();
        let next = Upstream::always(vec![answer(200, good, b"{}")]).unwrap();
        let providers = [
            provider("bad", "OpenAICompatible", bad.address, "priority: 0"),
            provider("good", "OpenAICompatible", next.address, "priority: 1"),
        ];
        let text = pool("p", &providers, "") + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        let got = proxy.client().post(path, JSON, body).await.unwrap();
        assert_eq!((got.status, got.text(), got.header("content-type")), (200, "{}".to_owned(), good[0].1), "{path}");
        assert_eq!((bad.calls(), next.calls()), (1, 1), "{path}");
    }
}

#[tokio::test]
async fn forms_are_bounded_refused_where_they_are_none_and_never_read_in_two_ways() {
    let upstream = Upstream::always(vec![answer(200, JSON, HEARD.as_bytes())]).unwrap();
    let text =
        pool("p", &[provider("only", "OpenAI", upstream.address, "")], "") + &route("m", "p") + &route("other", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--body-limit", "200000"]).unwrap();
    let two = form(&[("model", "m"), ("model", "other")], b"");
    let cut = {
        let whole = form(&[("model", "m")], b"");
        whole[..whole.len() - 10].to_vec()
    };
    for (path, kind, body, status) in [
        ("/v1/audio/transcriptions", FORM, form(&[("model", "m")], &noise(300_000)), 413),
        ("/v1/audio/transcriptions", FORM, two, 400),
        ("/v1/audio/transcriptions", FORM, cut, 400),
        ("/v1/audio/transcriptions", FORM, form(&[("language", "en")], b""), 400),
        ("/v1/audio/transcriptions", "multipart/form-data", form(&[("model", "m")], b""), 400),
        ("/v1/audio/transcriptions", "text/plain", form(&[("model", "m")], b""), 415),
        ("/v1/audio/speech", FORM, form(&[("model", "m")], b""), 415),
        ("/v1/audio/speech", JSON[0].1, b"{\"input\":\"x\"}".to_vec(), 400),
        ("/v1/audio/transcriptions", FORM, form(&[("model", "nobody")], b""), 404),
        // A provider of OpenAI's ranks nothing.
        ("/v1/rerank", JSON[0].1, b"{\"model\":\"m\"}".to_vec(), 400),
    ] {
        let got = proxy.client().post(path, &[("content-type", kind)], body).await.unwrap();
        assert_eq!(got.status, status, "{path} {kind}: {}", got.text());
        assert!(got.json()["error"]["message"].is_string(), "{}", got.text());
    }
    assert_eq!(upstream.calls(), 0);
}

#[tokio::test]
async fn who_names_no_model_asks_the_vendors_own_and_its_bytes_stay() {
    let upstream = Upstream::always(vec![answer(200, JSON, br#"{"id":"a","model":"x","results":[]}"#)]).unwrap();
    let target = "    targets: [{poolRef: {name: p}}]\n";
    let renamed = "    targets: [{poolRef: {name: p}, model: their-own}]\n";
    let (unnamed, null) = (r#"{ "input":1.50 }"#, r#"{ "model": null, "input":1.50 }"#);
    for (lines, asked, sent) in [
        (target, unnamed, unnamed),
        (renamed, unnamed, r#"{"model":"their-own", "input":1.50 }"#),
        (target, null, null),
        (renamed, null, r#"{ "model": "their-own", "input":1.50 }"#),
    ] {
        let text =
            pool("p", &[provider("only", "OpenAI", upstream.address, "")], "") + &rule("omni-moderation-latest", lines);
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        let got = proxy.client().post("/v1/moderations", JSON, asked).await.unwrap();
        assert_eq!(got.status, 200, "{}", got.text());
        assert_eq!(upstream.received().pop().unwrap().body, sent.as_bytes());
    }
}

#[tokio::test]
async fn a_limit_and_a_budget_hold_for_them_as_for_any_call() {
    let upstream = Upstream::always(vec![answer(200, JSON, HEARD.as_bytes())]).unwrap();
    let price = "models: [{name: m, price: {inputPerMillion: '1', outputPerMillion: '5', audioInputPerMillion: '10'}}]";
    let pool = pool("p", &[provider("only", "OpenAI", upstream.address, price)], "");
    for (limits, refused) in [
        ("    limits: {rate: [{per: Route, unit: Requests, amount: 1, window: 1h}]}\n", "rate_limit_exceeded"),
        ("    limits: {budgets: [{amount: '0.0009', period: Daily}]}\n", "insufficient_quota"),
    ] {
        let text = pool.clone() + &rule("m", &format!("{limits}    targets: [{{poolRef: {{name: p}}}}]\n"));
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        let call = || proxy.client();
        let headers = [("content-type", FORM)];
        let body = || form(&[("model", "m")], &noise(1_000));
        let first = call().post("/v1/audio/transcriptions", &headers, body()).await.unwrap();
        assert_eq!(first.status, 200, "{}", first.text());
        let second = call().post("/v1/audio/transcriptions", &headers, body()).await.unwrap();
        assert_eq!((second.status, &second.json()["error"]["code"]), (429, &json!(refused)), "{}", second.text());
    }
}

#[tokio::test]
async fn azures_paths_name_the_deployment_and_its_providers_are_called_so() {
    let simulator = Simulator::start(&["--models", "deep", "--journal", "16"]).unwrap();
    let text = format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\nspec:\n  providers:\n  - {{name: azure, type: AzureOpenAI, url: \"{}\", apiVersion: \"2024-10-21\"}}\n---\n",
        simulator.url("")
    ) + &rule("m", "    targets: [{poolRef: {name: p}, model: deep}]\n");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let headers = [("content-type", FORM)];
    for path in ["/openai/deployments/m/audio/transcriptions?api-version=2024-10-21", "/v1/audio/transcriptions"] {
        let body = form(&[("model", "m")], &noise(100));
        let got = proxy.client().post(path, &headers, body).await.unwrap();
        assert!(got.status == 200 && got.json()["text"] == "Nobody said a word.", "{path}: {}", got.text());
    }
    let client = proxy.client();
    let got =
        client.post("/openai/deployments/m/audio/speech?api-version=2024-10-21", JSON, r#"{"input":"x","voice":"a"}"#);
    let got = got.await.unwrap();
    assert!(got.status == 200 && got.header("content-type") == "audio/mpeg", "{}", got.text());
}

#[tokio::test]
async fn a_known_look_alike_is_asked_for_what_its_row_has_and_for_nothing_else() {
    const IMAGES: &str = "/v1/images/generations";
    const EDITS: &str = "/v1/images/edits";
    const SPEECH: &str = "/v1/audio/speech";
    const HEARS: &str = "/v1/audio/transcriptions";
    const TRANSLATES: &str = "/v1/audio/translations";
    const JUDGES: &str = "/v1/moderations";
    const RANKS: &str = "/v1/rerank";
    let all = [IMAGES, EDITS, SPEECH, HEARS, TRANSLATES, JUDGES, RANKS];
    for (profile, has) in [
        ("Groq", &[SPEECH, HEARS, TRANSLATES][..]),
        ("Together", &[IMAGES, SPEECH, HEARS, TRANSLATES, RANKS]),
        ("xAI", &[IMAGES, EDITS]),
        ("Nebius", &[IMAGES]),
        ("Mistral", &[HEARS, JUDGES]),
        ("OpenRouter", &[SPEECH, HEARS, RANKS]),
        ("vLLM", &[HEARS, TRANSLATES, RANKS]),
        ("LlamaCpp", &[RANKS]),
        ("DeepSeek", &[]),
    ] {
        let upstream = Upstream::start(|received| {
            let is_sound = received.head.contains("/audio/speech");
            vec![if is_sound {
                answer(200, &[("content-type", "audio/mpeg")], b"sound")
            } else {
                answer(200, JSON, b"{}")
            }]
        })
        .unwrap();
        let proxy = gateway("OpenAICompatible", &upstream, &format!("compatibility: {{profile: {profile}}}"));
        for path in all {
            let before = upstream.calls();
            let got = proxy.client().post(path, JSON, r#"{"model":"m","input":"x"}"#).await.unwrap();
            let (status, asked) = if has.contains(&path) { (200, 1) } else { (400, 0) };
            assert_eq!((got.status, upstream.calls() - before), (status, asked), "{profile} {path}: {}", got.text());
            if asked == 1 {
                let received = upstream.received().pop().unwrap();
                assert!(received.head.contains(path.trim_start_matches("/v1")), "{profile}: {}", received.head);
            }
        }
    }
}
