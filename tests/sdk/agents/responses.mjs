// The model in the words of OpenAI's Responses API.

import { isSummary, json, next, pieces, words } from "./loop.mjs";

const OVERFLOW = {
  code: "context_length_exceeded",
  message: "Your input exceeds the context window of this model. Please adjust your input and try again.",
};
/** What OpenAI encrypts its thoughts into, and wants back unchanged. */
const ENCRYPTED = "gAAAAABencrypted-by-the-model";

export function responses(body, response) {
  const problem = responsesProblem(body);
  if (problem) return json(response, 400, { error: { type: "invalid_request_error", message: problem, param: "input", code: null } });
  const input = typeof body.input === "string" ? [{ type: "message", role: "user", content: body.input }] : body.input;
  const said = input.filter((item) => item.role === "user").map((item) => words(item.content));
  const step = next({
    prompt: said.join("\n"),
    results: input.filter((item) => item.type?.endsWith("_call_output")).map((item) => words(item.output)),
    tools: (body.tools ?? []).map((tool) => tool.name),
    summary: isSummary(said.at(-1) ?? ""),
  });
  const id = "resp_1";
  const usage = {
    input_tokens: 1000,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: 20,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: 1020,
  };
  const whole = (status, output, more) => ({ id, object: "response", created_at: 1, model: body.model, status, output, usage: null, ...more });
  const turn = input.filter((item) => item.type === "function_call").length;
  const thought = { id: `rs_${turn}`, type: "reasoning", summary: [], encrypted_content: ENCRYPTED };
  const item = step.call
    ? { id: `fc_${turn}`, type: "function_call", status: "completed", call_id: `call_${turn}`, name: step.call.name, arguments: JSON.stringify(step.call.input) }
    : { id: `msg_${turn}`, type: "message", status: "completed", role: "assistant", content: [{ type: "output_text", text: step.text ?? "", annotations: [] }] };
  const done = whole("completed", [thought, item], { usage });
  if (!body.stream) return step.overflow ? json(response, 400, { error: { type: "invalid_request_error", param: "input", ...OVERFLOW } }) : json(response, 200, done);
  response.writeHead(200, { "content-type": "text/event-stream" });
  let number = 0;
  const say = (type, more) => response.write(`event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: number++, ...more })}\n\n`);
  say("response.created", { response: whole("in_progress", []) });
  if (step.overflow) {
    // As OpenAI does: the stream has begun, and fails.
    say("response.failed", { response: whole("failed", [], { error: OVERFLOW }) });
    return response.end();
  }
  say("response.output_item.added", { output_index: 0, item: { ...thought, encrypted_content: "" } });
  say("response.output_item.done", { output_index: 0, item: thought });
  const place = { item_id: item.id, output_index: 1 };
  say("response.output_item.added", { output_index: 1, item: { ...item, status: "in_progress", ...(step.call ? { arguments: "" } : { content: [] }) } });
  if (step.call) {
    for (const delta of pieces(item.arguments)) say("response.function_call_arguments.delta", { ...place, delta });
    say("response.function_call_arguments.done", { ...place, arguments: item.arguments });
  } else {
    say("response.content_part.added", { ...place, content_index: 0, part: { type: "output_text", text: "", annotations: [] } });
    for (const delta of pieces(step.text)) say("response.output_text.delta", { ...place, content_index: 0, delta });
    say("response.output_text.done", { ...place, content_index: 0, text: step.text });
    say("response.content_part.done", { ...place, content_index: 0, part: item.content[0] });
  }
  say("response.output_item.done", { output_index: 1, item });
  say("response.completed", { response: done });
  response.end();
}

/** What OpenAI would refuse: thoughts that it has not encrypted, calls without an output. */
function responsesProblem({ input }) {
  if (!Array.isArray(input)) return null;
  for (const [at, item] of input.entries()) {
    if (item.type === "reasoning" && item.encrypted_content !== ENCRYPTED) {
      return `The encrypted content for item ${item.id} could not be verified (input[${at}])`;
    }
    if (item.type === "function_call" && !input.some((other) => other.type === "function_call_output" && other.call_id === item.call_id)) {
      return `No tool output found for function call ${item.call_id}.`;
    }
  }
  return null;
}
