// Where the agents are pointed, and how one is run in a folder and a home of its own.

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const need = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`set ${name}`);
  return value;
};

/** The gateway's address, without `/v1`. */
export const gateway = need("SLUICEGATE_ANTHROPIC_BASE_URL");

/** The calls that the provider behind the gateway has had since it was last asked. */
export async function arrived() {
  const answer = await fetch(need("SLUICEGATE_JOURNAL"), { method: "DELETE" });
  return answer.json();
}

/** How long one run of an agent may take. */
const PATIENCE = 180_000;

/**
 * Runs a program in an empty folder with an empty home and nothing else of this process's environment: `{code, out, err, read}`.
 * `prepare` may write into both before.
 */
export async function run(program, args, environment, work, prepare = async () => {}) {
  const home = await mkdtemp(join(tmpdir(), "agent-home-"));
  const folder = await mkdtemp(join(tmpdir(), "agent-work-"));
  try {
    await prepare(home, folder);
    const child = spawn(program, args, {
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: home, TERM: "dumb", ...environment },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: PATIENCE,
    });
    let [out, err] = ["", ""];
    child.stdout.on("data", (data) => (out += data));
    child.stderr.on("data", (data) => (err += data));
    const code = await new Promise((resolve, reject) => child.on("exit", resolve).on("error", reject));
    const ended = { code, out, err, home, read: (name) => readFile(join(folder, name), "utf8") };
    return await work(ended);
  } finally {
    await rm(home, { recursive: true, force: true });
    await rm(folder, { recursive: true, force: true });
  }
}
