// The Vercel AI SDK as the judge of both dialects, through each of its three clients for them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, Output, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { leaves, model, steer } from "./setup.mjs";

const openaiURL = process.env.SLUICEGATE_OPENAI_BASE_URL;
const key = { apiKey: "test" };
const clients = {
  // Without a word more it speaks the Responses API.
  responses: createOpenAI({ baseURL: openaiURL, ...key })(model),
  openai: createOpenAI({ baseURL: openaiURL, ...key }).chat(model),
  compatible: createOpenAICompatible({ name: "gateway", baseURL: openaiURL, supportsStructuredOutputs: true, ...key })(model),
  anthropic: createAnthropic({ baseURL: `${process.env.SLUICEGATE_ANTHROPIC_BASE_URL}/v1`, ...key })(model),
};

const get_weather = tool({
  description: "The weather of a city",
  inputSchema: z.object({ city: z.string() }),
  execute: ({ city }) => `21 degrees in ${city}`,
});
const asked = "Call get_weather for both Paris and Oslo";

for (const [name, client] of Object.entries(clients)) {
  // Else it names its own earlier turns by the ids under which OpenAI alone keeps them.
  const providerOptions = { openai: { store: false } };
  const ask = (more) => ({
    model: client,
    maxRetries: 0,
    maxOutputTokens: 2000,
    prompt: "How deep is the sea?",
    ...(name === "responses" ? { providerOptions } : {}),
    ...more,
  });

  test(`${name}: whole`, async () => {
    const { text, finishReason, usage } = await generateText(ask());
    assert.match(text, /How deep is the sea\?/);
    assert.equal(finishReason, "stop");
    assert.ok(usage.inputTokens > 0 && usage.outputTokens > 0);
  });

  test(`${name}: streamed`, async () => {
    const answer = streamText(ask({ prompt: "Grüße 🦀", ...steer({ chunk: 5 }) }));
    let text = "";
    for await (const piece of answer.textStream) text += piece;
    assert.match(text, /Grüße 🦀/);
    assert.equal(await answer.finishReason, "stop");
  });

  test(`${name}: tools, run by the SDK`, async () => {
    const { text, steps } = await generateText(
      ask({ prompt: asked, tools: { get_weather }, stopWhen: stepCountIs(4) }),
    );
    const calls = steps.flatMap((step) => step.toolCalls).map((call) => call.input.city);
    assert.deepEqual(calls.sort(), ["Oslo", "Paris"]);
    assert.match(text, /21 degrees/);
  });

  test(`${name}: tools, run by the SDK, streamed`, async () => {
    const answer = streamText(ask({ prompt: asked, tools: { get_weather }, stopWhen: stepCountIs(4) }));
    assert.match(await answer.text, /21 degrees/);
    assert.deepEqual((await answer.steps).map((step) => step.finishReason).slice(-2), ["tool-calls", "stop"]);
  });

  test(`${name}: structured`, async () => {
    const schema = z.object({ name: z.string().min(1), age: z.number().int() });
    const { output } = await generateText(ask({ prompt: "Someone named John Smith", output: Output.object({ schema }) }));
    assert.equal(typeof output.name, "string");
    assert.ok(Number.isInteger(output.age));
  });

  for (const [status, again] of [[400, false], [429, true], [500, true]]) {
    test(`${name}: error ${status}`, async () => {
      await assert.rejects(generateText(ask(steer({ status }))), (error) => {
        assert.ok(APICallError.isInstance(error), error);
        assert.equal(error.isRetryable, again);
        return true;
      });
    });
  }

  test(`${name}: an error in mid-stream is told once`, async () => {
    const told = [];
    const answer = streamText(ask({ onError: ({ error }) => told.push(error), ...steer({ fail: "stream-error", after: 3 }) }));
    const errors = [];
    for await (const part of answer.fullStream) if (part.type === "error") errors.push(part.error);
    assert.equal(errors.length, 1, String(errors));
    assert.equal(told.length, 1);
  });

  test(`${name}: cancelled in mid-stream`, async () => {
    const steered = steer({ tokens: 1000, interval: "20ms" });
    const abort = new AbortController();
    const answer = streamText(ask({ abortSignal: abort.signal, ...steered }));
    for await (const piece of answer.textStream) {
      assert.ok(piece.length);
      abort.abort();
      break;
    }
    assert.ok(await leaves(steered));
  });
}
