#!/usr/bin/env python3
"""Runs Covey beside its peers, prints one table, writes build/bench/results.json.

usage: run.py [--quick] [--check] [--only P1,P4,...] [--against BUILD]
                                              (script/bench builds first, then calls this)

Every row is measured together with its peer, in this run, on this machine; medians. Rows and goals:
bench/README.md."""

import argparse
import contextlib
import datetime
import http.client
import json
import math
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/bench"
PEERS = ROOT / "bench/peers"
SKLEARN = ROOT / "build/peers/sklearn"
AS_OF_TEXT = "2024-07-01T00:00:00Z"
AS_OF = 1719792000  # the same in seconds: where simulated events end
STEP_SECONDS = 1500  # no single step takes longer, or something hangs
# One pass over 1 M x 5 float32 with 2 threads: EPYC with AVX2, scikit-learn 1.2.1.
SKLEARN_RECORDED = {5: 15.6e-3, 8: 16.9e-3}
NEVER = 1 << 40
TOLERATED = 0.1  # of a row's figure, against another revision


class Failed(Exception):
    """A step that could not be measured, and why."""


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def run(command, env=None):
    command = [str(part) for part in command]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        timeout=STEP_SECONDS,
        env=None if env is None else os.environ | env,
        check=False,
    )
    if done.returncode != 0:
        tail = (done.stderr or done.stdout).decode(errors="replace").strip()[-500:]
        raise Failed(f"{pathlib.Path(command[0]).name} {command[1]}: exit {done.returncode}: {tail}")
    return done.stdout.decode()


def run_json(command, env=None):
    return json.loads(run(command, env))


def timed(command):
    start = time.monotonic()
    out = run(command)
    return time.monotonic() - start, out


def median(values):
    return statistics.median(values)


def count(n):
    """A number people read: 1.5 M, 12 k, 3.4."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if abs(n) >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n:.3g}"


def seconds(s):
    return f"{s:.2f} s" if s >= 1 else f"{s * 1e3:.3g} ms" if s >= 1e-3 else f"{s * 1e6:.3g} us"


def slope(sizes, costs):
    """Of log cost over log size, least squares: 1 is linear."""
    return statistics.linear_regression(
        [math.log(s) for s in sizes], [math.log(c) for c in costs]
    ).slope


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid):
    """User and system time of a process so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Server:
    """A process that listens on loopback; ended by its own pid."""

    def __init__(self, command, log, port=None, listening=None):
        self.log = log
        self.started = time.monotonic()
        with open(log, "wb") as file:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=file,
            )
        self.port = port or self.wait(lambda: self.said(listening), "listen", 60)

    def said(self, pattern):
        found = re.search(pattern, pathlib.Path(self.log).read_text(errors="replace"))
        return int(found.group(1)) if found else None

    def wait(self, ask, what, limit):
        end = time.monotonic() + limit
        while time.monotonic() < end:
            if answer := ask():
                return answer
            if self.process.poll() is not None:
                break
            time.sleep(0.002)
        tail = pathlib.Path(self.log).read_text(errors="replace").strip()[-500:]
        self.end(signal.SIGKILL)
        raise Failed(f"{self.process.args[0]} did not {what} in {limit} s: {tail}")

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()

    def ready(self, limit=600):
        """Seconds from start until it wants requests."""
        self.wait(lambda: self.get("/readyz")[0] == 200, "get ready", limit)
        return time.monotonic() - self.started

    def resident_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) * 1024

    def end(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


class Dashboards:
    """What open pages ask of a control plane: a stream each, history at first, then its newest steps.

    Every other one looks at 15 minutes in steps of 5 s, the others at 6 hours in steps of 2 min: the
    ranges of Live, refreshed as web/src/series.ts does."""

    RANGES = ((900, 5, 5), (21_600, 120, 30))  # seconds, of a step, between refreshes

    def __init__(self, server, number):
        self.server, self.number = server, number
        self.streams, self.statuses, self.bytes, self.next = [], 0, 0, []

    def range(self, i):
        return self.RANGES[i % len(self.RANGES)]

    def __enter__(self):
        for i in range(self.number):
            stream = socket.create_connection(("127.0.0.1", self.server.port))
            stream.sendall(b"GET /v1/rollout/events HTTP/1.1\r\nHost: x\r\n\r\n")
            stream.setblocking(False)
            self.streams.append(stream)
            span, step, every = self.range(i)
            kept = len(json.loads(self.history(span, step)))
            if kept < 0.9 * span / step:
                raise Failed(f"of {span // step} steps of history {kept} are kept")
            self.next.append(time.monotonic() + every * (i + 1) / self.number)
        return self

    def __exit__(self, *_):
        for stream in self.streams:
            stream.close()

    def history(self, seconds, step):
        now = datetime.datetime.now(datetime.timezone.utc)
        at = [(now - datetime.timedelta(seconds=s)).strftime("%Y-%m-%dT%H:%M:%SZ") for s in (seconds, 0)]
        status, body = self.server.get(f"/v1/rollout/telemetry?from={at[0]}&to={at[1]}&steps={seconds // step}")
        if status != 200:
            raise Failed(f"telemetry answered {status}")
        return body

    def turn(self):
        for i, stream in enumerate(self.streams):
            with contextlib.suppress(BlockingIOError):
                while piece := stream.recv(1 << 16):
                    self.statuses += piece.count(b"event: rollout")
                    self.bytes += len(piece)
            if time.monotonic() >= self.next[i]:
                _, step, every = self.range(i)
                self.next[i] += every
                self.history(3 * step, step)


class Busy:
    """A process that sends events to a service and has it discover, beside what is measured."""

    def __init__(self, covey, server, options):
        self.server = server
        command = [covey, "load", f"http://127.0.0.1:{server.port}", "--json", *options, "--for", "0s"]
        self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def accepted(self):
        metrics = self.server.get("/metrics")[1].decode()
        found = re.search(r"^covey_events_accepted_total (\d+)", metrics, re.M)
        return int(found.group(1)) if found else 0

    def __enter__(self):
        before = self.accepted()
        end = time.monotonic() + 60
        while self.accepted() == before:  # it first makes what it sends
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failed("the load beside look-ups does not begin")
            time.sleep(0.1)
        return self

    def done(self, events_per_second):
        """Ends it; it must have been what it was to be."""
        if self.process.poll() is not None:
            raise Failed("the load beside look-ups ended before them")
        self.process.send_signal(signal.SIGINT)
        kinds = json.loads(self.process.communicate(timeout=60)[0])["kinds"]
        rate = kinds["ingest"]["events_per_second"]
        if rate < events_per_second or kinds["discover"]["ok"] == 0:
            raise Failed(f"beside look-ups {rate:.0f} events/s came in, with {kinds['discover']['ok']} discoveries")

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Bench:
    def __init__(self, quick, only, work, build=BUILD):
        self.quick, self.only, self.work, self.build = quick, only, work, build
        self.covey = build / "src/app/covey"
        self.cold_batch = build / "bench/cold_batch"
        self.busy_rollout = build / "bench/busy_rollout"
        self.rows, self.raw = [], {}
        self.stopped = False
        self.repeat = 3 if quick else 5
        today = datetime.datetime.now(datetime.timezone.utc).date()
        # What is served is about now: the store ends yesterday, what is posted is of yesterday.
        self.today = f"{today}T00:00:00Z"
        self.yesterday = f"{today - datetime.timedelta(days=1)}T00:00:00Z"

    def wants(self, *rows):
        return not self.only or any(row in self.only for row in rows)

    def row(self, number, work, ours, peer, ratio, goal, held, *, less=None, more=None):
        """`held` None: this size says nothing about the goal. The figure that two revisions are compared by is
        better when there is `less` of it, or `more`."""
        if self.wants(number):
            self.rows.append(
                {"row": number, "work": work, "covey": ours, "peer": peer, "ratio": ratio,
                 "goal": goal, "held": held, "less": less, "more": more}
            )

    def step(self, rows, name, work):
        if self.stopped or not self.wants(*rows):
            return
        say(f"{', '.join(rows)}: {name}")
        start = time.monotonic()
        try:
            work()
        except (Failed, subprocess.TimeoutExpired, OSError, ValueError, KeyError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            say(f"failed: {reason}")
            for number in rows:
                if not any(row["row"].rstrip("ab") == number for row in self.rows):
                    self.row(number, name, "failed", reason[:160], None, "", False)
            self.raw.setdefault("failures", {})[name] = reason
        except KeyboardInterrupt:
            self.stopped = True
            self.raw.setdefault("failures", {})[name] = "interrupted"
        say(f"{', '.join(rows)}: {time.monotonic() - start:.0f} s")

    # P1: cold batch against SQL and the plain engine.

    def cold(self):
        learners = 100_000 if self.quick else 1_000_000
        events_csv, traits_csv = self.work / "events.csv", self.work / "traits.csv"
        fast = run_json([self.cold_batch, "--learners", learners, "--threads", 2, "--repeat",
                         self.repeat, "--events-csv", events_csv, "--traits-csv", traits_csv])
        two = run_json(["node", PEERS / "duckdb.mjs", "traits", events_csv, traits_csv, AS_OF, 2,
                        self.repeat])
        one = run_json(["node", PEERS / "duckdb.mjs", "traits", events_csv, "-", AS_OF, 1, 1])
        single = run_json([self.cold_batch, "--learners", learners, "--threads", 1, "--repeat", 1])
        events_csv.unlink()
        self.raw["cold"] = {"fast": fast, "duckdb": two, "duckdb_1": one, "fast_1": single}
        if two["missing"] or two["difference"] is None or not two["difference"] <= 1e-6:
            raise Failed(f"DuckDB's traits differ from Covey's by {two['difference']}, with "
                         f"{two['missing']} learners in one of the two only")
        ours = median(run["total_s"] for run in fast["cold"])
        theirs = median(two["traits_s"])
        what = f"cold batch, {count(learners)} learners, {count(fast['events'])} events"
        self.row("P1", f"{what}: traits + cohorts, 2 threads", seconds(ours),
                 f"DuckDB, traits alone: {seconds(theirs)}", theirs / ours, ">= 8 x",
                 theirs / ours >= 8, less=ours)
        ours, theirs = single["cold"][0]["total_s"], one["traits_s"][0]
        self.row("P1", "the same, 1 thread", seconds(ours), f"DuckDB: {seconds(theirs)}",
                 theirs / ours, "", None, less=ours)

    def plain(self):
        size = ["--learners", 20_000 if self.quick else 100_000, "--threads", 2]
        fast = run_json([self.cold_batch, *size, "--repeat", self.repeat])
        slow = run_json([self.cold_batch, *size, "--repeat", 1, "--engine", "baseline"])
        self.raw["plain"] = {"fast": fast, "baseline": slow}
        ours = median(run["total_s"] for run in fast["cold"])
        theirs = slow["cold"][0]["total_s"]
        self.row("P1", f"cold batch, {count(size[1])} learners", seconds(ours),
                 f"engine=baseline: {seconds(theirs)}", theirs / ours, "", None, less=ours)
        events_csv, traits_csv = self.work / "events.csv", self.work / "traits.csv"
        run([self.cold_batch, *size, "--repeat", 1, "--events-csv", events_csv, "--traits-csv",
             traits_csv])
        old = run_json(["node", "--max-old-space-size=12288", PEERS / "old_path.mjs", events_csv,
                        traits_csv, AS_OF, 3])
        events_csv.unlink()
        self.raw["plain"]["old"] = old
        if old["missing"] or old["difference"] is None or not old["difference"] <= 1e-6:
            raise Failed(f"the old path's traits differ from Covey's by {old['difference']}, with "
                         f"{old['missing']} learners in one of the two only")
        theirs = median(a + b for a, b in zip(old["traits_s"], old["three_s"]))
        slower = median(a + b for a, b in zip(old["traits_s"], old["five_s"]))
        self.row("P1", f"cold batch, {count(size[1])} learners", seconds(ours),
                 f"the old JavaScript, grouped by three traits in two iterations: "
                 f"{seconds(theirs)}; by five in ten: {seconds(slower)}", theirs / ours, "", None, less=ours)

    # P2, P8, P10: live re-discovery, memory, growth.

    def growth(self):
        sizes = (50_000, 100_000, 250_000) if self.quick else (100_000, 1_000_000, 5_000_000)
        # A fold brings each learner as many events at every size: else the smallest would have its
        # five million at once, 50 a learner, and the largest three at a time.
        def measured(n, rediscover):
            return run_json([self.cold_batch, "--learners", n, "--threads", 2, "--stream", "--rediscover",
                             rediscover, "--batch-events", (n << 22) // sizes[-1], "--fold-events",
                             (n << 24) // sizes[-1]])

        runs = [measured(n, self.repeat) for n in sizes]
        # A fold of the smaller ones is over in a moment, so what else the machine does weighs more.
        folds = [[measured(n, 0)["cold"][0]["apply_s"] for _ in range(2)] if n < sizes[-1] else [] for n in sizes]
        for again, r in zip(folds, runs):
            again.append(r["cold"][0]["apply_s"])
        self.raw["growth"] = runs
        self.raw["folds"] = folds
        largest = runs[-1]
        live = median(run["total_s"] for run in largest["live"])
        self.row("P2", f"live re-discovery, {count(sizes[-1])} learners, k = "
                 f"{largest['live'][-1]['k']} found", seconds(live),
                 f"{count(sizes[-1] / live * 60)} learners/min; target was 15.6 M",
                 sizes[-1] / live * 60 / 15.6e6, "< 3 s at 5 M",
                 None if self.quick else live < 3, less=live)
        engine = largest["engine_bytes"] / sizes[-1]
        resident = largest["resident_bytes"] / sizes[-1]
        self.row("P8", f"memory per learner, {count(sizes[-1])} learners", f"{engine:.0f} B",
                 f"resident {resident:.0f} B", None, "< 1,000 B", max(engine, resident) < 1000, less=engine)
        costs = {
            "fold": [median(fold) for fold in folds],
            "re-discovery": [median(run["total_s"] for run in r["live"]) for r in runs],
            "memory": [r["engine_bytes"] for r in runs],
        }
        slopes = {what: slope(sizes, cost) for what, cost in costs.items()}
        self.raw["slopes"] = slopes
        # Less than linear is no fault: a fixed part weighs on the smallest size.
        self.row("P10", "growth over " + ", ".join(count(n) for n in sizes) + " learners",
                 ", ".join(f"{what} {s:.2f}" for what, s in slopes.items()), "linear: 1.00",
                 None, "slope <= 1.10", max(slopes.values()) <= 1.10, less=max(slopes.values()))

    # P3: one Lloyd pass.

    def lloyd(self):
        learners = 1_000_000
        theirs, source = SKLEARN_RECORDED, "recorded on another machine"
        if (SKLEARN / "complete").exists():
            library = SKLEARN / "usr/lib/x86_64-linux-gnu"
            peer = run_json(
                ["/usr/bin/python3", PEERS / "sklearn_lloyd.py", learners, 2, self.repeat],
                {"PYTHONPATH": str(SKLEARN / "usr/lib/python3/dist-packages"),
                 "LD_LIBRARY_PATH": f"{library}/blas:{library}/lapack:{library}"})
            self.raw["sklearn"] = peer
            theirs = {k: median(peer[f"k{k}_s"]) for k in (5, 8)}
            source = f"scikit-learn {peer['version']}"
        found = run_json([self.build / "bench/cohorts_bench", "--benchmark_format=json",
                          "--benchmark_filter=^pass/avx.*_2_threads/1000000/",
                          f"--benchmark_repetitions={self.repeat}",
                          "--benchmark_report_aggregates_only=true"])
        self.raw["cohorts_bench"] = found
        for k in (5, 8):
            passes = {b["run_name"].split("/")[1]: b["real_time"] / 1e3
                      for b in found["benchmarks"]
                      if b.get("aggregate_name") == "median" and f"/{learners}/{k}/" in b["name"] + "/"
                      and not b.get("error_occurred")}
            if not passes:
                raise Failed("cohorts_bench ran no pass with AVX on 1 M learners")
            isa, ours = min(passes.items(), key=lambda item: item[1])
            self.row("P3", f"one Lloyd pass, {count(learners)} x 5, k = {k}, {isa.split('_')[0]}",
                     seconds(ours), f"{source}: {seconds(theirs[k])}", theirs[k] / ours, ">= 4 x",
                     theirs[k] / ours >= 4, less=ours)

    # P4: import.

    def imports(self):
        learners = 20_000 if self.quick else 100_000
        file = self.work / "events.ndjson"
        run([self.covey, "simulate", "--learners", learners, "--events-per-learner", 50, "--out", file])
        ours = []
        for _ in range(self.repeat):
            data = self.work / "import-store"
            took, out = timed([self.covey, "import", "--data", data, "--format", "ndjson", file,
                               "--json"])
            receipt = json.loads(out)
            ours.append(took)
            shutil.rmtree(data)
        peer = run_json(["node", PEERS / "duckdb.mjs", "import", file, self.work / "duck.db", 2,
                         self.repeat])
        file.unlink()
        self.raw["import"] = {"covey_s": ours, "receipt": receipt, "duckdb": peer}
        if receipt["accepted"] != peer["events"] or receipt["rejected"]:
            raise Failed(f"covey accepted {receipt['accepted']} of {peer['events']} events")
        rate = peer["events"] / median(ours)
        what = f"import of {count(peer['events'])} events, NDJSON, durable"
        for kind, place in (("file", "into a file"), ("memory", "into memory, not durable")):
            theirs = median(peer[f"{kind}_s"])
            goal = (">= 500 k/s", rate >= 500_000) if kind == "file" else ("", None)
            self.row("P4", what, f"{count(rate)} events/s",
                     f"DuckDB read_json {place}: {count(peer['events'] / theirs)}/s",
                     theirs / median(ours), *goal, more=rate)

    # E1: an experiment's analysis from the store.

    def experiment(self):
        learners = 250_000 if self.quick else 5_000_000
        example = ROOT / "examples/ab-revenue.yaml"
        file, arms, data = self.work / "trial.ndjson", self.work / "arms.csv", self.work / "trial"
        run([self.covey, "simulate", "--experiment", example, "--learners", learners,
             "--events-per-learner", 5, "--out", file])
        run([self.covey, "import", "--data", data, "--format", "ndjson", file])
        ids = "".join(f"sim-{i:07}\n" for i in range(learners))
        with open(arms, "wb") as out:
            subprocess.run([self.covey, "experiment", "assign", example], input=ids.encode(), stdout=out,
                           timeout=STEP_SECONDS, check=True)
        ours = []
        for _ in range(self.repeat):
            took, out = timed([self.covey, "experiment", "analyze", example, "--data", data, "--json"])
            ours.append(took)
        told = json.loads(out)
        shutil.rmtree(data)
        peer = run_json(["node", PEERS / "duckdb.mjs", "experiment", file, self.work / "duck.db",
                         arms, 2, self.repeat])
        file.unlink()
        self.raw["experiment"] = {"covey_s": ours, "duckdb": peer,
                                  "memory_bytes": told["memory_bytes"]}
        by_name = {metric["name"]: metric for metric in told["metrics"]}
        for arm, means in peer["means"].items():
            for name in ("revenue", "churn", "completion", "order_value"):
                mine = by_name[name][arm]
                if mine["n"] != means["n"] or abs(mine["mean"] - means[name]) > 1e-9:
                    raise Failed(f"{name} of {arm}: {mine} against DuckDB's {means}")
        theirs = median(peer["analysis_s"])
        what = f"A/B analysis, {count(learners)} learners x 5 metrics x 10 segments"
        self.row("E1", f"{what}, {count(peer['events'])} events", seconds(median(ours)),
                 f"DuckDB, the same moments: {seconds(theirs)}", theirs / median(ours),
                 "< 10 s at 5 M", None if self.quick else median(ours) < 10,
                 less=median(ours))

    # R1, R2: what following a rollout costs, apart from the balancer's own work, and who watches it.

    def follow(self, name, lines_per_second, length, readers=0, hours=0):
        """Share of a core that the control plane takes, and how many lines it took in. With `hours` it
        goes on with a rollout that is so old."""
        plan = self.work / f"{name}.yaml"
        free = [free_port() for _ in range(3)]
        text = (ROOT / "plans/learner-platform.yaml").read_text()
        for old, new in zip((8081, 8082, 8080), free):
            text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
        text = re.sub(r"(?ms)^channels:.*?\n\n", "", text)
        plan.write_text(text)
        folder = self.work / name
        if hours:
            self.raw[name] = run_json([self.busy_rollout, "--plan", plan, "--journal", folder, "--hours", hours])
        server = Server(
            [self.covey, "control", "--plan", plan, "--journal", folder, "--begin", "now", "--listen",
             "127.0.0.1:0", "--reports", self.work / "reports", "--compares-per-second", 0],
            self.work / "control.log", listening=r"http://[^:]+:(\d+)")
        try:
            with server, socket.socket(socket.AF_UNIX) as lines, \
                    Dashboards(server, readers) as watching:
                lines.connect(str(folder / "haproxy/lines.sock"))
                number, begun, cpu, wall = 0, time.monotonic(), None, None
                while (now := time.monotonic() - begun) < length + 2:
                    if cpu is None and now > 2:  # connections and first slots are behind us
                        cpu, wall = cpu_seconds(server.process.pid), time.monotonic()
                    out = []
                    ms = int(time.time() * 1e3)
                    while number < now * lines_per_second:
                        number += 1
                        arm = "c" if number % 10 == 0 else "b"
                        text = (f"covey1 {number} {os.getpid()} {ms} 3 200 -- {'candidate' if arm == 'c' else 'baseline'}"
                                f" 0 {arm} 1000 {number * 7919 % 10000} {1500 + number % 3000}"
                                f" us-east AAA-2013J%2F{number % 99991}")
                        out.append(f"{len(text)} {text}")
                    lines.sendall("".join(out).encode())
                    watching.turn()
                    time.sleep(0.02)
                used = cpu_seconds(server.process.pid) - cpu
                share = used / (time.monotonic() - wall)
                metrics = server.get("/metrics")[1].decode()
                if readers and watching.statuses < readers * length / 5 * 0.8:
                    raise Failed(f"{readers} dashboards saw only {watching.statuses} statuses")
                if readers:
                    self.raw[name] |= {"statuses": watching.statuses, "bytes": watching.bytes}
        finally:
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((folder / "haproxy/haproxy.pid").read_text()), signal.SIGTERM)
        taken = int(re.search(r"^covey_telemetry_lines_total (\d+)$", metrics, re.M)[1])
        lost = int(re.search(r"^covey_telemetry_lines_lost_total (\d+)$", metrics, re.M)[1])
        if taken < number * 0.99 or lost:
            raise Failed(f"of {number} lines {taken} were taken in and {lost} lost")
        return share, taken

    def controller(self):
        rate, length = 20_000, 10 if self.quick else 30
        share, taken = self.follow("rollout", rate, length)
        self.raw["controller"] = {"lines": taken, "seconds": length, "core": share}
        self.row("R1", f"following a rollout, {count(rate)} lines/s of 9 segments, slots of 5 s",
                 f"{share * 100:.2g} % of a core", "", None, "< 5 % of a core", share < 0.05,
                 less=share)

    def dashboards(self):
        rate, length, readers = 2_000, 10 if self.quick else 30, 50
        alone, _ = self.follow("unwatched", rate, length, hours=6)
        watched, _ = self.follow("watched", rate, length, readers, hours=6)
        day = self.raw["watched"]
        if day["situation"] != "running":
            raise Failed(f"the rollout should run, and is {day['situation']}")
        self.raw["dashboards"] = {"readers": readers, "alone": alone, "watched": watched}
        self.row("R2", f"{readers} dashboards open on Live, half 15 min, half 6 h; a rollout of "
                 f"{day['hours']} h, {day['records']} records, {day['incidents']} incidents, "
                 f"{count(day['status_bytes'])}B a status",
                 f"{watched * 100:.2g} % of a core", f"unwatched {alone * 100:.2g} %",
                 None, "< 10 % of a core", watched < 0.1, less=watched)

    # A1: do cohorts find archetypes that are known, and did the old system's?

    def archetypes(self):
        learners = 10_000 if self.quick else 50_000
        # A year of the preset has most of its learners under way; later most have left.
        for preset, options, as_of in (("the default population", [], AS_OF_TEXT),
                                       ("--preset oulad", ["--preset", "oulad"], "2023-10-01T00:00:00Z")):
            files = {name: self.work / f"archetypes-{name}" for name in
                     ("events.ndjson", "truth.csv", "members.csv", "traits.csv", "store")}
            run([self.covey, "simulate", "--learners", learners, "--out", files["events.ndjson"], "--truth",
                 files["truth.csv"], *options])
            run([self.covey, "import", "--data", files["store"], "--format", "ndjson", files["events.ndjson"]])
            at = ["--data", files["store"], "--as-of", as_of]
            found = run_json([self.covey, "discover", *at, "--truth", files["truth.csv"], "--members",
                              files["members.csv"], "--json"])
            files["traits.csv"].write_text(run([self.covey, "traits", *at, "--csv"]))
            peer = run_json(["node", PEERS / "old_kmeans.mjs", files["traits.csv"], files["truth.csv"],
                             files["members.csv"]])
            ours = found["truth"]["adjusted_rand_index"]
            if abs(ours - peer["covey"]) > 1e-9:
                raise Failed(f"the peer counts {peer['covey']} for our cohorts, we {ours}")
            best = peer["old_at_its_best"]["adjusted_rand_index"]
            self.raw.setdefault("A1", {})[preset] = {"covey": ours, "k": found["k"], **peer}
            self.row("A1", f"adjusted Rand index against hidden archetypes, {preset}, "
                     f"{count(peer['learners'])} learners", f"{ours:.3f}",
                     f"old k-means: {peer['old']:.3f}; best of 60 ways, chosen by the truth: {best:.3f}",
                     ours / peer["old"] if peer["old"] > 0 else None, "above the old one's", ours > peer["old"],
                     more=ours)
            for path in files.values():
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    # R3: a rehearsal of four months, as a process.

    def rehearsal(self):
        command = [self.covey, "plan", "rehearse", "plans/learner-platform.yaml", "--seed", "1", "--json"]
        took, passed, hours = [], 0, 0
        for _ in range(3 if self.quick else 5):
            each, out = timed(command)
            told = json.loads(out)
            hours = told["virtual_hours"]
            passed = sum(phase["outcome"] == "passed" for phase in told["phases"])
            if passed != len(told["phases"]) or told["invariants"]["broken"]:
                raise Failed(f"{passed} of {len(told['phases'])} phases passed, "
                             f"{told['invariants']['broken']} invariants broken")
            took.append(each)
        self.raw["rehearsal"] = {"seconds": took, "virtual_hours": hours}
        self.row("R3", f"rehearsing {hours:.0f} hours, {passed} phases", seconds(median(took)), "",
                 None, "< 10 s", median(took) < 10, less=median(took))

    # P5: ingest over HTTP.

    def serve(self, data, *options):
        return Server([self.covey, "serve", "--data", data, "--listen", "127.0.0.1:0", "--engine",
                       "fast", *options], self.work / "serve.log", listening=r"http://[^:]+:(\d+)")

    def load(self, server, *options):
        """What `covey load` measured of each kind of request; nothing may fail."""
        told = run_json([self.covey, "load", f"http://127.0.0.1:{server.port}", "--json", *options])
        for kind, found in told["kinds"].items():
            if found["error_rate"] > 0 or found["ok"] == 0:
                raise Failed(f"{kind}: {({k: v for k, v in found.items() if isinstance(v, int)})}")
            # Nearly all of the answer, and of no use once it is a file of results.
            for long in ("histogram_us", "series"):
                del found[long]
        return told["kinds"] | {"generator": told["generator"]}

    def posts(self):
        learners = 20_000 if self.quick else 100_000
        events = 200_000 if self.quick else 1_000_000
        rates, runs = [], []
        with self.serve(self.work / "post-store") as server:
            server.ready()
            for i in range(self.repeat):
                runs.append(self.load(server, "--population", learners, "--events-per-learner", 20,
                                      "--end", self.today, "--id-prefix", f"{i}-", "--ingest",
                                      "max", "--events", events, "--ingest-connections", 8,
                                      "--for", "0s"))
                rates.append(runs[-1]["ingest"]["events_per_second"])
        self.raw["posts"] = runs
        rate = median(rates)
        p99 = median(r["ingest"]["latency_ms"]["p99"] for r in runs)
        self.row("P5", "POST /v1/events, durable, batches of 1,000, 8 connections",
                 f"{count(rate)} events/s", f"P99 {p99:.1f} ms a batch", None, ">= 200 k/s",
                 rate >= 200_000, more=rate)

    # P6, P7, P9: a service that holds many learners.

    def service(self):
        learners, each = (50_000, 20) if self.quick else (1_000_000, 50)
        data = self.work / "store"
        say(f"importing {count(learners * each)} events of {count(learners)} learners")
        makes = subprocess.Popen(
            [str(self.covey), "simulate", "--learners", str(learners), "--events-per-learner", str(each),
             "--end", self.yesterday, "--out", "-"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        reads = subprocess.run(
            [str(self.covey), "import", "--data", str(data), "--format", "ndjson", "--source",
             "simulated", "-", "--json"],
            stdin=makes.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=STEP_SECONDS, check=False)
        makes.stdout.close()
        makes.wait(60)
        if reads.returncode != 0:
            raise Failed(f"covey import: {reads.stderr.decode(errors='replace')[-300:]}")
        self.raw["service_import"] = json.loads(reads.stdout)

        load = ["--population", learners, "--end", self.today, "--days", 1,
                "--events-per-learner", 20]
        behind = 100_000 if self.quick else 1_000_000
        server = self.serve(data, "--snapshot-events", NEVER)
        try:
            server.ready()
            self.load(server, *load, "--id-prefix", "behind-", "--ingest", "max", "--events", behind,
                      "--for", "0s")
            starts = []
            for _ in range(3):
                # Killed, so that no snapshot is taken on the way out and the log stays behind it.
                server.end(signal.SIGKILL)
                server = self.serve(data, "--snapshot-events", NEVER)
                starts.append(server.ready())
            self.raw["starts_s"] = starts
            self.row("P9", f"start-up, {count(learners)} learners: snapshot + {count(behind)} "
                     "events of log", seconds(median(starts)), "", None, "< 10 s at 1 M",
                     None if self.quick else median(starts) < 10,
                     less=median(starts))
            if self.wants("P6"):
                self.lookups(server, learners)
            memory = server.resident_bytes() / learners
            self.raw["service_resident_bytes_per_learner"] = memory
            self.row("P8", f"the whole service, {count(learners)} learners", f"{memory:.0f} B",
                     "resident, with log buffers and known ids", None, "", None, less=memory)
            if self.wants("P7"):
                self.mixed(server, load)
        finally:
            server.end()

    def lookups(self, server, learners):
        status, answer = server.get("/v1/learners/sim-0000001")
        if status != 200:
            raise Failed(f"GET /v1/learners/sim-0000001: {status}")
        length = 3 if self.quick else 10

        def load(port):
            out = run(["wrk", "-t1", "-c32", f"-d{length}s", "--latency", "-s",
                       PEERS / "lookups.lua", f"http://127.0.0.1:{port}"],
                      {"COVEY_BENCH_LEARNERS": str(learners)})
            if bad := re.search(r"Non-2xx.*|Socket errors.*", out):
                raise Failed(f"wrk: {bad.group()}")
            return float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))

        ours, theirs = [], []
        with self.nginx(answer) as peer:
            for _ in range(self.repeat):
                ours.append(load(server.port))
                theirs.append(load(peer.port))
        self.raw["lookups"] = {"covey": ours, "nginx": theirs, "bytes": len(answer)}
        ratio = median(ours) / median(theirs)
        self.row("P6", f"GET /v1/learners/ID, {count(learners)} learners, keep-alive 32",
                 f"{count(median(ours))} req/s", f"nginx, a static file: {count(median(theirs))}",
                 ratio, ">= 0.3 x", ratio >= 0.3, more=median(ours))

    def nginx(self, answer):
        """Answers every look-up with one file of the same size, as fast as it can."""
        home = self.work / "nginx"
        home.mkdir(exist_ok=True)
        (home / "answer.json").write_bytes(answer)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        (home / "nginx.conf").write_text(f"""
daemon off; worker_processes 2; pid {home}/pid; error_log stderr error;
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
  open_file_cache max=16; default_type application/json;
  client_body_temp_path {home}/a; proxy_temp_path {home}/b; fastcgi_temp_path {home}/c;
  uwsgi_temp_path {home}/d; scgi_temp_path {home}/e;
  server {{ listen 127.0.0.1:{port}; root {home};
            location / {{ try_files /answer.json =404; }} }}
}}
""")
        path = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        os.chmod(self.work, 0o755)  # its workers are another user
        server = Server([path, "-c", home / "nginx.conf", "-p", home], self.work / "nginx.log",
                        port=port)
        server.wait(lambda: server.get("/v1/learners/x")[0] == 200, "answer", 10)
        return server

    def mixed(self, server, load):
        length = 8 if self.quick else 20
        ingest = 100_000
        # It may still be reading which ids are known, seconds for tens of millions; then events wait.
        self.load(server, *load, "--id-prefix", "first-", "--ingest", "max", "--events", 1000, "--patience",
                  "60s", "--for", "0s")
        found = self.load(server, *load, "--id-prefix", "mixed-", "--rate", 5000, "--connections", 32,
                          "--ingest", ingest, "--ingest-connections", 8, "--discover", "max",
                          "--for", f"{length}s")
        self.raw["mixed"] = found
        latency = found["lookups"]["latency_ms"]
        rate = found["ingest"]["events_per_second"]
        self.row("P7", f"look-up P99 at 5,000/s, {count(rate)} events/s in, "
                 f"{found['discover']['ok']} discoveries", f"{latency['p99']:.2f} ms",
                 f"P50 {latency['p50']:.2f}, P99.9 {latency['p999']:.2f} ms", None, "< 20 ms",
                 latency["p99"] < 20 and rate >= 0.95 * ingest, less=latency["p99"])
        self.tail(server, load, ingest, ["--id-prefix", "beside-", "--ingest", ingest, "--ingest-connections", 8,
                                         "--discover", "max"])

    def tail(self, server, load, ingest, work):
        """How much of the tail is the machine's: what nginx's static answer takes in its turn while
        the service does the same work. Events and discoveries are asked for by a process of their own."""
        length = 8 if self.quick else 20
        status, answer = server.get("/v1/learners/sim-0000001")
        if status != 200:
            raise Failed(f"GET /v1/learners/sim-0000001: {status}")
        url = f"http://127.0.0.1:{server.port}"
        told = {}
        with self.nginx(answer) as peer:
            for beside, options in (("nothing", None), ("events and discoveries", work)):
                with contextlib.ExitStack() as stack:
                    busy = stack.enter_context(Busy(self.covey, server, [*load, *options])) if options else None
                    told[beside] = run_json(
                        [self.covey, "load", url, "--against", f"http://127.0.0.1:{peer.port}",
                         *load[:2], "--rate", 5000, "--connections", 32, "--for", f"{2 * length}s",
                         "--block", "2s", "--json"])
                    if busy:
                        busy.done(0.95 * ingest)
        self.raw["tail"] = {}
        for beside, both in told.items():
            sides = [side["kinds"]["lookups"] for side in (both, both["against"])]
            if any(side["error_rate"] > 0 for side in sides):
                raise Failed(f"look-ups beside {beside} failed")
            ours, theirs = ({"p99": side["latency_ms"]["p99"], "p50": side["latency_ms"]["p50"],
                             "own_p99": side["generator_lag_ms"]["p99"]} for side in sides)
            self.raw["tail"][beside] = {"covey": ours, "nginx": theirs}
            self.row("P7", f"look-ups at 5,000/s, a process of their own, beside {beside}",
                     f"P99 {ours['p99']:.2f} ms", f"nginx, a static file, in turn: {theirs['p99']:.2f} ms; "
                     f"the generator's own lateness: {theirs['own_p99']:.2f} ms",
                     theirs["p99"] / ours["p99"], "", None)

    # L1: the generator itself.

    def generator(self):
        """wrk and `covey load` in turn on the same nginx: both wait for answers, one thread each."""
        length, connections = 3 if self.quick else 10, 32
        wrk, ours, paced = [], [], []
        with self.nginx(b'{"learner":"x"}' + b" " * 400) as peer:
            url = f"http://127.0.0.1:{peer.port}"
            for _ in range(self.repeat):
                out = run(["wrk", "-t1", f"-c{connections}", f"-d{length}s", "--latency",
                           f"{url}/v1/learners/sim-0000001"])
                if bad := re.search(r"Non-2xx.*|Socket errors.*", out):
                    raise Failed(f"wrk: {bad.group()}")
                p50 = re.search(r"50%\s+([\d.]+)(us|ms)", out)
                wrk.append((float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)),
                            float(p50.group(1)) / (1e3 if p50.group(2) == "us" else 1)))
                options = ("--population", 1_000_000, "--connections", connections, "--for",
                           f"{length}s")
                found = self.load(peer, *options, "--rate", "max")["lookups"]
                ours.append((found["ok_per_second"], found["latency_ms"]["p50"]))
                # Half of what wrk found, open-loop: what the same server's learners feel.
                paced.append(self.load(peer, *options, "--rate", round(wrk[-1][0] / 2)))
        self.raw["generator"] = {"wrk": wrk, "load": ours, "paced": paced}
        rates = [median(r for r, _ in runs) for runs in (ours, wrk)]
        p50s = [median(p for _, p in runs) for runs in (ours, wrk)]
        self.row("L1", f"covey load, one after another, {connections} connections, nginx's static "
                 "file", f"{count(rates[0])} req/s, P50 {p50s[0]:.2f} ms",
                 f"wrk: {count(rates[1])}, {p50s[1]:.2f} ms", rates[0] / rates[1], ">= 0.8 x",
                 rates[0] >= 0.8 * rates[1], more=rates[0])
        lag = median(p["lookups"]["generator_lag_ms"]["p99"] for p in paced)
        self.row("L1", "the same open-loop, at half of wrk's rate",
                 f"P50 {median(p['lookups']['latency_ms']['p50'] for p in paced):.2f} ms",
                 f"own lateness, P99: {lag:.2f} ms", None, "", None, less=lag)


def machine():
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    governor = pathlib.Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    flags = next(
        (entry["command"] for entry in json.loads((BUILD / "compile_commands.json").read_text())
         if entry["file"].endswith("/learners/fast.cpp")), "")
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    dirty = subprocess.run([*git, "status", "--porcelain", "src", "bench"], capture_output=True,
                           text=True, check=False).stdout
    return {
        "commit": head.stdout.strip() + ("+changes" if dirty.strip() else ""),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": cpu.group(1) if cpu else "unknown",
        "cores": os.cpu_count(),
        "governor": governor.read_text().strip() if governor.exists() else "unknown",
        "kernel": os.uname().release,
        "load_average_at_start": os.getloadavg()[0],
        "flags": " ".join(part for part in flags.split() if re.match(r"-[OWfmDg]|-std", part)),
    }


def print_table(facts, rows):
    marks = {True: "pass", False: "MISS", None: ""}
    cells = [("row", "work", "covey", "peer", "ratio", "first goal", "")]
    for row in rows:
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.3g} x"
        small = row["held"] is None and row["goal"]
        cells.append((row["row"], row["work"], row["covey"], row["peer"], ratio, row["goal"],
                      "too small" if small else marks[row["held"]]))
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    print(f"{facts['cpu']}, {facts['cores']} cores, load {facts['load_average_at_start']:.1f} at "
          f"start; commit {facts['commit'][:12]}, {facts['date']}\n")
    for line in cells:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())


def measure(options, only, build, work):
    """Every row that is wanted, of one build."""
    bench = Bench(options.quick, only, work, build)
    bench.step(["P1"], "cold batch", bench.cold)
    bench.step(["P1"], "the plain engine", bench.plain)
    bench.step(["P3"], "one Lloyd pass", bench.lloyd)
    bench.step(["P4"], "import", bench.imports)
    bench.step(["E1"], "an experiment's analysis", bench.experiment)
    bench.step(["A1"], "archetypes that are known", bench.archetypes)
    bench.step(["R1"], "following a rollout", bench.controller)
    bench.step(["R2"], "dashboards", bench.dashboards)
    bench.step(["R3"], "a rehearsal of the whole calendar", bench.rehearsal)
    bench.step(["L1"], "the load generator", bench.generator)
    bench.step(["P5"], "ingest over HTTP", bench.posts)
    bench.step(["P6", "P7", "P9"], "a service with many learners", bench.service)
    bench.step(["P2", "P8", "P10"], "re-discovery, memory and growth", bench.growth)
    bench.rows.sort(key=lambda row: (row["row"][0] != "P", int(row["row"][1:])))
    return bench


def fresh(work, name):
    path = work / name
    path.mkdir()
    return path


def compare(mine, theirs):
    """Medians of both builds' rows, by place: what stands in a row's text may differ by what was found."""

    def medians(benches):
        found = {}
        for bench in benches:
            seen = {}
            for row in bench.rows:
                place = (row["row"], seen.setdefault(row["row"], 0))
                seen[row["row"]] += 1
                way = "less" if row["less"] is not None else "more"
                if row[way] is not None:
                    found.setdefault(place, (row["work"], way, []))[2].append(row[way])
        return found

    before, out = medians(theirs), []
    for place, (work, way, values) in medians(mine).items():
        if place not in before:
            continue
        new, old = median(values), median(before[place][2])
        out.append({"row": place[0], "work": work, "now": new, "then": old, "better": way,
                    "ratio": new / old if way == "less" else old / new})
    return out


def print_comparison(rows, name):
    print(f"\nagainst {name}, in alternation: what it costs now, of what it cost then")
    for row in rows:
        note = "SLOWER" if row["ratio"] > 1 + TOLERATED else "faster" if row["ratio"] < 1 - TOLERATED else ""
        print(f"{row['row']:<4} {row['ratio']:6.3f} x  {row['now']:>10.4g} was {row['then']:>10.4g}  "
              f"{note:<6}  {row['work']}")


def main():
    parser = argparse.ArgumentParser(description="Measures Covey beside its peers.")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer repeats")
    parser.add_argument("--check", action="store_true",
                        help="exit code 3 when a goal is missed; with --against, when a row is 10 %% worse")
    parser.add_argument("--only", default="", help="rows, such as P1,P4")
    parser.add_argument("--against", type=pathlib.Path, help="another build, to be measured in alternation")
    parser.add_argument("--rounds", type=int, default=3, help="with --against: times each is measured")
    options = parser.parse_args()
    only = [row for row in options.only.upper().split(",") if row]
    if unknown := [row for row in only if row not in {"E1", "A1", "L1", "R1", "R2", "R3", *(f"P{i}" for i in range(1, 11))}]:
        parser.error(f"--only {','.join(unknown)}: rows are P1 to P10, A1, E1, L1 and R1 to R3")
    if options.against and not (options.against / "src/app/covey").exists():
        parser.error(f"--against {options.against}: there is no build in it")
    facts = machine()
    if facts["load_average_at_start"] > 0.5 * facts["cores"]:
        say(f"the machine is busy (load {facts['load_average_at_start']:.1f}): figures will be low")
    start = time.monotonic()
    mine, theirs = [], []
    # Beside the results, so that stores are on the disk of the checkout, not in memory.
    with contextlib.ExitStack() as stack:
        work = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(dir=BUILD)))
        os.chmod(work, 0o755)  # nginx' workers are another user
        for i in range(options.rounds if options.against else 1):
            mine.append(measure(options, only, BUILD, fresh(work, f"now-{i}")))
            if options.against and not mine[-1].stopped:
                theirs.append(measure(options, only, options.against, fresh(work, f"then-{i}")))
            stopped = any(bench.stopped for bench in mine + theirs)
            if stopped:
                break
    whole = [b for b in mine if not b.stopped]
    bench = (whole or mine)[-1]
    facts["minutes"] = (time.monotonic() - start) / 60
    told = facts | {"quick": options.quick, "rows": bench.rows, "raw": bench.raw}
    if options.against:
        told["against"] = {"build": str(options.against), "rows": compare(mine, theirs)}
    # The last run, and what each commit gave: a later one is compared with it by --against, not by memory.
    kept = BUILD / "results" / f"{facts['commit'][:12]}{'+changes' if '+' in facts['commit'] else ''}-{facts['date'].replace(':', '')}.json"
    kept.parent.mkdir(exist_ok=True)
    for results in (kept, BUILD / "results.json"):
        results.write_text(json.dumps(told, indent=1) + "\n")
    print_table(facts, bench.rows)
    worse = False
    if options.against:
        print_comparison(told["against"]["rows"], options.against)
        worse = any(row["ratio"] > 1 + TOLERATED for row in told["against"]["rows"])
    print(f"\n{facts['minutes']:.1f} min; all figures: {kept.relative_to(ROOT)}")
    if stopped:
        say("interrupted: only what was measured before it is above")
        return 130
    if any("failures" in b.raw for b in mine + theirs):
        return 1
    missed = worse if options.against else any(row["held"] is False for row in bench.rows)
    return 3 if options.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
