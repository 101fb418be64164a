"""schemathesis asks a service what its OpenAPI document allows and what it forbids, and compares the answers with it.

    fuzz.py BASE_URL [PATH]

PATH is where the document is, `/openapi.json` unless told. `FEEDWAY_SEED` chooses other requests.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import feed
from feed import need

# Requests of one kind for each operation, at most.
EXAMPLES_MAX = 25
# Longest time for all of them, in seconds.
FUZZ_S_MAX = 150
# Longest time for one request, in seconds.
REQUEST_S_MAX = 40
# What the document cannot say; see there.
SETTINGS = pathlib.Path(__file__).with_name("schemathesis.toml")
# Checks that do not fit what is served, each with its reason beside it. None yet.
NOT_CHECKED = []


def look():
    """Runs schemathesis in a folder of its own, since it leaves files behind."""
    base_url, path = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "/openapi.json"
    document = json.loads(feed.get(base_url + path, "application/json").body)
    need(document.get("openapi", "").startswith("3."), f"{path} is no OpenAPI document of version 3")
    program = pathlib.Path(sys.executable).with_name("schemathesis")
    command = [program, "--config-file", SETTINGS, "run", base_url + path, "--url", base_url, "--checks", "all"]
    command += ["--max-examples", str(EXAMPLES_MAX), "--seed", os.environ.get("FEEDWAY_SEED", "1")]
    # One worker: before Python 3.12, threads that parse Python at the same time disturb each other (SystemError).
    command += ["--request-timeout", str(REQUEST_S_MAX), "--workers", "1", "--continue-on-failure", "--no-color"]
    if NOT_CHECKED:
        command += ["--exclude-checks", ",".join(NOT_CHECKED)]
    env = os.environ | {"SCHEMATHESIS_HOOKS": str(pathlib.Path(__file__).with_name("fuzz_hooks.py"))}
    with tempfile.TemporaryDirectory() as folder:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=FUZZ_S_MAX, check=False, cwd=folder, env=env
        )
        need(ended.returncode == 0, f"schemathesis: {ended.stdout[-6000:]} {ended.stderr[-2000:]}")
    said = [re.search(pattern, ended.stdout) for pattern in (r"Tested: (\d+)", r"Selected: (\d+)/", r"(\d+) generated")]
    need(all(said), f"schemathesis: {ended.stdout[-6000:]}")
    tested, selected, cases = (int(found.group(1)) for found in said)
    need(tested == selected > 0 and cases > 0, f"schemathesis tested {tested} of {selected} operations by {cases} requests")
    return f"schemathesis: {tested} operations, {cases} test cases without a failure"


if __name__ == "__main__":
    feed.run(look)
