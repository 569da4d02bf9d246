// The model in the words of Google's Gemini API.

import { json, next, pieces } from "./loop.mjs";

const OVERFLOW = {
  code: 400,
  message: "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
  status: "INVALID_ARGUMENT",
};
/** What Gemini signs its thoughts with, and wants back on the call that they led to. */
const SIGNATURE = "c2lnbmVkLWJ5LXRoZS1tb2RlbA==";

const parts = (contents) => contents.flatMap((content) => content.parts ?? []);

/** The path of a call to the model: its name, and whether the answer streams. `null`: it is another path. */
export function addressed(path) {
  const [, model, method] = /^\/v1beta\/models\/([^:]+):(generateContent|streamGenerateContent|countTokens)$/.exec(path) ?? [];
  return model ? { model, method } : null;
}

export function gemini({ model, method }, body, response) {
  if (method === "countTokens") return json(response, 200, { totalTokens: Math.ceil(JSON.stringify(body).length / 4) });
  const problem = geminiProblem(body);
  if (problem) return json(response, 400, { error: { code: 400, message: problem, status: "INVALID_ARGUMENT" } });
  const results = parts(body.contents).filter((part) => part.functionResponse);
  const step = next({
    prompt: parts(body.contents.filter((content) => content.role !== "model")).map((part) => part.text ?? "").join("\n"),
    results: results.map((part) => JSON.stringify(part.functionResponse.response)),
    tools: (body.tools ?? []).flatMap((tool) => tool.functionDeclarations ?? []).map(({ name }) => name),
    summary: false,
  });
  if (step.overflow) return json(response, 400, { error: OVERFLOW });
  const said = step.call
    ? [
        { text: "What comes next?", thought: true },
        { functionCall: { name: step.call.name, args: step.call.input }, thoughtSignature: SIGNATURE },
      ]
    : pieces(step.text).map((text) => ({ text }));
  const usageMetadata = { promptTokenCount: 1000, candidatesTokenCount: 20, totalTokenCount: 1020 };
  const event = (parts, more) => ({
    candidates: [{ content: { role: "model", parts }, index: 0, ...more }],
    usageMetadata,
    modelVersion: model,
    responseId: "r-1",
  });
  if (method === "generateContent") return json(response, 200, event(said, { finishReason: "STOP" }));
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const [at, part] of said.entries()) {
    const more = at + 1 === said.length ? { finishReason: "STOP" } : {};
    response.write(`data: ${JSON.stringify(event([part], more))}\r\n\r\n`);
  }
  response.end();
}

/** What Google would refuse: no contents, calls that are not answered, calls whose signature is gone or another's. */
function geminiProblem({ contents }) {
  if (!contents?.length) return "* GenerateContentRequest.contents: contents is not specified";
  for (const [at, content] of contents.entries()) {
    const calls = (content.parts ?? []).filter((part) => part.functionCall);
    if (calls.length && calls[0].thoughtSignature !== SIGNATURE) return `contents[${at}]: Thought signature is not valid.`;
    const told = (contents[at + 1]?.parts ?? []).filter((part) => part.functionResponse);
    if (calls.length > told.length) return "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.";
  }
  return null;
}
