"""OpenAI's SDK and Cohere's for what is no conversation: images, speech, its text, moderation, ranking."""

import base64
import io
import os

import cohere
import httpx
import openai
import pytest
from conftest import PNG, need, steer

PICTURE = ("point.png", base64.b64decode(PNG), "image/png")
SOUND = ("said.mp3", bytes(range(256)) * 64, "audio/mpeg")

provider = os.environ.get("SLUICEGATE_PROVIDER")
pytestmark = pytest.mark.skipif(provider not in (None, "openai"), reason="OpenAI's own operations")


def test_images_of_a_text(openai_client, model):
    answer = openai_client.images.generate(model=model, prompt="A point.", n=2)
    assert [base64.b64decode(image.b64_json)[:4] for image in answer.data] == [b"\x89PNG"] * 2
    assert answer.usage.output_tokens > 0 and answer.usage.input_tokens_details.text_tokens > 0


def test_images_of_a_text_streamed(openai_client, model):
    events = list(openai_client.images.generate(model=model, prompt="A point.", stream=True, partial_images=2))
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert events[-1].usage.total_tokens > 0


def test_images_of_images(openai_client, model):
    answer = openai_client.images.edit(model=model, image=[PICTURE, PICTURE], prompt="Another point.")
    assert answer.data[0].b64_json and answer.usage.input_tokens_details.image_tokens > 0
    assert openai_client.images.create_variation(model=model, image=PICTURE).data[0].b64_json


def test_speech_is_given_as_it_comes(openai_client, model):
    with openai_client.audio.speech.with_streaming_response.create(
        model=model, voice="alloy", input="Hello.", response_format="wav"
    ) as answer:
        assert answer.headers["content-type"] == "audio/wav"
        sound = b"".join(answer.iter_bytes())
    assert sound == b"".join(bytes([ord(letter) | 0x80]) * 256 for letter in "Hello.")


def test_the_text_of_speech(openai_client, model):
    answer = openai_client.audio.transcriptions.create(model=model, file=SOUND)
    assert answer.text == "Nobody said a word." and answer.usage.type == "tokens"
    verbose = openai_client.audio.transcriptions.create(model=model, file=SOUND, response_format="verbose_json")
    assert verbose.segments[0].text == "Nobody said a word."
    text = openai_client.audio.transcriptions.create(model=model, file=SOUND, response_format="text")
    assert text.strip() == "Nobody said a word."
    assert openai_client.audio.translations.create(model=model, file=SOUND).text == "Nobody said a word."


def test_the_text_of_speech_streamed(openai_client, model):
    events = list(openai_client.audio.transcriptions.create(model=model, file=io.BytesIO(b"a" * 4000), stream=True))
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert "".join(deltas) == "Nobody said a word." and events[-1].type == "transcript.text.done"


def test_moderation(openai_client, model):
    answer = openai_client.moderations.create(model=model, input=["be kind", "kill them"])
    assert [result.flagged for result in answer.results] == [False, True]
    assert answer.results[1].categories.violence


@pytest.mark.skipif(provider is not None, reason="OpenAI ranks nothing")
def test_ranking(model):
    client = cohere.ClientV2(
        api_key="test", base_url=need("SLUICEGATE_ANTHROPIC_BASE_URL"), httpx_client=httpx.Client(timeout=20)
    )
    answer = client.rerank(model=model, query="red wine", documents=["white bread", "red wine", "red hat"], top_n=2)
    assert [result.index for result in answer.results] == [1, 2]
    assert answer.meta.billed_units.search_units == 1


def test_errors_are_the_vendors(openai_client, model):
    with pytest.raises(openai.NotFoundError) as refused:
        openai_client.images.generate(model="nobody", prompt="A point.")
    assert refused.value.code == "model_not_found"
    with pytest.raises(openai.RateLimitError):
        openai_client.audio.transcriptions.create(model=model, file=SOUND, extra_headers=steer(status="429"))
    with pytest.raises(openai.BadRequestError):
        openai_client.images.generate(model=model, prompt="A point.", n=99)
