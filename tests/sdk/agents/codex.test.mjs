// Codex itself, from its package, without a terminal: against OpenAI's Responses API and against a provider of Anthropic's
// dialect. What it is asked to do takes a shell and several turns.

import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { SECRET, TOO_LONG } from "./loop.mjs";
import { arrived, gateway, run } from "./setup.mjs";

const program = fileURLToPath(new URL("node_modules/@openai/codex/bin/codex.js", import.meta.url));

/** What docs/codex.md says to write. */
const config = (model) => `model = "${model}"
model_provider = "sluicegate"
check_for_update_on_startup = false

[model_providers.sluicegate]
name = "Sluicegate"
base_url = "${gateway}/v1"
env_key = "SLUICEGATE_KEY"
wire_api = "responses"
`;

/** Runs it; `more` is what it is told next, in the same conversation. */
function ask(prompt, model, work, more = []) {
  const flags = "--skip-git-repo-check --dangerously-bypass-approvals-and-sandbox --json";
  const codex = `"${process.execPath}" "${program}" exec`;
  const next = more.map((_, at) => `${codex} resume --last ${flags} "$${at + 2}"`);
  const script = [`${codex} ${flags} "$1"`, ...next].join("; ");
  const prepare = async (home) => {
    await mkdir(`${home}/.codex`);
    await writeFile(`${home}/.codex/config.toml`, config(model));
  };
  return run("/bin/sh", ["-c", script, "sh", prompt, ...more], { SLUICEGATE_KEY: "any" }, work, prepare);
}

/** The events that it tells, and what it says last. */
function told(out) {
  const events = out.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  const said = events.filter(({ type, item }) => type === "item.completed" && item.type === "agent_message");
  return { events, last: said.at(-1)?.item.text ?? "" };
}

const task = `Write ${SECRET} into note.txt with the shell, read it again and say what it holds.`;
const models = { openai: "gpt-5.1", anthropic: "codex-through-anthropic" };

for (const [dialect, model] of Object.entries(models)) {
  test(`codex, ${dialect}: a task with tools, over several turns`, async () => {
    await arrived();
    await ask(task, model, async ({ code, out, err, read }) => {
      assert.equal(code, 0, `${out}\n${err}`);
      const { events, last } = told(out);
      assert.match(last, new RegExp(`The file says ${SECRET}`), out);
      assert.ok(events.filter(({ item }) => item?.type === "command_execution").length >= 2, out);
      assert.equal((await read("note.txt")).trim(), SECRET);
    });
    const calls = (await arrived()).filter((call) => call.body?.stream);
    const path = dialect === "anthropic" ? "/v1/messages" : "/v1/responses";
    assert.deepEqual([...new Set(calls.map((call) => call.path))], [path]);
    assert.ok(calls.length >= 3, `${calls.length} calls`);
    if (dialect === "openai") {
      assert.ok(calls.at(-1).body.input.some((item) => item.type === "reasoning"), "thinking comes back encrypted");
      assert.ok(calls.at(-1).body.tools.some((tool) => tool.type === "web_search"), "the search is OpenAI's to run");
    } else {
      const { tools, messages } = calls.at(-1).body;
      assert.ok(tools.every((tool) => tool.input_schema), "a search that only OpenAI runs is left out");
      assert.ok(tools.some((tool) => tool.name.includes("__")), "tools of a namespace have flat names");
      assert.ok(messages.flatMap(({ content }) => content).some((block) => block.type === "tool_result"));
    }
  });

  test(`codex, ${dialect}: a prompt that grew too long is made shorter before the next turn`, async () => {
    await arrived();
    const work = ({ out, err }) => {
      assert.match(out, /ran out of room in the model's context window/, `${out}\n${err}`);
      assert.match(told(out).last, new RegExp(`The file says ${SECRET}`), `${out}\n${err}`);
    };
    await ask(`${task} ${TOO_LONG}`, model, work, ["Go on."]);
    const calls = (await arrived()).filter((call) => call.body?.stream);
    const bodies = calls.map((call) => JSON.stringify(call.body));
    // The call that does not fit is not sent again; a summary is asked for, and sent in its place.
    assert.equal(calls.length, 4, bodies.map((body) => body.slice(-200)).join("\n"));
    assert.match(bodies[2], /CONTEXT CHECKPOINT COMPACTION/);
    assert.match(bodies[3], /summary produced by the other language model/);
  });
}
