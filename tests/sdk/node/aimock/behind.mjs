// The SDKs in front of an upstream that nobody here wrote: what it makes of the forwarded calls, and what the gateway
// makes of its answers. The environment is that of the other suites; SLUICEGATE_JOURNAL is aimock's own.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { anthropic, model, openai, user } from "../setup.mjs";

const provider = process.env.SLUICEGATE_PROVIDER;
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const question = "How warm is it in Paris and Oslo?";

/** What aimock received of the one call that carries this mark. */
async function received(mark) {
  const answer = await fetch(process.env.SLUICEGATE_JOURNAL, { headers: { authorization: "Bearer providers-key" } });
  assert.equal(answer.status, 200);
  const calls = (await answer.json()).filter((call) => call.headers["x-mark"] === mark);
  assert.equal(calls.length, 1);
  return calls[0];
}

// Each SDK's way of asking, and of saying the same of an answer.
const sdks = {
  openai: {
    error: OpenAI,
    tools: [{ type: "function", function: { name: "get_weather", parameters } }],
    ask: (text, more, options) =>
      openai.chat.completions.create({ model, messages: [user(text)], ...more }, options),
    text: (reply) => reply.choices[0].message.content,
    cities: (reply) => reply.choices[0].message.tool_calls.map((call) => JSON.parse(call.function.arguments).city),
    calls: (reply) => reply.choices[0].finish_reason === "tool_calls",
    results: (reply) => [
      reply.choices[0].message,
      ...reply.choices[0].message.tool_calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: "21" })),
    ],
    stream: (text, more) =>
      openai.chat.completions.stream({ model, messages: [user(text)], ...more }).finalChatCompletion(),
  },
  anthropic: {
    error: Anthropic,
    tools: [{ name: "get_weather", input_schema: parameters }],
    ask: (text, more, options) =>
      anthropic.messages.create({ model, max_tokens: 500, messages: [user(text)], ...more }, options),
    text: (reply) => reply.content.map((block) => block.text ?? "").join(""),
    cities: (reply) => reply.content.filter((block) => block.type === "tool_use").map((call) => call.input.city),
    calls: (reply) => reply.stop_reason === "tool_use",
    results: ({ content }) => [
      { role: "assistant", content },
      user(
        content
          .filter((block) => block.type === "tool_use")
          .map(({ id }) => ({ type: "tool_result", tool_use_id: id, content: "21" })),
      ),
    ],
    stream: (text, more) =>
      anthropic.messages.stream({ model, max_tokens: 500, messages: [user(text)], ...more }).finalMessage(),
  },
};

for (const [name, sdk] of Object.entries(sdks)) {
  const says = (what) => `${name} in front of ${provider}: ${what}`;

  test(says("whole, and what was forwarded"), async () => {
    const mark = randomUUID();
    const reply = await sdk.ask("Say it plainly", {}, { headers: { "x-mark": mark } });
    assert.equal(sdk.text(reply), "Plainly: grüße, 日本 and 🦀.");
    const call = await received(mark);
    assert.equal(call.path, provider === "openai" ? "/v1/chat/completions" : "/v1/messages");
    assert.equal(call.body.model, "upstreams-own");
    // It asks for the provider's key and got it; the caller's own is nowhere.
    assert.equal(call.response.status, 200);
    assert.ok(!JSON.stringify(call.headers).includes("Bearer test"));
    const keys = Object.keys(call.headers).filter((header) => ["authorization", "x-api-key"].includes(header));
    assert.deepEqual(keys, [provider === "openai" ? "authorization" : "x-api-key"]);
    assert.equal(call.headers["x-stainless-lang"], name === provider ? "js" : undefined);
    assert.equal("anthropic-version" in call.headers, provider === "anthropic");
  });

  test(says("streamed"), async () => {
    assert.equal(sdk.text(await sdk.stream("Say it plainly")), "Plainly: grüße, 日本 and 🦀.");
  });

  for (const way of ["ask", "stream"]) {
    test(says(`tools, ${way}`), async () => {
      const { tools } = sdk;
      const first = await sdk[way](question, { tools });
      assert.ok(sdk.calls(first));
      assert.deepEqual(sdk.cities(first), ["Paris", "Oslo"]);
      const last = await sdk[way]("", { tools, messages: [user(question), ...sdk.results(first)] });
      assert.equal(sdk.text(last), "Paris and Oslo: 21 degrees both.");
    });

    test(says(`a call before the text, ${way}`), async () => {
      const reply = await sdk[way]("Call first, speak then", { tools: sdk.tools });
      assert.deepEqual(sdk.cities(reply), ["Paris"]);
      assert.equal(sdk.text(reply), "I look it up.");
    });

    test(says(`thoughts, ${way}`), async () => {
      assert.equal(sdk.text(await sdk[way]("Think first")), "42.");
    });
  }

  test(says("errors are typed"), async () => {
    const { APIError, InternalServerError, RateLimitError } = sdk.error;
    for (const more of [{}, { stream: true }]) {
      await assert.rejects(sdk.ask("Too much", more), (error) => {
        assert.ok(error instanceof RateLimitError && error.requestID, `${error}`);
        assert.match(error.message, /Rate limit exceeded/);
        return true;
      });
      await assert.rejects(sdk.ask("Too busy", more), InternalServerError);
    }
    await assert.rejects(sdk.ask("Nothing fits this"), APIError);
  });

  test(says("what is broken is an error"), async () => {
    const { InternalServerError } = sdk.error;
    for (const fault of ["malformed", "disconnect"]) {
      const headers = { [`x-aimock-chaos-${fault}`]: "1" };
      for (const more of [{}, { stream: true }]) {
        await assert.rejects(sdk.ask("Say it plainly", more, { headers }), InternalServerError, fault);
      }
    }
    await assert.rejects(sdk.stream("Break off"));
  });
}
