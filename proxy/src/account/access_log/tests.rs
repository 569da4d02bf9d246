//! The queue is bounded, errors are told, a line says what it should.

use std::borrow::Cow;

use http::HeaderValue;
use serde_json::Value;
use sluicegate_config::Snapshot;
use sluicegate_dialects::hub::ErrorKind;

use super::super::{ErrorSource, Metrics, Operation};
use super::*;

fn lines(queue: LogQueue, writer: LogWriter) -> Vec<Value> {
    drop(queue);
    let mut out = Vec::new();
    writer.run(&mut out, &mut io::sink());
    out.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

#[test]
fn what_does_not_fit_is_dropped_and_counted() {
    let (queue, writer) = LogQueue::bounded(3);
    for number in 0..10 {
        queue.offer(LogLine::Process(vec![b'0' + number, b'\n']));
    }
    assert_eq!(queue.dropped(), [7, 0, 0]);
    drop(queue);
    let mut process = Vec::new();
    writer.run(&mut io::sink(), &mut process);
    assert_eq!(process, b"0\n1\n2\n");
}

#[test]
fn lines_that_an_output_does_not_take_are_counted() {
    struct FullDisk;
    impl Write for FullDisk {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (queue, writer) = LogQueue::new();
    let metrics = Metrics::new(queue.clone());
    let ledger = metrics.ledger(LogSettings::default());
    let table = metrics.configure(&Snapshot::default());
    for _ in 0..3 {
        ledger.open(&table, Operation::Chat, Instant::now()).close(End::Done);
    }
    queue.offer(LogLine::Process(b"x\n".to_vec()));
    queue.offer(LogLine::Stop);
    writer.run(&mut FullDisk, &mut FullDisk);
    assert_eq!(queue.dropped(), [0, 0, 4]);
}

#[test]
fn a_page_takes_so_much_and_no_more_until_it_is_taken() {
    let (page, line) = (LogPage::default(), [b'x'; 1_024]);
    let told = || (0..4_096).filter(|_| page.append(|text| text.extend_from_slice(&line))).count();
    assert_eq!(told(), 2_048);
    let mut text = Vec::new();
    page.take(&mut text);
    assert_eq!((text.len(), told()), (2 * 1_024 * 1_024, 2_048));
}

/// The thread sleeps for want of lines again and again, and none that comes then stays lying.
#[test]
fn lines_that_come_after_silence_are_written() {
    let (queue, writer) = LogQueue::new();
    let metrics = Metrics::new(queue.clone());
    let (mut told, out) = io::pipe().unwrap();
    let thread = std::thread::spawn(move || writer.run(&mut &out, &mut io::sink()));
    let ledger = metrics.ledger(LogSettings::default());
    let table = metrics.configure(&Snapshot::default());
    for _ in 0..3 {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !queue.shared.asleep.load(SeqCst) && Instant::now() < deadline {
            std::thread::park_timeout(GATHER);
        }
        ledger.open(&table, Operation::Chat, Instant::now()).close(End::Failed);
        let mut line = [0; 4_096];
        let read = io::Read::read(&mut told, &mut line).unwrap();
        assert!(line[..read].ends_with(b"}\n"), "{}", String::from_utf8_lossy(&line[..read]));
    }
    drop((ledger, metrics, queue));
    thread.join().unwrap();
}

#[test]
fn sampling_is_even_and_exact() {
    for (sample, calls) in [(0.0, 0), (0.01, 10), (0.25, 250), (1.0, 1_000), (f64::NAN, 1_000), (7.0, 1_000)] {
        let (queue, _writer) = LogQueue::new();
        let sampler = Sampler::new(queue, LogSettings { sample });
        let now = Instant::now();
        assert_eq!((0..1_000).filter(|_| sampler.wants(End::Done, false, now)).count(), calls, "{sample}");
    }
}

#[test]
fn errors_are_always_told_up_to_a_rate() {
    let (queue, _writer) = LogQueue::new();
    let sampler = Sampler::new(queue.clone(), LogSettings { sample: 0.0 });
    let now = Instant::now();
    let told = |now| (0..1_000).filter(|_| sampler.wants(End::Failed, false, now)).count();
    assert_eq!(told(now), 200);
    assert_eq!(told(now + Duration::from_millis(999)), 0);
    assert_eq!(told(now + Duration::from_millis(1_000)), 200);
    assert_eq!(queue.dropped(), [0, 2_600, 0]);
}

#[test]
fn a_line_says_what_the_call_was() {
    let (queue, writer) = LogQueue::new();
    let metrics = Metrics::new(queue.clone());
    let table = metrics.configure(&Snapshot::default());
    let ledger = metrics.ledger(LogSettings { sample: 0.0 });
    let mut entry = ledger.open(&table, Operation::Chat, Instant::now());
    entry.request_id(HeaderValue::from_static("req_1"));
    entry.asked(&"ü\u{7}".repeat(200));
    entry.received(17, Instant::now());
    entry.answered(502, Instant::now());
    entry.error(ErrorSource::Upstream, ErrorKind::BadGateway, Some(Cow::Owned("x".repeat(1_000))));
    entry.close(End::Failed);
    drop(ledger.open(&table, Operation::Chat, Instant::now()));
    drop((entry, ledger, metrics));
    let lines = lines(queue, writer);
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    for (field, value) in [
        ("kind", "call"),
        ("operation", "chat"),
        ("request_id", "req_1"),
        ("route", "none"),
        ("outcome", "failed"),
        ("fault", "upstream"),
        ("error", "bad_gateway"),
        ("cache", "off"),
    ] {
        assert_eq!(line[field], value, "{field}");
    }
    assert_eq!((&line["status"], &line["bytes_in"], &line["attempts"]), (&502.into(), &17.into(), &0.into()));
    assert_eq!(line["detail"].as_str().map(str::len), Some(256));
    assert!(line["model"].as_str().is_some_and(|model| model.len() <= 128 && model.starts_with('ü')));
    assert!(line.get("usage").is_none() && line.get("rule").is_none());
}

#[test]
fn a_line_is_what_it_was_to_the_last_byte() {
    let (queue, _writer) = LogQueue::new();
    let metrics = Metrics::new(queue);
    let mut record = Record::new(metrics.configure(&Snapshot::default()), Operation::Chat, Instant::now());
    record.client = Some("::ffff:10.0.0.1".parse().unwrap());
    record.detail = Some(Cow::Borrowed("a \"word\" \\ and\na line"));
    record.duration = Duration::from_nanos(1_234_500);
    record.first_token = Some(Duration::from_millis(2));
    record.resends = 2;
    record.stream = true;
    record.bytes_in = 7;
    record.attempt.dialect = Some(sluicegate_dialects::Dialect::AnthropicMessages);
    record.attempt.usage = Some(sluicegate_dialects::hub::Usage { input: 1, output: 2, ..Default::default() });
    record.attempt.estimated = true;
    record.end = End::Done;
    let mut lines = line::LineWriter::default();
    let mut written = |millis| {
        let mut out = Vec::new();
        lines.write(&mut out, &record, SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
        String::from_utf8(out).unwrap()
    };
    let rest = concat!(
        r#""kind":"call","operation":"chat","client":"::ffff:10.0.0.1","route":"none","pool":"none","provider":"none","#,
        r#""provider_dialect":"anthropicMessages","stream":true,"status":499,"outcome":"done","#,
        r#""detail":"a \"word\" \\ and\na line","attempts":0,"failover":false,"resends":2,"client_retry":0,"cache":"off","#,
        r#""usage":{"input":1,"cached_input":0,"cache_write":0,"cache_write_1h":0,"output":2,"reasoning":0},"#,
        r#""usage_estimated":true,"cost_usd":null,"duration_ms":1.235,"first_token_ms":2,"bytes_in":7,"bytes_out":0}"#,
    );
    assert_eq!(written(1_795_398_245_007), format!("{{\"time\":\"2026-11-23T01:44:05.007Z\",{rest}\n"));
    assert_eq!(written(1_795_398_245_999), format!("{{\"time\":\"2026-11-23T01:44:05.999Z\",{rest}\n"));
    assert_eq!(written(1_795_398_246_000), format!("{{\"time\":\"2026-11-23T01:44:06.000Z\",{rest}\n"));
}

#[test]
fn an_output_that_fails_stops_nothing() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (queue, writer) = LogQueue::new();
    queue.offer(LogLine::Process(b"1\n".to_vec()));
    queue.offer(LogLine::Stop);
    queue.offer(LogLine::Process(b"after the end".to_vec()));
    writer.run(&mut Broken, &mut Broken);
}
