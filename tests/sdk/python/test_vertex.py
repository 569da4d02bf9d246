"""Google's SDK in its Vertex mode and Anthropic's client for Vertex as the judges of Vertex AI's paths."""

import anthropic
import pytest
from conftest import need, steer

auth = pytest.importorskip("google.oauth2.credentials", reason="not among the frameworks")
from google import genai  # noqa: E402

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.fixture(scope="module")
def claude():
    place = {"region": "us-east5", "project_id": "theirs", "access_token": "test"}
    url = need("SLUICEGATE_ANTHROPIC_BASE_URL") + "/v1"
    return anthropic.AnthropicVertex(base_url=url, max_retries=0, timeout=20, **place)


@pytest.fixture(scope="module")
def gemini():
    options = genai.types.HttpOptions(base_url=need("SLUICEGATE_GEMINI_BASE_URL"), timeout=20_000)
    place = {"project": "theirs", "location": "us-central1"}
    return genai.Client(vertexai=True, credentials=auth.Credentials("test"), http_options=options, **place)


def asked(text="How deep is the sea?", **more):
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 100, **more}


def test_anthropics_client_has_whole_answers(claude, model):
    answer = claude.messages.create(model=model, **asked(), extra_headers=steer(text="Very deep."))
    assert answer.content[0].text == "Very deep."
    assert answer.stop_reason == "end_turn" and answer.usage.output_tokens > 0


def test_anthropics_client_has_streams(claude, model):
    with claude.messages.stream(model=model, **asked(), extra_headers=steer(text="one two three")) as stream:
        assert "".join(stream.text_stream).strip() == "one two three"
        assert stream.get_final_message().usage.output_tokens > 0


def test_anthropics_client_has_tools(claude, model):
    tools = [{"name": "get_weather", "input_schema": CITY}]
    answer = claude.messages.create(model=model, tools=tools, tool_choice={"type": "any"}, **asked())
    call = next(block for block in answer.content if block.type == "tool_use")
    assert call.name == "get_weather" and "city" in call.input


def test_anthropics_client_counts(claude, model):
    counted = claude.messages.count_tokens(model=model, messages=asked()["messages"])
    assert counted.input_tokens > 0


def test_anthropics_client_knows_the_errors(claude, model):
    with pytest.raises(anthropic.RateLimitError):
        claude.messages.create(model=model, **asked(), extra_headers=steer(status=429, retry_after=2))
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.create(model="nobody-knows-it", **asked())


def test_googles_sdk_has_whole_answers(gemini, model):
    options = genai.types.HttpOptions(headers=steer(text="Very deep."))
    config = genai.types.GenerateContentConfig(http_options=options, system_instruction="Be brief.")
    answer = gemini.models.generate_content(model=model, contents="How deep is the sea?", config=config)
    assert answer.text == "Very deep." and answer.usage_metadata.candidates_token_count > 0


def test_googles_sdk_has_streams(gemini, model):
    options = genai.types.HttpOptions(headers=steer(text="one two three"))
    config = genai.types.GenerateContentConfig(http_options=options)
    pieces = list(gemini.models.generate_content_stream(model=model, contents="How deep is the sea?", config=config))
    assert "".join(piece.text or "" for piece in pieces).strip() == "one two three"


def test_googles_sdk_has_tools(gemini, model):
    weather = genai.types.FunctionDeclaration(name="get_weather", description="d", parameters_json_schema=CITY)
    calling = genai.types.FunctionCallingConfig(mode="ANY")
    config = genai.types.GenerateContentConfig(
        tools=[genai.types.Tool(function_declarations=[weather])],
        tool_config=genai.types.ToolConfig(function_calling_config=calling),
        automatic_function_calling=genai.types.AutomaticFunctionCallingConfig(disable=True),
    )
    answer = gemini.models.generate_content(model=model, contents="How is the weather?", config=config)
    assert answer.function_calls[0].name == "get_weather"


def test_googles_sdk_counts(gemini, model):
    assert gemini.models.count_tokens(model=model, contents="How deep is the sea?").total_tokens > 0


def test_googles_sdk_lists_models(gemini, model):
    names = [one.name for one in gemini.models.list()]
    assert f"publishers/google/models/{model}" in names
    assert gemini.models.get(model=model).name == f"publishers/google/models/{model}"


def test_googles_sdk_knows_the_errors(gemini):
    with pytest.raises(genai.errors.ClientError) as told:
        gemini.models.generate_content(model="nobody-knows-it", contents="x")
    assert told.value.code == 404
