#!/usr/bin/env python3
"""Runs the service under ThreadSanitizer and a mixed load, then all it can take.

  tools/races.py SANITIZED_COVEY COVEY

COVEY makes the events and the load: learners looked up, events coming in, cohorts asked for, discoveries
one after another, with a snapshot every few seconds and a small queue, so that events are refused. Exit
code 1 when ThreadSanitizer saw a race, or the service or the load ended badly.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

LEARNERS = 50_000  # half of them there from the start, the others while they are asked for
STEADY = ["--for", "40s", "--rate", "500", "--ingest", "20000", "--cohorts", "20", "--discover", "1"]
OVERLOAD = ["--for", "25s", "--rate", "max", "--ingest", "max", "--cohorts", "20", "--discover", "2"]
READY_S = 60
STOP_S = 120


def say(text):
    print(f"races: {text}", flush=True)


def serve(sanitized, folder):
    """The service on a free port, and its address."""
    options = "second_deadlock_stack=1:halt_on_error=0:exitcode=66"
    suppressions = pathlib.Path(__file__).parent.parent / "tests/tsan_suppressions.txt"
    environment = {**os.environ, "TSAN_OPTIONS": f"{options}:suppressions={suppressions}:log_path={folder}/race"}
    command = [sanitized, "serve", "--data", f"{folder}/store", "--as-of", "latest", "--listen", "127.0.0.1:0"]
    command += ["--queue", "4", "--snapshot-events", "300000", "--rediscover", "5"]
    log = open(f"{folder}/serve.log", "wb")
    service = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    for _ in range(READY_S * 10):
        text = pathlib.Path(f"{folder}/serve.log").read_text()
        address = re.search(r"^listening on (\S+)", text, re.MULTILINE)
        if address and re.search("^ready", text, re.MULTILINE):
            return service, address[1]
        if service.poll() is not None:
            break
        time.sleep(0.1)
    service.kill()
    sys.exit(f"races: the service is not ready:\n{text}")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sanitized, covey = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="covey-races.") as folder:
        say(f"{LEARNERS // 2:,} learners")
        events = f"{folder}/events.ndjson"
        simulate = ["simulate", "--learners", str(LEARNERS // 2), "--events-per-learner", "10", "--out", events]
        subprocess.run([covey, *simulate], check=True, stderr=subprocess.DEVNULL)
        subprocess.run([covey, "import", "--data", f"{folder}/store", "--format", "ndjson", events], check=True)
        service, address = serve(sanitized, folder)
        faults = []
        for name, options in (("steady load", STEADY), ("all it can take", OVERLOAD)):
            say(f"{name}: covey load {' '.join(options)}")
            load = [covey, "load", address, "--population", str(LEARNERS), *options]
            if subprocess.run(load).returncode != 0:
                faults.append(f"{name}: the load was not carried through")
            if service.poll() is not None:
                break
        if service.poll() is None:
            service.send_signal(signal.SIGTERM)
        try:
            code = service.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            service.kill()
            code = f"a kill, {STOP_S} s after it was asked to stop"
        races = sorted(pathlib.Path(folder).glob("race.*"))
        for race in races:
            print(race.read_text())
        if races:
            faults.append(f"ThreadSanitizer saw races: {sum(r.read_text().count('WARNING: Thread') for r in races)}")
        if code != 0:
            log = pathlib.Path(f"{folder}/serve.log").read_text()
            faults.append(f"the service ended with {code}:\n{log[-2000:]}")
        for fault in faults:
            say(fault)
        say("no race" if not faults else "FAILED")
        sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
