"""Real daemons on one machine: a manager, nodes on loopback addresses, the command line.

Everything a Cluster starts lives below one temporary directory and is stopped by its own process ids,
also when a test fails. Nothing waits by time: await_ polls a condition, with a limit.
"""
import atexit
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

BUILD = pathlib.Path(os.environ.get("POOLHERD_BUILD", "build/release")).resolve()
KEEP = bool(os.environ.get("POOLHERD_KEEP"))


class CliError(Exception):
    def __init__(self, status, stderr):
        super().__init__(f"exit status {status}: {stderr.strip()}")
        self.status = status
        self.stderr = stderr
        try:
            self.error = json.loads(stderr)["error"]
        except (ValueError, KeyError, TypeError):
            self.error = {}


def await_(what, condition, limit_s=15):
    """Returns the first true value of condition(); fails the test after limit_s."""
    end = time.monotonic() + limit_s
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except CliError as error:
            last = error
        if time.monotonic() > end:
            raise AssertionError(f"not within {limit_s} s: {what}; last: {last}")
        time.sleep(0.02)


def alive(pid):
    """Whether a process runs (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def holder(path):
    """The process that holds a lock file, or None."""
    try:
        pid = int(pathlib.Path(path).read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if alive(pid) else None


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def tree_hash(path):
    """One hash over names, kinds, modes and contents below path."""
    total = hashlib.sha256()
    path = pathlib.Path(path)
    for entry in sorted(path.rglob("*")):
        stat = entry.lstat()
        total.update(f"{entry.relative_to(path)}\0{stat.st_mode}\0".encode(errors="surrogateescape"))
        if entry.is_symlink():
            total.update(os.readlink(entry).encode(errors="surrogateescape"))
        elif entry.is_file():
            total.update(entry.read_bytes())
    return total.hexdigest()


def cgroup_root():
    """Where cgroup v2 is mounted and can be written, or None."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        words = line.split()
        if words[words.index("-") + 1] == "cgroup2" and os.access(words[4], os.W_OK):
            return pathlib.Path(words[4])
    return None


def remove_cgroup(path):
    for directory, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(directory)
        except OSError:
            pass  # something is in it


class Loopback:
    """Where a cluster's programs run: all of them side by side on loopback addresses. network.Network has
    the same functions and gives each node a network namespace of its own."""

    port = "*"  # other tests may run beside it

    def address(self, name, number):
        return f"127.0.0.{number + 1}"

    def within(self, name, command):
        """The command that runs `command` on node `name`."""
        return command

    def environment(self, name):
        return {}

    def power_on(self, name):
        pass

    def power_off(self, name):
        """Cuts the node off and kills everything on it, or says that it cannot."""
        return False

    def close(self):
        pass


class Node:
    def __init__(self, cluster, name, number):
        self.cluster, self.name = cluster, name
        self.dir = cluster.dir / name
        self.listen = f"tcp://{cluster.network.address(name, number)}:{cluster.network.port}"
        self.log = cluster.dir / f"{name}.log"
        self.process = None
        self.tools = cluster.dir / f"{name}.bin"  # found before everything else on the agent's PATH

    def start(self, token=None, extra=()):
        self.dir.mkdir(mode=0o700, exist_ok=True)
        self.tools.mkdir(exist_ok=True)
        if not (self.dir / "agent.yaml").exists():
            (self.dir / "agent.yaml").write_text("log_level: info\n" + self.cluster.agent_config)
        command = [BUILD / "poolherd-agent", "--dir", self.dir, "--listen", self.listen, *extra]
        if token:
            command += ["--join", "-"]
        network = self.cluster.network
        network.power_on(self.name)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(network.within(self.name, command), stdin=subprocess.PIPE if token else subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True,
                                            env={**os.environ, "PATH": f"{self.tools}:{os.environ['PATH']}", **network.environment(self.name)})
        if token:
            self.process.stdin.write(token.encode() + b"\n")
            self.process.stdin.close()
        return self

    def join(self, extra=()):
        return self.start(self.cluster.cli("node", "invite", self.name)["token"], extra)

    @property
    def agent_pid(self):
        return holder(self.dir / "lock")

    @property
    def guard_pid(self):
        return holder(self.dir / "run" / "guard.lock")

    def workload_pids(self, with_logs=False, pool=None):
        """Every living process that carries this node's workload environment; the processes that write
        the workloads' logs carry it too and are no workloads."""
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                environment = pathlib.Path("/proc", entry, "environ").read_bytes()
                if not with_logs and pathlib.Path("/proc", entry, "comm").read_text() in ("poolherd-log\n", "poolherd-init\n"):
                    continue
            except OSError:
                continue
            if (b"POOLHERD_NODE=" + self.name.encode() + b"\0") in environment and \
                    (pool is None or b"POOLHERD_POOL=" + pool.encode() + b"\0" in environment) and \
                    str(self.dir).encode() in environment and alive(int(entry)):
                found.append(int(entry))
        return found

    def destroy(self):
        """Power loss: everything of the node at once."""
        if self.cluster.network.power_off(self.name):
            if self.process:
                self.process.wait()
            return
        pids = {pid for pid in (self.guard_pid, self.agent_pid) if pid}
        if self.process and self.process.poll() is None:
            pids.add(self.process.pid)  # it may not have written its lock yet
        for pid in pids:
            kill(pid, signal.SIGSTOP)
        for pid in self.workload_pids(with_logs=True) + list(pids):
            kill(pid)
        for pid in self.workload_pids(with_logs=True):
            kill(pid)
        if self.process:
            self.process.wait()

    def forget(self):
        """Removes the cgroups that a guard left that was killed: named by a hash (FNV-1a) of the directory, agent/guard/cgroup_linux.c."""
        number, root = 0xcbf29ce484222325, cgroup_root()
        for byte in os.fsencode(os.path.realpath(self.dir)):
            number = (number ^ byte) * 0x100000001b3 % 2**64
        if root:
            remove_cgroup(root / f"poolherd-{number:016x}")

    def kill_agent(self, number=signal.SIGKILL):
        pid = self.agent_pid
        if pid:
            kill(pid, number)
        if self.process:
            self.process.wait(timeout=30)

    def data(self, pool):
        return self.dir / "pools" / pool / "data"

    def wrap_tool(self, name):
        """From now on `name` on this node waits, each time, between hold() and go_on()."""
        script = self.tools / f"{name}.new"
        script.write_text(f"#!/bin/sh\ncd '{self.tools}' || exit 1\n[ -e hold ] && : >waits\n"
                          f"while [ -e hold ]; do sleep 0.02; done\nrm -f waits\ncd \"$OLDPWD\"\nexec '{shutil.which(name)}' \"$@\"\n")
        script.chmod(0o755)
        script.rename(self.tools / name)
        return self

    def hold(self):
        (self.tools / "waits").unlink(missing_ok=True)
        (self.tools / "hold").touch()

    @property
    def held(self):
        """Whether a wrapped tool waits."""
        return (self.tools / "waits").exists()

    def go_on(self):
        (self.tools / "hold").unlink(missing_ok=True)


class Cluster:
    def __init__(self, nodes=3, config=None, agent_config="", network=None):
        """network: whose close() is called at the end, also when this fails."""
        self.network = network or Loopback()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="poolherd-test-"))
        self.config, self.agent_config = config, agent_config
        self.manager = None
        self.manager_log = self.dir / "manager.log"
        self.beacons = self.dir / "beacons.txt"
        self.nodes, self.counts, self.closed = {}, False, False
        atexit.register(self.close)  # Ctrl-C may leave no other chance
        self.endpoint = f"tcp://{self.network.address('manager', 0)}:*"
        try:
            self.start_manager()
            for number in range(1, nodes + 1):
                self.add_node(f"n{number}", number).join()
            for node in self.nodes:
                self.await_node(node, state="online")
        except BaseException:
            self.close(failed=True)
            raise

    def add_node(self, name, number):
        self.nodes[name] = Node(self, name, number)
        return self.nodes[name]

    def __getitem__(self, name):
        return self.nodes[name]

    # -- the manager --
    def start_manager(self, wait=True, extra=()):
        command = [BUILD / "poolherd-manager", "--dir", self.dir / "manager", "--listen", self.endpoint, *extra]
        if self.config:
            path = self.dir / "manager.yaml"
            path.write_text(self.config)
            command += ["--config", path]
        with open(self.manager_log, "ab") as log:
            self.manager = subprocess.Popen(self.network.within("manager", command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                            stderr=log, env={**os.environ, **self.network.environment("manager")})
        if wait:
            line = self.manager.stdout.readline().decode()
            assert line.startswith("ready"), f"the manager did not get ready: {line!r}\n{self.manager_log.read_text()[-2000:]}"
            words = dict(word.split("=", 1) for word in line.split()[1:])
            self.endpoint = words["endpoint"]  # the same port after a restart

    def kill_manager(self, number=signal.SIGKILL):
        self.manager.send_signal(number)
        self.manager.wait(timeout=30)
        self.manager.stdout.close()

    # -- the command line --
    def raw(self, *arguments, identity=None, timeout=60, stdin=None):
        command = [BUILD / "poolherd", "--manager", self.dir / "manager", *arguments]
        if identity:
            command += ["--identity", identity]
        return subprocess.run(self.network.within("cli", command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout, input=stdin)

    def cli(self, *arguments, **options):
        done = self.raw(*arguments, "--json", **options)
        if done.returncode != 0:
            raise CliError(done.returncode, done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def query(self, sql, *arguments):
        return self.cli("query", sql, *arguments)

    def value(self, sql):
        return next(iter(self.query(sql)[0].values()))

    def apply(self, text, *arguments):
        return self.cli("pool", "apply", "-f", "-", *arguments, stdin=text)

    def pool(self, name):
        return self.cli("pool", "show", name)

    def node(self, name):
        return self.cli("node", "show", name)

    def job(self, number):
        return self.cli("job", "show", str(number))

    # -- waiting --
    def await_node(self, name, limit_s=15, **wanted):
        return await_(f"{name} is {wanted}", lambda: self._matches(self.node(name), wanted), limit_s)

    def await_heard(self, name, limit_s=15):
        """The manager that runs now has heard the node, and the node is online."""
        return await_(f"{name} is heard", lambda: self._heard(self.node(name)), limit_s)

    @staticmethod
    def _heard(node):
        return node if node["state"] == "online" and node["last_seen_ms"] >= 0 else None

    def await_pool(self, name, limit_s=15, **wanted):
        return await_(f"{name} is {wanted}", lambda: self._matches(self.pool(name), wanted), limit_s)

    def await_pools(self, count, limit_s=20, state="active"):
        await_(f"{count} pools are {state}",
               lambda: self.value(f"SELECT count(*) FROM pools WHERE state = '{state}'") == count, limit_s)

    def await_job(self, number, limit_s=30):
        return await_(f"job {number} ends", lambda: self._ended(self.job(number)), limit_s)

    def await_copy(self, pool, node, limit_s=20):
        """A complete copy on node that began after this call."""
        since = int(time.time() * 1000)
        await_(f"{node} has a copy of {pool}", lambda: self.value(
            f"SELECT count(*) FROM replicas WHERE pool='{pool}' AND node='{node}' AND state='complete' AND as_of > {since}"), limit_s)

    @staticmethod
    def _matches(shown, wanted):
        return shown if all(shown[key] == value for key, value in wanted.items()) else None

    @staticmethod
    def _ended(job):
        return job if job["ended_at"] else None

    # -- declarations --
    def beacon_pool(self, name, prefer=(), copies=1, driver="directory", stubborn_ms=0, more="", vms=1, allow=(), vm_more="", counts=False, sync_s=1):
        """counts: each VM keeps a counter in the pool, which the checker follows from owner to owner."""
        self.counts = self.counts or counts
        command = [str(BUILD / "tests/cluster/cluster_beacon"), str(self.beacons)] + ([str(stubborn_ms)] if stubborn_ms or counts else [])
        lines = [f"  - name: {name}", f"    driver: {driver}", f"    copies: {copies}", f"    sync_interval_s: {sync_s}",
                 f"    nodes: {{allow: {json.dumps(list(allow))}, prefer: {json.dumps(list(prefer))}}}"]
        lines += [f"    {line}" for line in more.splitlines()]
        lines += ["    vms:"]
        for number in range(vms):
            counter = [f"counter{number or ''}"] if counts else []
            lines += [f"      - name: beacon{number or ''}", "        kind: process", f"        command: {json.dumps(command + counter)}"]
            lines += [f"        {line}" for line in vm_more.splitlines()]
        return "\n".join(lines) + "\n"

    # -- the proof --
    def check(self, losses=()):
        """What the checker says of the beacons: its exit status and its lines. losses: (pool, epoch, loss_ms) of take-overs."""
        if not self.beacons.exists():
            return 0, []
        command = [BUILD / "tests/cluster/cluster_checker", self.beacons]
        if losses:
            path = self.dir / "losses.txt"
            path.write_text("".join(f"{pool} {epoch} {loss_ms}\n" for pool, epoch, loss_ms in losses))
            command.append(path)
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
        return done.returncode, done.stdout.splitlines()

    @staticmethod
    def spans_of(lines):
        """pool -> list of (first_ns, last_ns, node, epoch), from the checker's lines."""
        spans = {}
        for words in (line.split() for line in lines if line.startswith("span ")):
            spans.setdefault(words[1], []).append((int(words[4]), int(words[5]), words[2], int(words[3])))
        return spans

    def spans(self):
        return self.spans_of(self.check()[1])

    def losses(self):
        """What take-overs say they lost: (pool, epoch, loss_ms), for check()."""
        return [(row["pool"], row["epoch"], row["loss"]) for row in self.query(
            "SELECT e.pool AS pool, e.epoch AS epoch, j.data_loss_ms AS loss FROM events e JOIN jobs j ON j.id = e.job "
            "WHERE e.kind = 'takeover-target'")]

    def assert_nothing_ran_twice(self):
        status, lines = self.check(self.losses() if self.counts else ())
        if status != 0:
            raise AssertionError("the checker says:\n" + "\n".join(line for line in lines if not line.startswith("span ")))

    # -- the end --
    def close(self, failed=False):
        atexit.unregister(self.close)
        if self.closed:
            return
        self.closed = True
        for node in self.nodes.values():
            node.destroy()
            node.forget()
        if self.manager and self.manager.poll() is None:
            self.manager.kill()
            self.manager.wait()
        if self.manager and self.manager.stdout:
            self.manager.stdout.close()
        self.network.close()
        if failed:
            for log in sorted(self.dir.glob("*.log")):
                print(f"--- the end of {log.name}:\n{log.read_text(errors='replace')[-3000:]}")
        if KEEP and failed:
            print(f"kept: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)


class ClusterTest(unittest.TestCase):
    """A test with a cluster of its own, which is checked and stopped after it."""
    nodes = 3
    config = None
    agent_config = ""
    real_network = False  # a network namespace per node; as self.network

    def setUp(self):
        self.network = self.make_network() if self.real_network else None
        self.cluster = Cluster(self.nodes, self.config, self.agent_config, self.network)
        self.addCleanup(self.cluster.close, failed=True)  # when a setUp() of a subclass fails, tearDown() is not called

    def make_network(self):
        from network import Network, Unavailable
        try:
            return Network()
        except Unavailable as reason:
            self.skipTest(str(reason))

    def run(self, result=None):
        self._result, self._before = result, self._bad(result)
        return super().run(result)

    @staticmethod
    def _bad(result):
        return len(result.failures) + len(result.errors) if result else 0

    def tearDown(self):
        failed = self._bad(self._result) > self._before
        try:
            if not failed:
                self.cluster.assert_nothing_ran_twice()
        except AssertionError:
            failed = True
            raise
        finally:
            self.cluster.close(failed)
