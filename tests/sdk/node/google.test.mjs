// Google's SDK for Node as the judge of the Gemini API.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ApiError, FunctionCallingConfigMode } from "@google/genai";
import { PNG, arrived, embeds, google as client, leaves, model, steer } from "./setup.mjs";

const weather = {
  name: "get_weather",
  description: "The weather in a city.",
  parametersJsonSchema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
const tools = [{ functionDeclarations: [weather] }];

const ask = (contents = "How deep is the sea?", config = {}) => client.models.generateContent({ model, contents, config });
const stream = (contents, config = {}) => client.models.generateContentStream({ model, contents, config });
const steered = (told) => ({ httpOptions: steer(told) });

async function textOf(chunks) {
  let text = "";
  for await (const chunk of await chunks) text += chunk.text ?? "";
  return text;
}

test("whole", async () => {
  const reply = await ask();
  assert.match(reply.text, /How deep is the sea\?/);
  assert.equal(reply.candidates[0].finishReason, "STOP");
  assert.ok(reply.usageMetadata.totalTokenCount > 0);
});

test("token limit", async () => {
  assert.equal((await ask("Hello", { maxOutputTokens: 3 })).candidates[0].finishReason, "MAX_TOKENS");
});

test("image", async () => {
  const reply = await ask([{ role: "user", parts: [{ text: "?" }, { inlineData: { mimeType: "image/png", data: PNG } }] }]);
  assert.match(reply.text, /image\/png image of 70 bytes/);
});

test("stream", async () => {
  assert.match(await textOf(stream("Hello")), /Hello/);
});

test("stream in small pieces", async () => {
  assert.match(await textOf(stream("Grüße 🦀", steered({ chunk: 5 }))), /Grüße 🦀/);
});

test("silence before the first token is no error", async () => {
  assert.match(await textOf(stream("Hello", steered({ "first-token": "1500ms" }))), /Hello/);
});

test("a chat remembers", async () => {
  const chat = client.chats.create({ model });
  await textOf(chat.sendMessageStream({ message: "First" }));
  assert.match(await textOf(chat.sendMessageStream({ message: "Second" })), /Second.*turn 2|turn 2.*Second/s);
});

test("tool loop", async () => {
  const contents = [{ role: "user", parts: [{ text: "Call get_weather for both Paris and Oslo" }] }];
  const reply = await ask(contents, { tools });
  assert.deepEqual(reply.functionCalls.map(({ args }) => args.city).sort(), ["Oslo", "Paris"]);
  const parts = reply.functionCalls.map(({ id, name }) => ({
    functionResponse: { id, name, response: { output: "21 degrees" } },
  }));
  const again = await ask([...contents, reply.candidates[0].content, { role: "user", parts }], { tools });
  assert.equal(again.text.match(/21 degrees/g).length, 2);
});

test("streamed tools, which must be called", async () => {
  const calls = [];
  const toolConfig = { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY } };
  for await (const chunk of await stream("Call get_weather for Paris", { tools, toolConfig })) {
    calls.push(...(chunk.functionCalls ?? []));
  }
  assert.deepEqual(calls.map(({ args }) => args.city), ["Paris"]);
});

test("structured output", async () => {
  const responseSchema = { type: "OBJECT", properties: { a: { type: "INTEGER" } }, required: ["a"] };
  const reply = await ask("?", { responseMimeType: "application/json", responseSchema });
  assert.equal(typeof JSON.parse(reply.text).a, "number");
});

test("counting and models", async () => {
  assert.ok((await client.models.countTokens({ model, contents: "Hello" })).totalTokens > 0);
  const names = [];
  for await (const listed of await client.models.list()) names.push(listed.name);
  assert.ok(names.includes(`models/${model}`));
});

for (const [status, word] of [[400, "INVALID_ARGUMENT"], [429, "RESOURCE_EXHAUSTED"], [503, "UNAVAILABLE"]]) {
  test(`an error of status ${status}`, async () => {
    await assert.rejects(ask("Hello", steered({ status })), (error) => {
      assert.ok(error instanceof ApiError && error.status === status, `${error}`);
      assert.equal(JSON.parse(error.message).error.status, word);
      return true;
    });
  });
}

test("an error in mid-stream is raised", async () => {
  await assert.rejects(textOf(stream("Hello", steered({ fail: "stream-error", after: 2 }))), ApiError);
});

test("a cut stream is an error", async () => {
  await assert.rejects(textOf(stream("Hello", steered({ fail: "cut", after: 2 }))));
});

test("cancel", async () => {
  const told = steer({ interval: "50ms", tokens: 400 });
  const abort = new AbortController();
  const read = textOf(stream("Hello", { httpOptions: told, abortSignal: abort.signal }));
  await arrived(told);
  abort.abort();
  await assert.rejects(read);
  assert.ok(await leaves(told));
});

test("embeddings", embeds(), async () => {
  const config = { outputDimensionality: 4 };
  const { embeddings } = await client.models.embedContent({ model, contents: ["one", "two"], config });
  assert.deepEqual(embeddings.map(({ values }) => values.length), [4, 4]);
  const again = await client.models.embedContent({ model, contents: "two", config });
  assert.deepEqual(again.embeddings[0].values, embeddings[1].values);
});
