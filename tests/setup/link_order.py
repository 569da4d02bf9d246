"""Writes the order of a released proxy's functions for the linker: those that ran for calls, then those that ran at the start.

    link_order.py FOLDER OUT: FOLDER has sluicegate-proxy, a name of the program with its symbols, and sluicegate-simulator. Needs valgrind and nm.

A name in a program holds hashes of crates, which change with every compiler and dependency; the order has `*` in their place. Where functions
that never ran have a name that differs in that alone and weigh too much, they all stay where they were.
"""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter

# Bytes of instances that did not run, for each one that ran.
MOST_STRANGERS = 8_000
CALLS = 60

MANIFESTS = """
apiVersion: sluicegate.dev/v1alpha1
kind: ProviderPool
metadata: {name: plain}
spec: {providers: [{name: it, type: OpenAI, url: "http://%(upstream)s/v1"}]}
---
apiVersion: sluicegate.dev/v1alpha1
kind: ProviderPool
metadata: {name: foreign}
spec: {providers: [{name: it, type: Anthropic, url: "http://%(upstream)s/v1"}]}
---
apiVersion: sluicegate.dev/v1alpha1
kind: LLMRoute
metadata: {name: plain}
spec:
  rules:
  - {name: verbatim, matches: [{model: {exact: verbatim}}], targets: [{poolRef: {name: plain}}]}
  - {name: translated, matches: [{model: {exact: translated}}], targets: [{poolRef: {name: foreign}}]}
---
apiVersion: sluicegate.dev/v1alpha1
kind: LLMRoute
metadata: {name: kept}
spec:
  rules:
  - {name: all, matches: [{model: {exact: kept}}], targets: [{poolRef: {name: plain}}]}
  cache: {ttl: 1h, scope: Route, redis: {enabled: false}}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_for(port):
    for _ in range(600):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
    sys.exit(f"nothing listens on port {port}")


def call(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(CALLS if body else 1):
        headers = {"content-type": "application/json", "authorization": "Bearer sk-order"}
        connection.request(method, path, body and json.dumps(body), headers)
        answer = connection.getresponse()
        answer.read()
    connection.close()
    return answer.status


def calls(port, admin):
    """What a proxy does all day, and what its neighbours ask it."""
    for model in ("verbatim", "translated", "kept"):
        for stream in (False, True):
            body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "One word. " * 100}]}
            status = call(port, "POST", "/v1/chat/completions", body)
            if status != 200:
                sys.exit(f"{model} was answered {status}")
            say = {"model": model, "stream": stream, "max_tokens": 64, "messages": body["messages"]}
            call(port, "POST", "/v1/messages", say)
    call(port, "GET", "/v1/models")
    for page in ("/metrics", "/readyz", "/healthz"):
        call(admin, "GET", page)


def ran(folder, work):
    """The symbols that ran for calls, and those that ran before."""
    upstream, port, admin = free_port(), free_port(), free_port()
    simulator = [f"{folder}/sluicegate-simulator", "--canned", "--listen", f"127.0.0.1:{upstream}"]
    manifests = os.path.join(work, "manifests")
    os.mkdir(manifests)
    with open(os.path.join(manifests, "all.yaml"), "w", encoding="utf-8") as file:
        file.write(MANIFESTS % {"upstream": f"127.0.0.1:{upstream}"})
    out = os.path.join(work, "ran")
    watched = ["valgrind", "--tool=callgrind", "--demangle=no", "--compress-strings=no", f"--callgrind-out-file={out}"]
    proxy = [f"{folder}/sluicegate-proxy", "--manifests", manifests, "--listen", f"127.0.0.1:{port}"]
    proxy += ["--admin-listen", f"127.0.0.1:{admin}", "--workers", "1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(simulator, **quiet) as provider, subprocess.Popen(watched + proxy, **quiet) as process:
        try:
            wait_for(port)
            time.sleep(5)
            subprocess.run(["callgrind_control", "-d", str(process.pid)], check=True, stdout=subprocess.DEVNULL)
            calls(port, admin)
        finally:
            process.terminate()
            process.wait(120)
            provider.terminate()
    return [names(out), names(out + ".1")]


def names(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        found = re.findall(r"^c?fn=([A-Za-z_][^'\n]*)", file.read(), re.MULTILINE)
    return sorted(set(found))


def pattern(symbol):
    """The symbol without what the compiler and the dependencies' versions put into it."""
    symbol = re.sub(r"17h[0-9a-f]{16}E.*$", "17h*", symbol)
    symbol = re.sub(r"Cs[0-9A-Za-z]+_", "Cs*_", symbol)
    return re.sub(r"\.llvm\.\d+$", "*", symbol)


def sizes(program):
    """The size of each function of a program, by its symbol."""
    lines = subprocess.run(["nm", "-S", program], check=True, capture_output=True, text=True).stdout.splitlines()
    fields = [line.split() for line in lines]
    return {field[3]: int(field[1], 16) for field in fields if len(field) == 4 and field[2] in "tTwW"}


def chosen(hot_and_start, size):
    """The patterns that are worth it, in order."""
    seen = {symbol for some in hot_and_start for symbol in some}
    strangers, of_ours = Counter(), Counter()
    for symbol, bytes_ in size.items():
        if symbol in seen:
            of_ours[pattern(symbol)] += 1
        else:
            strangers[pattern(symbol)] += bytes_
    order = dict.fromkeys(pattern(symbol) for some in hot_and_start for symbol in some if symbol in size)
    return [one for one in order if strangers[one] <= MOST_STRANGERS * of_ours[one]]


def main(folder, out):
    with tempfile.TemporaryDirectory() as work:
        lines = chosen(ran(folder, work), sizes(f"{folder}/sluicegate-proxy"))
    with open(out, "w", encoding="utf-8") as file:
        file.write("/* Written by `make link-order`: the functions that every process runs, before all others. See image/link.rs. */\n")
        file.write("SECTIONS\n{\n  .text.first : {\n")
        # Functions that are said to be cold have sections of another name.
        file.writelines(f"    *(.text.{line} .text.unlikely.{line})\n" for line in lines)
        file.write("  }\n}\nINSERT BEFORE .text;\n")
    print(f"{len(lines)} names in {out}")


if __name__ == "__main__":
    main(*sys.argv[1:])
