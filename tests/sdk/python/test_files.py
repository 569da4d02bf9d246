"""Files and batches by OpenAI's SDK and by Anthropic's, unmodified: kept, listed, worked off, forgotten."""

import json
import os
import time

import anthropic
import openai
import pytest
from conftest import steer

provider = os.environ.get("SLUICEGATE_PROVIDER")
openais = pytest.mark.skipif(provider not in (None, "openai"), reason="OpenAI's own")
anthropics = pytest.mark.skipif(provider not in (None, "anthropic"), reason="Anthropic's own")


@pytest.fixture
def home(model):
    """Says whose files these are to be, where there are several that keep some."""
    return {"x-sluicegate-model": model}


def until(look, done):
    for _ in range(50):
        found = look()
        if done(found):
            return found
        time.sleep(0.02)
    raise AssertionError(found)


def lines(model, count):
    body = {"model": model, "messages": [{"role": "user", "content": "Say something."}]}
    requests = [{"custom_id": f"n{at}", "method": "POST", "url": "/v1/chat/completions", "body": body} for at in range(count)]
    return ("requests.jsonl", "\n".join(json.dumps(request) for request in requests).encode())


@openais
def test_a_file_is_kept_listed_and_forgotten(openai_client, home):
    made = openai_client.files.create(file=("a.txt", b"abc"), purpose="user_data", extra_headers=home)
    assert made.id.startswith("file-") and made.bytes == 3 and made.filename == "a.txt"
    assert openai_client.files.retrieve(made.id) == made
    assert openai_client.files.content(made.id).read() == b"abc"
    assert made.id in [file.id for file in openai_client.files.list(limit=5)]
    assert openai_client.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        openai_client.files.retrieve(made.id)


@openais
def test_an_empty_file(openai_client, home):
    made = openai_client.files.create(file=("a.txt", b""), purpose="user_data", extra_headers=home)
    assert openai_client.files.content(made.id).read() == b""


@openais
def test_a_batch_is_worked_off(openai_client, model):
    requests = openai_client.files.create(file=lines(model, 3), purpose="batch")
    batch = openai_client.batches.create(
        input_file_id=requests.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"a": "b"}
    )
    assert batch.status == "validating" and batch.input_file_id == requests.id and batch.metadata == {"a": "b"}
    done = until(lambda: openai_client.batches.retrieve(batch.id), lambda batch: batch.status == "completed")
    assert done.request_counts.completed == 3
    answers = [json.loads(line) for line in openai_client.files.content(done.output_file_id).text.splitlines()]
    assert [answer["custom_id"] for answer in answers] == ["n0", "n1", "n2"]
    assert all(answer["response"]["body"]["choices"][0]["message"]["content"] for answer in answers)
    assert batch.id in [batch.id for batch in openai_client.batches.list(limit=5)]


@openais
def test_a_batch_is_ended(openai_client, model, home):
    requests = openai_client.files.create(file=lines(model, 1), purpose="batch")
    batch = openai_client.batches.create(
        input_file_id=requests.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    assert openai_client.batches.cancel(batch.id).status == "cancelling"
    until(lambda: openai_client.batches.retrieve(batch.id), lambda batch: batch.status == "cancelled")
    with pytest.raises(openai.NotFoundError):
        openai_client.batches.retrieve("batch_nobody")
    with pytest.raises(openai.BadRequestError):
        openai_client.batches.create(
            input_file_id="file-nobody", endpoint="/v1/chat/completions", completion_window="24h"
        )
    with pytest.raises(openai.RateLimitError):
        openai_client.files.create(file=("a", b"a"), purpose="user_data", extra_headers=home | steer(status="429"))


@openais
@pytest.mark.gateway
def test_a_batch_asks_for_nothing_that_its_caller_may_not_have(openai_client):
    with pytest.raises(openai.NotFoundError):
        openai_client.files.create(file=lines("nobody", 2), purpose="batch")


def asked(model, count):
    params = {"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": "Say something."}]}
    return [{"custom_id": f"n{at}", "params": params} for at in range(count)]


@anthropics
def test_a_batch_of_messages_is_worked_off(anthropic_client, model):
    batch = anthropic_client.messages.batches.create(requests=asked(model, 2))
    assert batch.id.startswith("msgbatch_") and batch.processing_status == "in_progress"
    look = lambda: anthropic_client.messages.batches.retrieve(batch.id)
    done = until(look, lambda batch: batch.processing_status == "ended")
    assert done.request_counts.succeeded == 2
    answers = list(anthropic_client.messages.batches.results(batch.id))
    assert [(answer.custom_id, answer.result.type) for answer in answers] == [("n0", "succeeded"), ("n1", "succeeded")]
    assert answers[0].result.message.content[0].text and answers[0].result.message.usage.service_tier == "batch"
    assert batch.id in [batch.id for batch in anthropic_client.messages.batches.list(limit=5)]
    assert anthropic_client.messages.batches.delete(batch.id).type == "message_batch_deleted"
    with pytest.raises(anthropic.NotFoundError):
        anthropic_client.messages.batches.retrieve(batch.id)


@anthropics
def test_a_batch_of_messages_is_ended(anthropic_client, model):
    batch = anthropic_client.messages.batches.create(requests=asked(model, 1))
    assert anthropic_client.messages.batches.cancel(batch.id).processing_status == "canceling"
    look = lambda: anthropic_client.messages.batches.retrieve(batch.id)
    assert until(look, lambda batch: batch.processing_status == "ended").request_counts.canceled == 1


@anthropics
def test_anthropics_files(anthropic_client, home):
    made = anthropic_client.beta.files.upload(file=("a.txt", b"abc", "text/plain"), extra_headers=home)
    assert made.id.startswith("file_") and made.size_bytes == 3
    assert anthropic_client.beta.files.retrieve_metadata(made.id).filename == "a.txt"
    assert made.id in [file.id for file in anthropic_client.beta.files.list(limit=5)]
    # What was sent is not given back, as the vendor says.
    with pytest.raises(anthropic.BadRequestError):
        anthropic_client.beta.files.download(made.id)
    assert anthropic_client.beta.files.delete(made.id).type == "file_deleted"
    with pytest.raises(anthropic.NotFoundError):
        anthropic_client.beta.files.retrieve_metadata(made.id)


@openais
def test_files_stand_in_calls(openai_client, model, home):
    made = openai_client.files.create(file=("a.pdf", b"%PDF-1.4"), purpose="user_data", extra_headers=home)
    parts = [{"type": "input_file", "file_id": made.id}, {"type": "input_text", "text": "Say something."}]
    answer = openai_client.responses.create(model=model, input=[{"role": "user", "content": parts}])
    assert answer.output_text


@anthropics
def test_files_stand_in_messages(anthropic_client, model, home):
    made = anthropic_client.beta.files.upload(file=("a.txt", b"abc", "text/plain"), extra_headers=home)
    parts = [{"type": "document", "source": {"type": "file", "file_id": made.id}}, {"type": "text", "text": "Say something."}]
    answer = anthropic_client.beta.messages.create(
        model=model, max_tokens=99, messages=[{"role": "user", "content": parts}], betas=["files-api-2025-04-14"]
    )
    assert answer.content[0].text
