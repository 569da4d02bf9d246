//! OpenAI's models at Azure: paths by deployment and by model, on both sides; every byte of a body as it came.

use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Upstream, answer, chunk, last_chunk, stream_head};

use crate::resources::{MESSAGES, chat, good, message, openai_whole, plain_upstream, pool, provider, route};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const DEPLOYED: &str = "/openai/deployments/m/chat/completions?api-version=2024-10-21";
const VERSIONED: &str = r#"apiVersion: "2025-01-01", "#;

fn key(value: &str) -> String {
    format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: key}}\nstringData: {{api-key: {value}}}\n---\n")
}

#[tokio::test]
async fn each_caller_reaches_each_provider_at_its_path_with_every_byte() {
    let said = r#"{"id":"c" ,"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop","content_filter_results":{"hate":{"filtered":false,"severity":"safe"}}}],"prompt_filter_results":[ ],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
    let told = "data: {\"choices\":[],\"model\":\"\",\"prompt_filter_results\":[ {\"prompt_index\":0}]}\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":null, \"content_filter_results\":{}}]}\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"finish_reason\":null,\"content_filter_offsets\":{\"check_offset\":1}}]}\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1,\"total_tokens\":4}}\n\ndata: [DONE]\n\n";
    let upstream = Upstream::start(move |received| match received.streams() {
        true => vec![stream_head(), chunk(told.as_bytes()), last_chunk()],
        false => vec![answer(200, JSON, said.as_bytes())],
    })
    .unwrap();
    let named = r#"{"messages" :[{"role":"user","content":"x", "n":1.50e2}], "model":"m","new":{"a":[ ]}}"#;
    let unnamed = r#"{"messages" :[{"role":"user","content":"x", "n":1.50e2}], "new":{"a":[ ]}}"#;
    let other = r#"{"messages" :[], "model":"gpt-4o"}"#;
    let added = format!("{{\"model\":\"m\",{}", unnamed.strip_prefix('{').unwrap());
    let renamed = r#"{"messages" :[], "model":"m"}"#;
    let streamed = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}, "messages":[ ]}"#;
    let deployment = "/openai/deployments/m/chat/completions?api-version=2025-01-01";
    for (kind, path) in [(VERSIONED, deployment), ("", "/openai/v1/chat/completions")] {
        let text = pool("p", &[provider("only", "AzureOpenAI", upstream.address, kind)], "") + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        let in_path = path == deployment;
        for (at, body, sent) in [
            (DEPLOYED, named, named),
            (DEPLOYED, unnamed, if in_path { unnamed } else { added.as_str() }),
            (DEPLOYED, other, if in_path { other } else { renamed }),
            ("/openai/v1/chat/completions", named, named),
            ("/v1/chat/completions", named, named),
            (DEPLOYED, streamed, streamed),
        ] {
            let got = proxy.client().post(at, JSON, body).await.unwrap();
            let expected = if body == streamed { told } else { said };
            assert_eq!((got.status, got.text().as_str()), (200, expected), "{kind} {at}");
            let received = upstream.received().pop().unwrap();
            assert!(received.head.starts_with(&format!("POST {path} HTTP")), "{kind} {at}: {}", received.head);
            assert_eq!(String::from_utf8_lossy(&received.body), sent, "{kind} {at}");
        }
    }
}

#[tokio::test]
async fn a_name_of_ones_own_is_a_deployment_and_a_key_goes_where_azure_reads_it() {
    let upstream = plain_upstream();
    for (secret, header) in
        [("plain-key", "api-key: plain-key"), ("eyJh.eyJi.c2ln", "authorization: Bearer eyJh.eyJi.c2ln")]
    {
        let more = format!(
            "{VERSIONED} credentials: {{secretRef: {{name: key}}}}, models: [{{name: m, upstreamName: deployed here}}]"
        );
        let text = key(secret)
            + &pool("p", &[provider("only", "AzureOpenAI", upstream.address, &more)], "")
            + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        let callers = [("api-key", "callers-own"), ("authorization", "Bearer callers-own")];
        let got = proxy.client().post("/v1/chat/completions", &callers, chat("m", false)).await.unwrap();
        assert!(got.is_good(), "{}", got.text());
        let sent = upstream.received().pop().unwrap();
        let path = "POST /openai/deployments/deployed%20here/chat/completions?api-version=2025-01-01 ";
        assert!(sent.head.starts_with(path), "{}", sent.head);
        let head = sent.head.to_lowercase();
        assert!(head.contains(&header.to_lowercase()) && !head.contains("callers-own"), "{head}");
        let body: serde_json::Value = serde_json::from_slice(&sent.body).unwrap();
        assert_eq!(body["model"], "deployed here");
    }
}

#[tokio::test]
async fn azures_callers_reach_what_speaks_another_dialect() {
    let simulator = good();
    for kind in ["Anthropic", "Gemini", "OpenAI", "AzureOpenAI"] {
        let text = pool("p", &[provider("only", kind, simulator.address, "")], "") + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        for stream in [false, true] {
            let body = format!(r#"{{"messages":[{{"role":"user","content":"hi"}}],"stream":{stream}}}"#);
            let got = proxy.client().post(DEPLOYED, JSON, body).await.unwrap();
            assert!(got.is_good() && got.text().contains("save"), "{kind} {stream}: {}", got.text());
        }
        let got = proxy.client().post(MESSAGES, JSON, message("m", false)).await.unwrap();
        assert!(got.is_good() && got.text().contains("saved"), "{kind}: {}", got.text());
    }
}

#[tokio::test]
async fn a_filtered_prompt_is_the_callers_own_error_in_each_dialect() {
    let filtered = r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"violence":{"filtered":true,"severity":"medium"}}}}}"#;
    let upstream = Upstream::always(vec![answer(400, JSON, filtered.as_bytes())]).unwrap();
    let saving = Upstream::always(vec![openai_whole("no")]).unwrap();
    let providers =
        [provider("a", "AzureOpenAI", upstream.address, ""), provider("b", "OpenAI", saving.address, "priority: 1")];
    let proxy = Proxy::start(&[("all.yaml", &(pool("p", &providers, "") + &route("m", "p")))], &[]).unwrap();
    let got = proxy.client().post(DEPLOYED, JSON, chat("m", false)).await.unwrap();
    assert_eq!((got.status, got.text().as_str()), (400, filtered));
    let got = proxy.client().post(MESSAGES, JSON, message("m", false)).await.unwrap();
    assert_eq!((got.status, got.json()["error"]["type"].as_str()), (400, Some("invalid_request_error")));
    assert!(got.text().contains("content management policy"), "{}", got.text());
    assert!(saving.received().is_empty());
}

#[tokio::test]
async fn a_cache_tells_deployments_apart() {
    let upstream = plain_upstream();
    let cached = |model: &str| route(model, "p").replace("  rules:", "  cache: {ttl: 60s, scope: Route}\n  rules:");
    let text = pool("p", &[provider("only", "AzureOpenAI", upstream.address, VERSIONED)], "")
        + &cached("m").replace("exact: m", "prefix: m");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for (deployment, asked) in [("m", 1), ("m", 1), ("m2", 2)] {
        let path = format!("/openai/deployments/{deployment}/chat/completions?api-version=2024-10-21");
        let got = proxy.client().post(&path, JSON, chat("m", false)).await.unwrap();
        assert!(got.is_good(), "{}", got.text());
        assert_eq!(upstream.received().len(), asked, "{deployment}");
        // An answer is kept when its call is booked, which may be after the caller has it.
        proxy.metrics().unwrap();
    }
}

#[tokio::test]
async fn an_older_version_is_not_asked_what_a_stream_has_used() {
    let told = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let upstream = Upstream::always(vec![stream_head(), chunk(told.as_bytes()), last_chunk()]).unwrap();
    for (version, asked) in
        [("2023-05-15", false), ("2024-06-01", false), ("2024-09-01-preview", true), ("2024-10-21", true)]
    {
        let more = format!("apiVersion: \"{version}\"");
        let text = pool("p", &[provider("only", "AzureOpenAI", upstream.address, &more)], "") + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        let body = r#"{"model":"m","stream":true,"messages":[]}"#;
        let got = proxy.client().post("/v1/chat/completions", JSON, body).await.unwrap();
        assert_eq!(got.status, 200, "{}", got.text());
        let received = upstream.received().pop().unwrap();
        let body = String::from_utf8_lossy(&received.body).into_owned();
        assert_eq!(body.contains("stream_options"), asked, "{version}: {body}");
    }
}
