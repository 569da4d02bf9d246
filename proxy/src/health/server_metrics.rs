//! The load of a model server, as it stands in its metrics: Prometheus' text format, of which a few families are read.

use crate::endpoint::ServerLoad;

/// The names that model servers have for what is read, as their own documents and sources give them: vLLM (`/metrics`, V0 and V1
/// engines), SGLang (`--enable-metrics`), Text Generation Inference, llama.cpp's server (`--metrics`).
const RUNNING: [&str; 4] =
    ["vllm:num_requests_running", "sglang:num_running_reqs", "tgi_batch_current_size", "llamacpp:requests_processing"];
const WAITING: [&str; 4] =
    ["vllm:num_requests_waiting", "sglang:num_queue_reqs", "tgi_queue_size", "llamacpp:requests_deferred"];
const CACHE: [&str; 4] =
    ["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "sglang:token_usage", "llamacpp:kv_cache_usage_ratio"];

/// The load that the text tells of; `None`: it tells of none. What several engines of one server say is summed; of their caches
/// the fullest counts.
pub(super) fn load(text: &str) -> Option<ServerLoad> {
    let (mut found, mut running, mut waiting, mut cache) = (false, 0.0_f64, 0.0_f64, None::<f64>);
    for line in text.lines() {
        let Some((name, value)) = sample(line) else { continue };
        if RUNNING.contains(&name) {
            running += value;
        } else if WAITING.contains(&name) {
            waiting += value;
        } else if CACHE.contains(&name) {
            cache = Some(cache.map_or(value, |other| other.max(value)));
        } else {
            continue;
        }
        found = true;
    }
    found.then(|| ServerLoad {
        running: count(running),
        waiting: count(waiting),
        cache_milli: cache.map(|part| u16::try_from(count((part * 1_000.0).clamp(0.0, 1_000.0))).unwrap_or(1_000)),
    })
}

/// The name and the value of a line. A negative, endless or unreadable value says nothing.
fn sample(line: &str) -> Option<(&str, f64)> {
    let end = line.find(['{', ' ', '\t'])?;
    let (name, rest) = line.split_at_checked(end)?;
    // A label's value may hold anything but an unescaped quote; the last brace ends the labels.
    let values = if rest.starts_with('{') { rest.rsplit_once('}')?.1 } else { rest };
    let value: f64 = values.split_ascii_whitespace().next()?.parse().ok()?;
    (value.is_finite() && value >= 0.0).then_some((name, value))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is as good a count")]
fn count(value: f64) -> u32 {
    value.round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_has_its_own_names() {
        let of = |running, waiting, cache_milli| Some(ServerLoad { running, waiting, cache_milli });
        let vllm = "# HELP vllm:num_requests_running Number of requests in model execution batches.\n\
            # TYPE vllm:num_requests_running gauge\n\
            vllm:num_requests_running{engine=\"0\",model_name=\"a b} 7\"} 8.0\n\
            vllm:num_requests_running{engine=\"1\",model_name=\"m\"} 2.0\n\
            vllm:num_requests_waiting{engine=\"0\",model_name=\"m\"} 3.0\n\
            vllm:kv_cache_usage_perc{engine=\"0\",model_name=\"m\"} 0.25\n\
            vllm:kv_cache_usage_perc{engine=\"1\",model_name=\"m\"} 0.9714\n\
            vllm:request_success_total{finished_reason=\"stop\"} 100.0\n";
        let sglang = "sglang:num_running_reqs{model_name=\"m\"} 4.0\nsglang:num_queue_reqs{model_name=\"m\"} 0.0\n\
            sglang:token_usage{model_name=\"m\"} 0.5\n";
        let llama = "llamacpp:requests_processing 1\nllamacpp:requests_deferred 2 1700000000000\n";
        for (text, expected) in [
            (vllm, of(10, 3, Some(971))),
            (sglang, of(4, 0, Some(500))),
            ("tgi_queue_size 6\ntgi_batch_current_size 5\n", of(5, 6, None)),
            (llama, of(1, 2, None)),
            ("process_cpu_seconds_total 4\n", None),
            ("", None),
        ] {
            assert_eq!(load(text), expected, "{text}");
        }
    }

    #[test]
    fn nonsense_says_nothing() {
        for text in [
            "vllm:num_requests_waiting NaN",
            "vllm:num_requests_waiting{a=\"b\" 5",
            "vllm:num_requests_waiting -3",
            "vllm:num_requests_waiting +Inf",
            "vllm:num_requests_waiting five",
            "vllm:num_requests_waiting",
            "vllm:num_requests_waiting ",
            "{} 3",
            "<html>vllm:num_requests_waiting 3</html>",
        ] {
            assert_eq!(load(text), None, "{text}");
        }
        let much = load("vllm:num_requests_waiting 1e300\nvllm:kv_cache_usage_perc 17").unwrap();
        assert_eq!((much.waiting, much.cache_milli), (u32::MAX, Some(1_000)));
    }
}
