"""Proof 3: real daemons, real faults, and a checker that knows nothing of Poolherd.

Carries out schedules (schedule.py) on a cluster with a network of its own. While faults last, whatever ends is started
again as a service manager would, and an operator goes on declaring. When they have ceased, every pool must run again within
CALM_S, what was acknowledged must be there, and the checker must find nothing.
"""
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import threading
import time

import harness
import network
import schedule
from harness import BUILD, Cluster, CliError, alive, await_, kill
from schedule import MANAGER

CALM_S = 90      # in which everything runs again: a stream's time-out (10 s), back-offs, and a loaded machine
REASON_S = 6     # a take-over may follow its reason so late: lease, wait, and a restarted manager's quiet start
DISK = "96m"     # under the manager's directory
CONFIG = "quarantine_failures: 1000\nactivation_attempts: 20\n"  # both end in states that wait for an operator


def now_s():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class FaultCluster(Cluster):
    def start_manager(self, wait=True, extra=()):
        directory = self.dir / MANAGER
        if not os.path.ismount(directory):
            self.network.mount(directory, DISK)
        self.network.power_on(MANAGER)
        super().start_manager(wait, extra)


class Run:
    def __init__(self, plan, loud):
        self.plan, self.loud = plan, loud
        self.stop = threading.Event()
        self.locks = {name: threading.Lock() for name in [MANAGER] + [f"n{i}" for i in range(1, plan.nodes + 1)]}
        self.down = set()     # what shall not be started again now
        self.windows = []     # (step, from, to), as it really was
        self.problems, self.notes = [], []
        self.acknowledged = {}
        self.network = network.Network()
        self.cluster = FaultCluster(plan.nodes, CONFIG, "copy_stall_s: 5\n", self.network)
        self.log_path = self.cluster.dir / "faults.log"
        self.began = now_s()

    # -- telling --
    def say(self, text):
        line = f"{now_s():.3f} {now_s() - self.began:+8.2f} s  {text}"
        self.notes.append(line)
        with open(self.log_path, "a") as log:
            log.write(line + "\n")
        if self.loud:
            print("  " + line, flush=True)

    def problem(self, text):
        self.problems.append(text)
        self.say("PROBLEM " + text)

    # -- declared and copied before anything goes wrong --
    def declare(self):
        c = self.cluster
        c.apply("pools:\n" + "".join(c.beacon_pool(name, prefer=[node], copies=copies, counts=True, sync_s=2)
                                     for name, node, copies in self.plan.pools))
        c.await_pools(len(self.plan.pools), 40)
        chance = random.Random(self.plan.seed)
        self.files = {}
        for name, _, _ in self.plan.pools:
            self.files[name] = chance.randbytes(50000)
            (c[c.pool(name)["node"]].data(name) / "static").write_bytes(self.files[name])
        for name, _, _ in self.plan.pools:
            for copy in c.pool(name)["copies"]:
                c.await_copy(name, copy["node"], 40)

    # -- what goes on meanwhile --
    def supervise(self):
        """Starts again what ended, as a service manager does."""
        ended = {}
        while not self.stop.wait(0.1):
            for name, process in [(MANAGER, self.cluster.manager)] + [(node.name, node.process) for node in self.cluster.nodes.values()]:
                if name in self.down or process.poll() is None or not self.locks[name].acquire(blocking=False):
                    ended.pop(name, None)
                    continue
                try:
                    if now_s() - ended.setdefault(name, now_s()) > 0.5 and name not in self.down:
                        del ended[name]
                        self.say(f"{name} had ended with {process.returncode} and is started again")
                        self.judge_exit(name, process.returncode)
                        self.start(name)
                finally:
                    self.locks[name].release()

    def judge_exit(self, name, status):
        if status in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGILL):
            self.problem(f"{name} crashed with {signal.Signals(-status).name}")

    def start(self, name):
        if name == MANAGER:
            if self.cluster.manager.stdout:
                self.cluster.manager.stdout.close()
            self.cluster.start_manager(wait=False)
        else:
            self.cluster[name].start()

    def operate(self):
        """Declares one small thing after the other; what is acknowledged must be there in the end."""
        number = 0
        while not self.stop.wait(0.4):
            number += 1
            name, priority = f"declared{number}", number % 1000
            text = json.dumps({"pools": [{"name": name, "driver": "directory", "desired": "inactive", "priority": priority}]})
            done = self.cluster.raw("pool", "apply", "-f", "-", "--json", "--timeout", "2", stdin=text)
            if done.returncode == 0:
                self.acknowledged[name] = priority

    # -- steps --
    def run_step(self, step):
        if self.stop.wait(max(0, self.began + step.at_s - now_s())):
            return
        with contextlib.ExitStack() as stack:
            for member in step.members:
                if not self.locks[member].acquire(timeout=1):
                    return self.say(f"left out, {member} is busy: {step}")
                stack.callback(self.locks[member].release)
            window = [step, now_s(), None]
            self.windows.append(window)
            self.say(f"begin {step}")
            try:
                getattr(self, step.kind.replace("-", "_"))(step, *step.members)
            except (CliError, subprocess.TimeoutExpired, OSError) as error:
                self.say(f"{step.kind} came to nothing: {str(error)[:200]}")
            except Exception as error:  # an assertion of this program, a programming error
                self.problem(f"{step}: {error!r}")
            window[2] = now_s()
            self.say(f"end {step}")

    def ended(self, step):
        self.stop.wait(step.lasts_s)

    def cli(self, *arguments, **options):
        return self.cluster.cli(*arguments, "--timeout", "3", **options)

    def links(self, step, pairs):
        for pair in pairs:
            self.network.cut(*pair)
        self.ended(step)
        for pair in pairs:
            self.network.mend(*pair)

    def everybody(self, name):
        return [pair for other in self.locks if other != name for pair in ((name, other), (other, name))]

    def power(self, step, name):
        self.down.add(name)
        self.cluster[name].destroy()
        self.ended(step)
        self.cluster[name].start()
        self.down.discard(name)

    def island(self, step, name):
        self.links(step, self.everybody(name))

    manager_island = island

    def cut(self, step, a, b):
        self.links(step, [(a, b), (b, a)])

    def one_way(self, step, sender, receiver):
        self.links(step, [(sender, receiver)])

    def loss(self, step, name):
        self.network.lose(name, step.details["percent"])
        self.ended(step)
        self.network.lose(name, 0)

    def stopped(self, step, pid):
        if pid:
            kill(pid, signal.SIGSTOP)
        self.ended(step)
        if pid:
            kill(pid, signal.SIGCONT)

    def hang(self, step, name):
        self.stopped(step, self.cluster[name].agent_pid)

    def manager_hung(self, step, _):
        self.stopped(step, self.cluster.manager.pid)

    def agent_killed(self, step, name):
        node = self.cluster[name]
        self.down.add(name)
        if node.process.poll() is None:
            node.process.kill()
        node.process.wait()
        self.ended(step)
        node.start()
        self.down.discard(name)

    def guard_killed(self, step, name):
        """With its agent alive, which starts another; that both die at once is open without a watchdog."""
        node = self.cluster[name]
        guard, agent = node.guard_pid, node.agent_pid
        if guard and agent:
            kill(guard)
            await_("another guard", lambda: node.guard_pid not in (None, guard) or node.process.poll() is not None, 10)

    def workload_killed(self, step):
        owner = self.cluster[self.cluster.pool(step.details["pool"])["node"] or "n1"]
        for pid in owner.workload_pids(pool=step.details["pool"]):
            kill(pid)

    def manager_killed(self, step, _):
        self.down.add(MANAGER)
        self.cluster.manager.kill()
        self.cluster.manager.wait()
        self.ended(step)
        self.start(MANAGER)
        self.down.discard(MANAGER)

    def manager_power(self, step, _):
        self.down.add(MANAGER)
        self.network.power_off(MANAGER)
        self.cluster.manager.wait()
        self.ended(step)
        self.start(MANAGER)
        self.down.discard(MANAGER)

    def disk_full(self, step, _):
        filler = self.cluster.dir / MANAGER / "filler"
        try:
            with open(filler, "wb", buffering=0) as file:
                for size in (1 << 20, 4096, 1):
                    with contextlib.suppress(OSError):
                        while file.write(bytes(size)):
                            pass
            self.ended(step)
        finally:
            filler.unlink(missing_ok=True)

    def refuse(self, step, name):
        """Pools that are not active there now cannot be activated there."""
        node = self.cluster[name]
        with contextlib.ExitStack() as stack:
            for pool in (node.dir / "pools").iterdir():
                if pool.is_dir() and not node.workload_pids(pool=pool.name):
                    stack.callback(self.network.unmount, pool)  # also when the next one has gone meanwhile
                    self.network.read_only(pool)
            self.ended(step)

    def twin_agent(self, step, name):
        twin = self.cluster.dir / f"twin-{step.at_s}"
        twin.mkdir(mode=0o700)
        shutil.copy(self.cluster[name].dir / "agent.identity", twin)
        listen = f"tcp://{self.network.address('twin', 90)}:*"
        with open(self.cluster.dir / "twin.log", "ab") as log:
            process = subprocess.Popen(self.network.within("twin", [BUILD / "poolherd-agent", "--dir", twin, "--listen", listen]),
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.ended(step)
        self.say(f"the twin of {name} " + ("still waited" if process.poll() is None else f"had ended with {process.returncode}"))
        network.kill_cgroup(self.network.group / "twin")
        process.wait()

    def twin_manager(self, step, _):
        ours = self.cluster.manager
        if ours.poll() is not None:
            return
        done = subprocess.run(self.network.within("cli", [BUILD / "poolherd-manager", "--dir", self.cluster.dir / MANAGER, "--listen", "tcp://127.0.0.1:*"]),
                              capture_output=True, text=True, timeout=30)
        if done.returncode == 0 or (ours.poll() is None and str(ours.pid) not in done.stderr):
            self.problem(f"a second manager on one directory ended with {done.returncode}: {done.stderr[-300:]}")

    def clock(self, step, name):
        self.network.set_clock(name, step.details["offset_s"])
        self.ended(step)
        self.network.set_clock(name, 0)

    def move(self, step):
        job = self.cli("pool", "move", step.details["pool"], "--to", step.details["to"])["job"]
        self.say(f"job {job} moves {step.details['pool']} to {step.details['to']}")
        return job

    def move_hit(self, step):
        job = self.move(step)

        def phase():
            shown = self.cli("job", "show", str(job))
            return shown if shown["phase"] == step.details["phase"] or shown["ended_at"] else None
        shown = await_(f"job {job} is {step.details['phase']}", phase, 10)
        if shown["ended_at"]:
            return self.say(f"job {job} had already ended: {shown['reason']}")
        name = shown["node"] if step.details["who"] == "source" else shown["target"]
        if not name or not self.locks[name].acquire(blocking=False):
            return self.say(f"{name} is busy")
        try:
            self.say(f"job {job} is {step.details['phase']}: the agent of {name} is killed")
            self.agent_killed(step, name)
        finally:
            self.locks[name].release()

    def drain(self, step, name):
        self.cli("node", "drain", name)
        self.ended(step)
        self.active(name)

    def active(self, name):
        """Whatever an operator asked of a node is over: its drain is cancelled, and it gets pools again."""
        for row in self.cluster.query(f"SELECT id FROM jobs WHERE kind = 'drain' AND ended_at = 0 AND cancelling = 0 AND node = '{name}'"):
            self.cli("job", "cancel", str(row["id"]))
        if self.cluster.node(name)["admin"] not in ("active", "draining"):
            self.cli("node", "resume", name)

    # -- calm --
    def cease(self):
        c = self.cluster
        self.network.heal()
        for name in self.locks:
            self.network.set_clock(name, 0)
        for name in self.locks:
            process = c.manager if name == MANAGER else c[name].process
            if process.poll() is not None:
                self.judge_exit(name, process.returncode)
                self.start(name)
        await_("the manager answers", lambda: c.cli("status", "--timeout", "3"), CALM_S)
        for node in c.nodes:
            c.await_heard(node, CALM_S)
            self.active(node)

    def settled(self):
        """Every pool is active and its workload counts, and no job is left."""
        c = self.cluster
        names = [name for name, _, _ in self.plan.pools]
        rows = {row["name"]: row for row in c.query("SELECT name, state, node, epoch, reason FROM pools WHERE desired = 'active'")}
        for name in names:
            if rows[name]["state"] == "failed":
                self.say(f"{name} is failed, an operator says --retry: {rows[name]['reason']}")
                c.cli("pool", "start", name, "--retry")
        waiting = [f"{name} is {rows[name]['state']}: {rows[name]['reason']}" for name in names if rows[name]["state"] != "active"]
        waiting += [f"job {row['id']} ({row['kind']} {row['pool']}{row['node']}): {row['waiting_on'] or row['phase']}"
                    for row in c.query("SELECT id, kind, pool, node, phase, waiting_on FROM jobs WHERE ended_at = 0")]
        for name in c.nodes:
            if (admin := c.node(name)["admin"]) != "active":
                waiting.append(f"{name} is {admin}")
                self.active(name)
        last = self.last_lines()
        for name in names:
            node, at_ns = last.get(name, ("", 0))
            if not waiting and (node != rows[name]["node"] or now_s() - at_ns / 1e9 > 1):
                waiting.append(f"{name} is said to run on {rows[name]['node']} and its last line is of {node}, {now_s() - at_ns / 1e9:.1f} s ago")
        self.waiting = waiting
        return not waiting

    def last_lines(self):
        """pool -> (node, time) of its last line."""
        with open(self.cluster.beacons, "rb") as file:
            file.seek(max(0, os.path.getsize(self.cluster.beacons) - 100000))
            lines = file.read().decode(errors="replace").splitlines()[1:]
        return {words[0]: (words[1], int(words[3])) for words in map(str.split, lines) if len(words) == 7}

    def await_calm(self):
        began = now_s()
        try:
            self.cease()
            await_("all pools run again", self.settled, CALM_S)
        except (AssertionError, CliError, subprocess.TimeoutExpired) as error:
            self.problem(f"not everything runs again within {CALM_S} s of calm: {error}; " + "; ".join(getattr(self, "waiting", [])))
        return now_s() - began

    # -- the verdict --
    def judge(self):
        c = self.cluster
        shown = {row["name"]: row["priority"] for row in c.query("SELECT name, priority FROM pools")}
        lost = [name for name, priority in self.acknowledged.items() if shown.get(name) != priority]
        if lost:
            self.problem(f"acknowledged and lost: {lost}")
        for name, content in self.files.items():
            node = c.pool(name)["node"]
            path = c[node].data(name) / "static" if node else None
            if path and (not path.exists() or path.read_bytes() != content):
                self.problem(f"{path} is not what was written into pool {name}")
        # The age of a copy is told by the manager's time of day. Where that jumped, a loss is a loss of any size.
        sizes = not any(step.kind == "clock" and MANAGER in step.members for step in self.plan.steps)
        losses = [(pool, epoch, loss if sizes or loss == 0 else -1) for pool, epoch, loss in c.losses()]
        status, lines = c.check(losses)
        (c.dir / "checker.txt").write_text("\n".join(lines) + "\n")
        if status != 0:
            self.problem("the checker says:\n" + "\n".join(line for line in lines if not line.startswith("span ")))
        for log in c.dir.glob("*.log"):
            for line in log.read_text(errors="replace").splitlines():
                if "ssertion" in line or "Sanitizer" in line or "runtime error" in line:
                    self.problem(f"{log.name}: {line[:300]}")
        return lines

    def gaps(self, spans):
        """Times without a pool, in s: between one span and what came next."""
        found = []
        for pool, items in spans.items():
            until = items[0][1]
            for first, last, _, _ in items[1:]:
                if first > until:
                    found.append(((first - until) / 1e9, pool))
                until = max(until, last)
        return sorted(found)

    def take_overs(self, spans):
        """Take-overs by proof of time, and those of them for which there was no reason."""
        rows = self.cluster.query("SELECT DISTINCT j.id AS id, j.pool AS pool, j.node AS node, e.epoch AS epoch FROM jobs j JOIN events e ON e.job = j.id "
                                  "WHERE j.kind = 'takeover' AND j.proof = 'expired' AND e.kind = 'takeover-target'")
        false = []
        for row in rows:
            at_s = next((first / 1e9 for first, _, _, epoch in spans.get(row["pool"], []) if epoch >= row["epoch"]), None)
            if at_s and sum(step.weight(row["node"]) for step, begin, end in self.windows if begin < at_s and (end or at_s) > at_s - REASON_S) < 2:
                false.append(f"job {row['id']}: {row['pool']} from {row['node']} at {at_s:.3f}")
        return rows, false

    def run(self):
        self.declare()
        self.began = now_s()
        background = [threading.Thread(target=body) for body in (self.supervise, self.operate)]
        steps = [threading.Thread(target=self.run_step, args=(step,)) for step in self.plan.steps]
        try:
            for thread in background + steps:
                thread.start()
            for thread in steps:
                thread.join()
        finally:
            self.stop.set()
            for thread in background + steps:
                if thread.ident:
                    thread.join()
        calm_s = self.await_calm()
        lines = self.judge() if not any("answers" in problem for problem in self.problems) else self.cluster.check()[1]
        self.summary(lines, calm_s)

    def summary(self, lines, calm_s):
        spans = self.cluster.spans_of(lines)
        gaps = self.gaps(spans)
        times = [gap for gap, _ in gaps] or [0]
        print(f"  {len(self.windows)} faults, {len(self.acknowledged)} changes acknowledged; everything ran again {calm_s:.1f} s after the last")
        print(f"  {lines[-1] if lines else 'no beacon'}")
        print(f"  time without a pool: {len(gaps)} times, median {statistics.median(times):.2f} s, worst {times[-1]:.2f} s, "
              f"{sum(times):.1f} s of {len(spans)} pools' {len(spans) * (now_s() - self.began):.0f} s")
        if not any("answers" in problem for problem in self.problems):
            rows, false = self.take_overs(spans)
            print(f"  take-overs by time: {len(rows)}, of these false (no fault was a reason): {len(false)}{'' if not false else ': ' + '; '.join(false)}", flush=True)

    def close(self):
        c = self.cluster
        if self.problems:
            with contextlib.suppress(OSError, shutil.Error):
                shutil.copytree(c.dir / MANAGER, c.dir / "manager.kept", ignore=shutil.ignore_patterns("filler"))
            (c.dir / "schedule.txt").write_text("\n".join(self.plan.lines()) + "\n")
        c.close(failed=bool(self.problems))


def one(seed, nodes, loud):
    """Carries out the schedule of one seed; whether it went well."""
    plan = schedule.make(seed, nodes)
    print("\n".join(plan.lines()), flush=True)
    run = Run(plan, loud)
    try:
        run.run()
    except Exception as error:
        run.problem(f"{error!r}")
    finally:  # after Ctrl-C, too
        harness.KEEP = bool(run.problems)
        run.close()
    again = f"tests/cluster/run --faults --seed {seed}" + (f" --nodes {nodes}" if nodes else "")
    for problem in run.problems:
        print(f"PROBLEM {problem}")
    if run.problems and not loud:
        print("what was done:\n" + "\n".join("  " + note for note in run.notes))
    print(f"{'FAILED' if run.problems else 'ok    '} faults-seed-{seed} ({plan.nodes} nodes); again: {again}", flush=True)
    return not run.problems


def main(seed, minutes, nodes, loud):
    """Schedule after schedule, from `seed` on, until the time is used up; stops at the first that fails."""
    reason = network.unavailable()
    if reason:
        print(f"skipped: real faults: {reason}")
        return True
    end = time.monotonic() + minutes * 60
    took_s = 0
    while True:
        began = time.monotonic()
        if not one(seed, nodes, loud):
            return False
        took_s = max(took_s, time.monotonic() - began)
        seed += 1
        if time.monotonic() + took_s > end:
            return True
