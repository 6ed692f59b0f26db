"""What the benches share: lines with a target, processes and what they cost, a manager to measure."""
import json
import os
import pathlib
import resource
import select
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path("build/release")  # set by run
COUNT, MINUTES = 50, 60  # likewise
MIB, LARGE = 256, False
TICK = os.sysconf("SC_CLK_TCK")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


def program(name):
    for path in (BUILD / name, BUILD / "tests/bench" / name, BUILD / "tests/cluster" / name):
        if path.exists():
            return path
    raise Skip(f"{name} is not built in {BUILD}")


class Skip(Exception):
    """Why a bench cannot run here."""


class Line:
    """One thing measured. good: whether the target is held; None when the line has no target."""

    def __init__(self, what, value, unit, raw=None, target=None, limit=None, ratio_limit=None,
                 at_least=False, note="", count=None):
        self.what, self.value, self.unit, self.raw = what, value, unit, raw
        self.ratio = value / raw if raw else None
        self.note, self.count = note, count
        self.target = target
        checks = []
        if limit is not None:
            checks.append(value >= limit if at_least else value <= limit)
        if ratio_limit is not None and self.ratio is not None:
            checks.append(self.ratio >= ratio_limit if at_least else self.ratio <= ratio_limit)
        self.good = all(checks) if checks else None

    def record(self):
        return {"what": self.what, "value": round(self.value, 4), "unit": self.unit,
                "raw": None if self.raw is None else round(self.raw, 4),
                "ratio": None if self.ratio is None else round(self.ratio, 3),
                "target": self.target, "ok": self.good, "note": self.note}


class Report:
    def __init__(self, quiet):
        self.quiet, self.lines, self.skipped = quiet, [], []
        self.name = ""

    def add(self, *arguments, **options):
        line = Line(*arguments, **options)
        self.lines.append((self.name, line))
        if not self.quiet:
            number = lambda value: "-" if value is None else f"{value:,.3g}" if value < 100 else f"{value:,.0f}"
            verdict = {True: "ok", False: "MISSED", None: ""}[line.good]
            print(f"  {line.what:<58} {number(line.value):>9} {line.unit:<9} raw {number(line.raw):>8}  "
                  f"ratio {number(line.ratio):>6}  target {line.target or '-':<24} {verdict:<6} {line.note}", flush=True)
        return line

    def say(self, text):
        print(text, file=sys.stderr if self.quiet else sys.stdout, flush=True)


# -- processes --
def cpu_s(pid):
    """Processor seconds of a process with all its threads, by the scheduler's own count (nanoseconds);
    /proc/PID/stat counts whole ticks, and who was running when one came."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            total += int(pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError, ValueError):
            pass
    return total / 1e9


def children_s():
    """Processor seconds of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def ticks_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def rss_kib(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_KIB


def ended(process):
    if process.poll() is None:
        process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            pipe.close()


def descriptors_raise():
    """As many open files as may be; the programs that need them inherit it. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100000, max(hard, 100000)))
        return 100000
    except (ValueError, PermissionError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return hard


def loaded():
    """How busy the rest of the machine is: processes that want to run."""
    return float(pathlib.Path("/proc/loadavg").read_text().split()[0])


class Server:
    """A manager, or the raw server, in a directory of its own: start, stop, restart on the same port."""

    def __init__(self, directory):
        self.dir, self.process, self.endpoint, self.log = pathlib.Path(directory), None, "tcp://127.0.0.1:*", None

    def command(self):
        raise NotImplementedError

    def start(self, limit_s=60):
        """Returns the seconds from exec to ready."""
        self.log = open(self.dir / "server.log", "ab")
        began = time.monotonic()
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log)
        line = self.process.stdout.readline().decode()
        took = time.monotonic() - began
        if not line.startswith("ready"):
            raise Skip(f"{self.command()[0]} did not start: {(self.dir / 'server.log').read_text()[-800:]}")
        self.endpoint = dict(word.split("=", 1) for word in line.split()[1:])["endpoint"]
        return took

    def stop(self, number=signal.SIGKILL):
        if self.process:
            self.process.send_signal(number)
            self.process.wait(timeout=120)
            self.process.stdout.close()
            self.log.close()
            self.process = None

    @property
    def pid(self):
        return self.process.pid


class Manager(Server):
    def __init__(self, directory, config=""):
        super().__init__(directory)
        self.house = self.dir / "manager"
        (self.dir / "manager.yaml").write_text(config or "profile: default\n")

    def command(self):
        return [program("poolherd-manager"), "--dir", self.house, "--listen", self.endpoint,
                "--config", self.dir / "manager.yaml"]

    @property
    def key(self):
        return json.loads((self.house / "manager.identity").read_text())["public_key"]

    @property
    def database(self):
        return self.house / "inventory.db"

    def enrol(self, public_keys, prefix="b"):
        """Writes agents into the inventory of a manager that is not running."""
        with sqlite3.connect(self.database) as db:
            db.executemany("INSERT INTO identities (name, role, public_key, created_at) VALUES (?, 'agent', ?, 1)",
                           [(f"{prefix}{number:05}", key) for number, key in enumerate(public_keys)])
        db.close()

    def cli(self, *arguments, stdin=None, timeout=120):
        done = subprocess.run([program("poolherd"), "--manager", self.house, *arguments, "--json"], input=stdin, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)
        if done.returncode != 0:
            raise RuntimeError(f"{arguments}: {done.stderr.strip()[:500]}")
        return json.loads(done.stdout) if done.stdout.strip() else None


class RawServer(Server):
    def __init__(self, directory, keys, identity, threads):
        super().__init__(directory)
        self.keys, self.public, self.secret, self.threads, self.term = keys, *identity, threads, 0

    def command(self):
        self.term += 1
        return [program("bench_raw_server"), self.endpoint, self.public, self.secret, self.keys, str(self.term), str(self.threads)]

    @property
    def key(self):
        return self.public


def make_keys(path, count):
    """Key pairs, one a line; returns them as (public, secret)."""
    subprocess.run([program("bench_swarm"), "--keys", path, str(count)], check=True)
    return [tuple(line.split()) for line in pathlib.Path(path).read_text().splitlines()]


class Swarm:
    """`count` agents in as few processes as the limit of open files allows (two for each agent)."""

    def __init__(self, server, keys, count, beat_ms=1000, pools=False, limit=20000):
        self.processes, self.read = [], {}
        first, most = 0, (limit - 200) // 2
        while first < count:
            part = min(most, count - first)
            command = [program("bench_swarm")] + (["--pools"] if pools else []) + [
                server.endpoint, server.key, str(keys), str(first), str(part), str(beat_ms)]
            self.processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            first += part

    def await_(self, event, limit_s, term=None):
        """The moment when all agents had it (of the newest term, or of `term`)."""
        moments = []
        for process in self.processes:
            while True:
                got = json.loads(self._line(process, limit_s, event))
                if got["event"] == event and (term is None or got["term"] == term):
                    moments.append(got["at"])
                    break
        return max(moments)

    def mark(self):
        for process in self.processes:
            process.stdin.write(b"mark\n")
            process.stdin.flush()
        marks = []
        for process in self.processes:
            got = {"event": ""}
            while got["event"] != "mark":
                got = json.loads(self._line(process, 60, "mark"))
            marks.append(got)
        total = {key: sum(mark[key] for mark in marks) for key in ("sent", "answered", "refused", "changes")}
        total.update({key: max(mark[key] for mark in marks) for key in ("p50_us", "p99_us", "max_us", "at")})
        return total

    def _line(self, process, limit_s, what):
        """The next line a process says. Read past Python's buffers, which select() does not see."""
        end = time.monotonic() + limit_s
        while b"\n" not in self.read.setdefault(process.pid, b""):
            if not select.select([process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                raise RuntimeError(f"the swarm did not say \"{what}\" within {limit_s} s")
            more = os.read(process.stdout.fileno(), 4096)
            if not more:
                raise RuntimeError(f"the swarm ended with status {process.wait()}")
            self.read[process.pid] += more
        line, self.read[process.pid] = self.read[process.pid].split(b"\n", 1)
        return line

    def close(self):
        for process in self.processes:
            ended(process)


class Room:
    """A directory that goes away."""

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="poolherd-bench-"))
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


def median(values):
    return statistics.median(values)
