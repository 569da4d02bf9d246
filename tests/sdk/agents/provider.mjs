// A model behind an HTTP server that plays its part in an agent's loop, as OpenAI, Anthropic and Google would say it: it calls
// the agent's shell twice, thinks between the calls, and tells what it read. What a vendor would refuse, it refuses.

import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

import { addressed, gemini } from "./gemini.mjs";
import { isSummary, json, next, pieces, words } from "./loop.mjs";
import { responses } from "./responses.mjs";

const OVERFLOW = {
  anthropic: { type: "invalid_request_error", message: "prompt is too long: 213462 tokens > 200000 maximum" },
  openai: {
    type: "invalid_request_error",
    param: "messages",
    code: "context_length_exceeded",
    message:
      "This model's maximum context length is 128000 tokens. However, you requested 140000 tokens (108000 in the messages, 32000 in the completion). Please reduce the length of the messages or completion.",
  },
};

/** Serves the model on a free loopback port. `GET /__journal` tells the calls as they came, `DELETE` forgets them. */
function serve() {
  let journal = [];
  const server = createServer((request, response) => {
    const pieces = [];
    request.on("data", (piece) => pieces.push(piece));
    request.on("end", () => {
      const path = request.url.split("?")[0];
      if (path === "/__journal") {
        const told = journal;
        if (request.method === "DELETE") journal = [];
        return json(response, 200, told);
      }
      const call = { method: request.method, path, headers: request.headers, body: parse(Buffer.concat(pieces).toString()) };
      journal.push(call);
      if (journal.length > 500) journal.shift();
      answer(call, response);
    });
  });
  server.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function answer(call, response) {
  const speaks = { "/v1/messages": anthropic, "/v1/chat/completions": openai, "/v1/responses": responses }[call.path];
  if (call.path === "/v1/messages/count_tokens") {
    return json(response, 200, { input_tokens: Math.ceil(JSON.stringify(call.body.messages).length / 4) });
  }
  const google = addressed(call.path);
  if (google) return gemini(google, call.body, response);
  if (!speaks) return json(response, 404, { error: { type: "not_found_error", message: `no ${call.path} here` } });
  speaks(call.body, response);
}

// Anthropic

const SIGNATURE = "c2lnbmVkLWJ5LXRoZS1tb2RlbA==";

function anthropic(body, response) {
  const problem = anthropicProblem(body);
  if (problem) return json(response, 400, { type: "error", error: { type: "invalid_request_error", message: problem } });
  const blocks = body.messages.flatMap((message) => (Array.isArray(message.content) ? message.content : []));
  const results = blocks.filter((block) => block.type === "tool_result").map((block) => words(block.content));
  const last = words(body.messages.at(-1).content);
  const step = next({
    prompt: body.messages.filter((message) => message.role === "user").map((message) => words(message.content)).join("\n"),
    results,
    tools: (body.tools ?? []).map((tool) => tool.name),
    summary: isSummary(last),
  });
  if (step.overflow) return json(response, 400, { type: "error", error: OVERFLOW.anthropic });
  const content = [];
  if (body.thinking && body.thinking.type !== "disabled") {
    content.push({ type: "thinking", thinking: "What comes next?", signature: SIGNATURE });
  }
  const id = `toolu_${String(results.length).padStart(24, "0")}`;
  if (step.call) content.push({ type: "tool_use", id, name: step.call.name, input: step.call.input });
  else content.push({ type: "text", text: step.text });
  const message = {
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: body.model,
    content,
    stop_reason: step.call ? "tool_use" : "end_turn",
    stop_sequence: null,
    usage: { input_tokens: 1000, output_tokens: 20 },
  };
  if (!body.stream) return json(response, 200, message);
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const event of anthropicEvents(message)) response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  response.end();
}

/** What Anthropic would refuse: thinking that comes back unsigned, results that do not answer the calls before them. */
function anthropicProblem({ messages }) {
  for (const [at, message] of messages.entries()) {
    if (!Array.isArray(message.content)) continue;
    for (const block of message.content) {
      if (block.type === "thinking" && block.signature !== SIGNATURE) return `messages.${at}: Invalid signature in thinking block`;
    }
    const asked = message.content.filter((block) => block.type === "tool_use").map((block) => block.id);
    const following = messages[at + 1]?.content;
    const told = Array.isArray(following) ? following.filter((block) => block.type === "tool_result") : [];
    const missing = asked.filter((id) => !told.some((block) => block.tool_use_id === id));
    if (missing.length) return `messages.${at}: tool_use ids were found without tool_result blocks: ${missing}`;
  }
  return null;
}

function* anthropicEvents(message) {
  yield { type: "message_start", message: { ...message, content: [], stop_reason: null } };
  for (const [index, block] of message.content.entries()) {
    const empty = { thinking: { thinking: "", signature: "" }, text: { text: "" }, tool_use: { input: {} } }[block.type];
    yield { type: "content_block_start", index, content_block: { ...block, ...empty } };
    for (const delta of anthropicDeltas(block)) yield { type: "content_block_delta", index, delta };
    yield { type: "content_block_stop", index };
  }
  const { stop_reason, stop_sequence, usage } = message;
  yield { type: "message_delta", delta: { stop_reason, stop_sequence }, usage: { output_tokens: usage.output_tokens } };
  yield { type: "message_stop" };
}

function anthropicDeltas(block) {
  switch (block.type) {
    case "thinking":
      return [
        { type: "thinking_delta", thinking: block.thinking },
        { type: "signature_delta", signature: block.signature },
      ];
    case "tool_use":
      return pieces(JSON.stringify(block.input)).map((partial_json) => ({ type: "input_json_delta", partial_json }));
    default:
      return pieces(block.text).map((text) => ({ type: "text_delta", text }));
  }
}

// OpenAI

function openai(body, response) {
  const problem = openaiProblem(body);
  if (problem) return json(response, 400, { error: { type: "invalid_request_error", message: problem, param: null, code: null } });
  const results = body.messages.filter((message) => message.role === "tool").map((message) => words(message.content));
  const step = next({
    prompt: body.messages.filter((message) => message.role === "user").map((message) => words(message.content)).join("\n"),
    results,
    tools: (body.tools ?? []).map((tool) => tool.function.name),
    summary: isSummary(words(body.messages.at(-1).content)),
  });
  if (step.overflow) return json(response, 400, { error: OVERFLOW.openai });
  const call = step.call && {
    id: `call_${results.length}`,
    type: "function",
    function: { name: step.call.name, arguments: JSON.stringify(step.call.input) },
  };
  const finish_reason = call ? "tool_calls" : "stop";
  const usage = { prompt_tokens: 1000, completion_tokens: 20, total_tokens: 1020 };
  const head = { id: "chatcmpl-1", created: 1, model: body.model };
  if (!body.stream) {
    const message = { role: "assistant", content: step.text ?? null, ...(call && { tool_calls: [call] }) };
    const choices = [{ index: 0, message, finish_reason, logprobs: null }];
    return json(response, 200, { ...head, object: "chat.completion", choices, usage });
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  const say = (delta, finish_reason = null) => {
    const choices = [{ index: 0, delta, finish_reason, logprobs: null }];
    response.write(`data: ${JSON.stringify({ ...head, object: "chat.completion.chunk", choices })}\n\n`);
  };
  say({ role: "assistant", content: call ? null : "" });
  if (call) {
    say({ tool_calls: [{ index: 0, ...call, function: { name: step.call.name, arguments: "" } }] });
    for (const piece of pieces(call.function.arguments)) say({ tool_calls: [{ index: 0, function: { arguments: piece } }] });
  } else {
    for (const piece of pieces(step.text)) say({ content: piece });
  }
  say({}, finish_reason);
  if (body.stream_options?.include_usage) {
    response.write(`data: ${JSON.stringify({ ...head, object: "chat.completion.chunk", choices: [], usage })}\n\n`);
  }
  response.end("data: [DONE]\n\n");
}

/** The fields that OpenAI's Chat Completions reference has; it refuses any other. */
const KNOWN = new Set(
  (
    "model messages tools tool_choice parallel_tool_calls stream stream_options max_tokens max_completion_tokens " +
    "temperature top_p stop user metadata reasoning_effort response_format n seed prompt_cache_key safety_identifier"
  ).split(" "),
);

/** What OpenAI would refuse: fields it does not know, calls that are not answered right behind them, tools without properties. */
function openaiProblem({ messages, tools, ...body }) {
  const unknown = Object.keys(body).find((name) => !KNOWN.has(name));
  if (unknown) return `Unrecognized request argument supplied: ${unknown}`;
  for (const tool of tools ?? []) {
    if (tool.function.parameters?.type === "object" && !tool.function.parameters.properties) {
      return `Invalid schema for function '${tool.function.name}': object schema missing properties`;
    }
  }
  for (const [at, message] of messages.entries()) {
    const asked = (message.tool_calls ?? []).map((call) => call.id);
    const told = messages.slice(at + 1, at + 1 + asked.length).map((result) => result.tool_call_id);
    if (asked.some((id) => !told.includes(id))) {
      return `An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id' (messages[${at}])`;
    }
  }
  return null;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) serve();
