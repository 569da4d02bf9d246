"""boto3 and Anthropic's own client for Bedrock as the judges of InvokeModel and of Converse."""

import base64
import json

import anthropic
import pytest
from conftest import PNG, need, steer

botocore = pytest.importorskip("botocore", reason="not among the frameworks")
import boto3  # noqa: E402
from botocore.config import Config  # noqa: E402
from botocore.exceptions import ClientError, EventStreamError  # noqa: E402

WEATHER = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture(scope="module")
def bedrock():
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=need("SLUICEGATE_ANTHROPIC_BASE_URL"),
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 1}, read_timeout=20),
    )


@pytest.fixture(scope="module")
def claude():
    url = need("SLUICEGATE_ANTHROPIC_BASE_URL")
    keys = {"aws_access_key": "test", "aws_secret_key": "test", "aws_region": "us-east-1"}
    return anthropic.AnthropicBedrock(base_url=url, max_retries=0, timeout=20, **keys)


def body(text="How deep is the sea?", **more):
    messages = [{"role": "user", "content": text}]
    return json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 100, "messages": messages, **more})


def events(answer):
    return [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]


def steered(client, **told):
    """One call with a header that steers it."""
    header = steer(**told)["x-simulate"]
    client.meta.events.register_first("before-sign.*", lambda request, **_: request.headers.add_header("x-simulate", header))
    return client


def fresh():
    session = boto3.session.Session()
    return session.client(
        "bedrock-runtime", endpoint_url=need("SLUICEGATE_ANTHROPIC_BASE_URL"), region_name="us-east-1",
        aws_access_key_id="test", aws_secret_access_key="test", config=Config(retries={"max_attempts": 1}, read_timeout=20),
    )


def test_whole(bedrock, model):
    answer = json.loads(bedrock.invoke_model(modelId=model, body=body())["body"].read())
    assert answer["type"] == "message" and "How deep is the sea?" in answer["content"][0]["text"]
    assert answer["usage"]["output_tokens"] > 0


def test_stream(bedrock, model):
    seen = events(bedrock.invoke_model_with_response_stream(modelId=model, body=body()))
    assert [seen[0]["type"], seen[-1]["type"]] == ["message_start", "message_stop"]
    assert "sea?" in "".join(event["delta"].get("text", "") for event in seen if event["type"] == "content_block_delta")


def test_tools(bedrock, model):
    asked = body("Weather in Oslo?", tools=[WEATHER], tool_choice={"type": "tool", "name": "get_weather"})
    answer = json.loads(bedrock.invoke_model(modelId=model, body=asked)["body"].read())
    assert answer["stop_reason"] == "tool_use"
    assert [block["name"] for block in answer["content"] if block["type"] == "tool_use"] == ["get_weather"]


def test_errors(bedrock, model):
    with pytest.raises(ClientError) as raised:
        bedrock.invoke_model(modelId="no-such-model-1", body=body())
    assert raised.value.response["Error"]["Code"] == "ResourceNotFoundException"
    with pytest.raises(ClientError) as raised:
        bedrock.invoke_model(modelId=model, body=json.dumps({"anthropic_version": "bedrock-2023-05-31", "messages": 1}))
    assert raised.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError) as raised:
        steered(fresh(), status="429", retry_after="7").invoke_model(modelId=model, body=body())
    assert raised.value.response["Error"]["Code"] == "ThrottlingException"


def test_an_error_in_mid_stream_is_an_exception(model):
    client = steered(fresh(), fail="stream-error", after="3", text="one two three four five six seven")
    answer = client.invoke_model_with_response_stream(modelId=model, body=body())
    with pytest.raises(EventStreamError):
        events(answer)


def test_anthropics_own_client(claude, model):
    asked = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "How deep is the sea?"}]}
    assert "sea?" in claude.messages.create(**asked).content[0].text
    with claude.messages.stream(**asked) as stream:
        assert "sea?" in "".join(stream.text_stream)
        assert stream.get_final_message().stop_reason == "end_turn"
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.create(**{**asked, "model": "no-such-model-1"})


def asked(text="How deep is the sea?", **more):
    return {"messages": [{"role": "user", "content": [{"text": text}]}], "inferenceConfig": {"maxTokens": 100}, **more}


TOOL = {"toolSpec": {"name": "get_weather", "inputSchema": {"json": WEATHER["input_schema"]}}}


def test_converse(bedrock, model):
    answer = bedrock.converse(modelId=model, system=[{"text": "Be brief."}], **asked())
    message = answer["output"]["message"]
    assert message["role"] == "assistant" and "How deep is the sea?" in message["content"][0]["text"]
    assert answer["stopReason"] == "end_turn" and answer["usage"]["outputTokens"] > 0


def test_converse_stream(bedrock, model):
    seen = list(bedrock.converse_stream(modelId=model, **asked())["stream"])
    assert "messageStart" in seen[0] and "metadata" in seen[-1] and "messageStop" in seen[-2]
    text = "".join(event["contentBlockDelta"]["delta"].get("text", "") for event in seen if "contentBlockDelta" in event)
    assert "sea?" in text and seen[-1]["metadata"]["usage"]["outputTokens"] > 0


def test_converse_with_tools_over_two_turns(bedrock, model):
    config = {"tools": [TOOL], "toolChoice": {"tool": {"name": "get_weather"}}}
    first = asked("Weather in Oslo?", toolConfig=config)
    answer = bedrock.converse(modelId=model, **first)
    assert answer["stopReason"] == "tool_use"
    calls = [block["toolUse"] for block in answer["output"]["message"]["content"] if "toolUse" in block]
    assert [call["name"] for call in calls] == ["get_weather"]
    seen = list(bedrock.converse_stream(modelId=model, **first)["stream"])
    starts = [event["contentBlockStart"]["start"]["toolUse"] for event in seen if "contentBlockStart" in event]
    deltas = [event["contentBlockDelta"]["delta"] for event in seen if "contentBlockDelta" in event]
    assert [start["name"] for start in starts] == ["get_weather"]
    assert "city" in json.loads("".join(delta["toolUse"]["input"] for delta in deltas if "toolUse" in delta))
    results = [{"toolResult": {"toolUseId": call["toolUseId"], "content": [{"json": {"degrees": 3}}]}} for call in calls]
    messages = [*first["messages"], answer["output"]["message"], {"role": "user", "content": results}]
    done = bedrock.converse(modelId=model, messages=messages, toolConfig={"tools": [TOOL]})
    assert done["stopReason"] == "end_turn"


def test_converse_with_a_picture_and_a_document(bedrock, model):
    content = [
        {"text": "What is this?"},
        {"image": {"format": "png", "source": {"bytes": base64.b64decode(PNG)}}},
        {"document": {"format": "txt", "name": "notes", "source": {"bytes": b"The sea is deep."}}},
    ]
    answer = bedrock.converse(modelId=model, messages=[{"role": "user", "content": content}])
    assert answer["stopReason"] == "end_turn"


def test_errors_of_converse(bedrock, model):
    with pytest.raises(ClientError) as raised:
        bedrock.converse(modelId="no-such-model-1", **asked())
    assert raised.value.response["Error"]["Code"] == "ResourceNotFoundException"
    with pytest.raises(ClientError) as raised:
        steered(fresh(), status="429", retry_after="7").converse(modelId=model, **asked())
    assert raised.value.response["Error"]["Code"] == "ThrottlingException"
    client = steered(fresh(), fail="stream-error", after="3", text="one two three four five six seven")
    with pytest.raises(EventStreamError):
        list(client.converse_stream(modelId=model, **asked())["stream"])


def test_models(model):
    control = boto3.client(
        "bedrock",
        endpoint_url=need("SLUICEGATE_ANTHROPIC_BASE_URL"),
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 1}, read_timeout=20),
    )
    try:
        listed = {one["modelId"]: one for one in control.list_foundation_models()["modelSummaries"]}
    except ClientError:
        pytest.skip("there is no list of models here")
    assert model in listed and "TEXT" in listed[model]["outputModalities"]
    assert control.get_foundation_model(modelIdentifier=model)["modelDetails"]["modelId"] == model
