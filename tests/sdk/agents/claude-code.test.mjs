// Claude Code itself, from its package, without a terminal: against a provider of its own dialect and against one that
// speaks OpenAI's. What it is asked to do takes a shell, several turns, and once a conversation made shorter.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { SECRET, TOO_LONG } from "./loop.mjs";
import { arrived, gateway, run } from "./setup.mjs";

const platform = `@anthropic-ai/claude-code-${process.platform}-${process.arch}`;
const program = fileURLToPath(new URL(`node_modules/${platform}/claude`, import.meta.url));

const environment = {
  ANTHROPIC_BASE_URL: gateway,
  ANTHROPIC_AUTH_TOKEN: "any",
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
  DISABLE_AUTOUPDATER: "1",
};

function ask(prompt, model, more, work) {
  const args = ["-p", prompt, "--output-format", "json", "--model", model, "--allowedTools", "Bash(*)"];
  return run(program, args, { ...environment, ...more }, work);
}

/** What an agent said of itself, in short. */
function told(out, err) {
  try {
    return `${JSON.parse(out).result}\n${err}`;
  } catch {
    return `${out}\n${err}`;
  }
}

const task = `Write ${SECRET} into note.txt with the shell, read it again and say what it holds.`;
const models = { anthropic: "claude-sonnet-4-5", openai: "claude-through-openai" };

for (const [dialect, model] of Object.entries(models)) {
  test(`${dialect}: a task with tools, over several turns`, async () => {
    await arrived();
    await ask(task, model, {}, async ({ code, out, err, read }) => {
      assert.equal(code, 0, told(out, err));
      const { result, is_error, num_turns } = JSON.parse(out);
      assert.equal(is_error, false, out);
      assert.match(result, new RegExp(`The file says ${SECRET}`));
      assert.ok(num_turns >= 3, out);
      assert.equal((await read("note.txt")).trim(), SECRET);
    });
    const calls = (await arrived()).filter((call) => call.body?.stream);
    const path = dialect === "anthropic" ? "/v1/messages" : "/v1/chat/completions";
    assert.deepEqual([...new Set(calls.map((call) => call.path))], [path]);
    if (dialect === "anthropic") {
      const last = calls.at(-1);
      // What a gateway is told to leave as it is.
      assert.match(last.headers["anthropic-beta"], /claude-code-/);
      assert.equal(typeof last.body.metadata.user_id, "string");
      const thought = last.body.messages.flatMap(({ content }) => content).filter((block) => block.type === "thinking");
      assert.ok(thought.length >= 2 && thought.every((block) => block.signature), "thinking comes back signed");
    } else {
      // Its billing line means nothing to any other model, and differs from call to call.
      assert.ok(!JSON.stringify(calls.map((call) => call.body)).includes("x-anthropic-billing-header"));
    }
  });

  test(`${dialect}: a prompt that grew too long is made shorter, and the task goes on`, async () => {
    await arrived();
    await ask(`${task} ${TOO_LONG}`, model, {}, ({ code, out, err }) => {
      assert.equal(code, 0, told(out, err));
      assert.match(JSON.parse(out).result, new RegExp(`The file says ${SECRET}`));
    });
    const bodies = (await arrived()).map((call) => JSON.stringify(call.body ?? ""));
    assert.ok(bodies.some((body) => body.includes("continued from a previous conversation")), "no summary was sent");
  });

  test(`${dialect}: /context counts tokens, and the gateway's models are found`, async () => {
    await arrived();
    const more = { CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY: "1" };
    await ask("/context", model, more, async ({ code, out, err, home }) => {
      assert.equal(code, 0, told(out, err));
      assert.match(JSON.parse(out).result, /tokens/i);
      const found = JSON.parse(await readFile(`${home}/.claude/cache/gateway-models.json`, "utf8"));
      const names = found.models.map(({ id }) => id);
      for (const name of Object.values(models)) assert.ok(names.includes(name), `${name} is not among ${names}`);
    });
    // What Anthropic can count, it counts; what nobody can, the gateway estimates.
    const counted = (await arrived()).filter((call) => call.path.endsWith("/count_tokens"));
    assert.equal(counted.length > 0, dialect === "anthropic");
  });
}

test("a call whose tokens nobody can count is estimated, and the estimate says so", async () => {
  const body = { model: models.openai, messages: [{ role: "user", content: "How deep is the sea?" }] };
  const headers = { "content-type": "application/json", "anthropic-version": "2023-06-01" };
  const counted = await fetch(`${gateway}/v1/messages/count_tokens`, { method: "POST", headers, body: JSON.stringify(body) });
  assert.equal(counted.status, 200);
  assert.equal(counted.headers.get("x-sluicegate-estimated"), "input_tokens");
  const { input_tokens } = await counted.json();
  assert.ok(input_tokens > 4 && input_tokens < 30, `${input_tokens}`);
});
