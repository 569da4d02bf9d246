"""Where the suites are pointed, and how they steer the simulated provider behind whatever answers them.

The same suites judge the simulator itself and the gateway in front of it:

SLUICEGATE_OPENAI_BASE_URL     base URL for the OpenAI SDK, `/v1` included
SLUICEGATE_ANTHROPIC_BASE_URL  base URL for the Anthropic SDK, without `/v1`
SLUICEGATE_GEMINI_BASE_URL     base URL for Google's SDK, without `/v1beta`
SLUICEGATE_MODEL               a model that is known there; any other name must not be
SLUICEGATE_PROVIDER            the dialect of the provider behind a gateway (`openai`, `anthropic`, `gemini`); absent: no gateway.
                               Tests marked `native` then run only where it is the SDK's own; those marked `direct`
                               only without a gateway, `embeds` only where the provider has embeddings, those marked `gateway` only with one, those marked
                               `beyond_gemini` not in front of Gemini, for the reason they name.
SLUICEGATE_JOURNAL             where the simulated provider says what it received
"""

import json
import os
import time
import urllib.request
import uuid

import anthropic
import openai
import pytest

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


def need(name):
    value = os.environ.get(name)
    if not value:
        pytest.exit(f"set {name}: see conftest.py", returncode=2)
    return value


def steer(**told):
    """The header that steers one call; unique, so that `times` counts this call's tries only."""
    pairs = {key.rstrip("_").replace("_", "-"): value for key, value in told.items()}
    pairs["id"] = uuid.uuid4().hex
    return {"x-simulate": "; ".join(f"{key}={value}" for key, value in pairs.items())}


def pytest_collection_modifyitems(items):
    provider = os.environ.get("SLUICEGATE_PROVIDER")
    for item in items:
        owners = {"test_openai.py": "openai", "test_azure.py": "openai", "test_openai_responses.py": "openai", "test_google.py": "gemini"}
        own = owners.get(item.path.name, "anthropic")
        if item.get_closest_marker("native") and provider and provider != own:
            item.add_marker(pytest.mark.skip(reason=f"means something to {own} only"))
        beyond = item.get_closest_marker("beyond_gemini")
        if beyond and provider == "gemini":
            item.add_marker(pytest.mark.skip(reason=f"beyond Gemini: {beyond.args[0]}"))
        if item.get_closest_marker("embeds") and provider == "anthropic":
            item.add_marker(pytest.mark.skip(reason="Anthropic has no embeddings"))
        if item.get_closest_marker("direct") and provider:
            item.add_marker(pytest.mark.skip(reason="a gateway has words of its own for it"))
        if item.get_closest_marker("gateway") and not provider:
            item.add_marker(pytest.mark.skip(reason="a gateway's matter"))


def received(steered):
    """What the simulated provider received of the calls that this header steers, oldest first."""
    with urllib.request.urlopen(need("SLUICEGATE_JOURNAL"), timeout=20) as answer:
        calls = json.load(answer)
    return [call for call in calls if call["headers"].get("x-simulate") == steered["x-simulate"]]


def leaves(steered):
    """Whether the simulated provider sees the caller of the one call that this header steers go."""
    for _ in range(400):
        (call,) = received(steered)
        if call["outcome"] != "under way":
            return call["outcome"] == "gone"
        time.sleep(0.01)
    return False


@pytest.fixture(scope="session")
def model():
    return need("SLUICEGATE_MODEL")


# Making a client reads the system's certificates: once is enough. Async ones belong to a test's own event loop.
@pytest.fixture(scope="session")
def openai_client():
    return openai.OpenAI(base_url=need("SLUICEGATE_OPENAI_BASE_URL"), api_key="test", max_retries=0, timeout=20)


@pytest.fixture
def async_openai_client():
    return openai.AsyncOpenAI(base_url=need("SLUICEGATE_OPENAI_BASE_URL"), api_key="test", max_retries=0, timeout=20)


@pytest.fixture(scope="session")
def anthropic_client():
    url = need("SLUICEGATE_ANTHROPIC_BASE_URL")
    return anthropic.Anthropic(base_url=url, api_key="test", max_retries=0, timeout=20)


@pytest.fixture
def async_anthropic_client():
    url = need("SLUICEGATE_ANTHROPIC_BASE_URL")
    return anthropic.AsyncAnthropic(base_url=url, api_key="test", max_retries=0, timeout=20)


def google():
    # Not among the frameworks, whose suite shares this file.
    from google import genai

    options = genai.types.HttpOptions(base_url=need("SLUICEGATE_GEMINI_BASE_URL"), timeout=20_000)
    return genai.Client(api_key="test", http_options=options)


@pytest.fixture(scope="session")
def google_client():
    return google()


@pytest.fixture
def async_google_client():
    return google().aio
