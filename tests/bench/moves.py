"""Time without a pool that is moved. Seen from outside, by the beacons that a workload writes every 5 ms;
that period is in every figure. What it shares with failover.py is here too."""
import time

import lib

MOVES = 20


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def cluster_with(name, profile="default", nodes=3, more=""):
    from harness import Cluster
    lib.program("poolherd-agent")
    lib.program("cluster_beacon")
    # A node that dies on purpose again and again shall not be quarantined for it.
    cluster = Cluster(nodes, f"profile: {profile}\nquarantine_failures: 1000\n{more}")
    try:
        cluster.apply("pools:\n" + cluster.beacon_pool(name, prefer=["n1"], copies=2))
        cluster.await_pool(name, state="active", node="n1", limit_s=30)
    except BaseException:
        cluster.close(failed=True)
        raise
    return cluster


class Watch:
    """Beacons from a moment on: the last one of the old node, the first one of another."""

    def __init__(self, cluster, node):
        from harness import await_
        self.cluster, self.node, self.offset = cluster, node, cluster.beacons.stat().st_size
        await_(f"a beacon from {node}", lambda: self.beacons()[0])

    def beacons(self):
        last = first = None
        with open(self.cluster.beacons, "rb") as file:
            file.seek(self.offset)
            for line in file.read().splitlines():
                words = line.split()
                if len(words) < 4:
                    continue
                if words[1].decode() == self.node and first is None:
                    last = int(words[3])
                elif last is not None and first is None:
                    first = int(words[3])
        return last, first

    def gap_ms(self):
        last, first = self.beacons()
        return None if first is None else (first - last) / 1e6


def spread(values):
    ordered = sorted(values)
    return f"best {ordered[0] / 1000:.3f} s, worst {ordered[-1] / 1000:.3f} s"


def move(report):
    from harness import await_
    cluster = cluster_with("web")
    try:
        data = cluster["n1"].data("web")
        for number in range(20):
            (data / f"file{number}").write_bytes(bytes(4096))
        seen, told, whole = [], [], []
        for number in range(MOVES):
            before, target = ("n1", "n2") if number % 2 == 0 else ("n2", "n1")
            watch, began = Watch(cluster, before), time.monotonic()
            job = cluster.await_job(cluster.cli("pool", "move", "web", "--to", target)["job"])
            whole.append(time.monotonic() - began)
            assert job["state"] == "succeeded", job
            told.append(job["downtime_ms"])
            seen.append(await_("beacons from the target", watch.gap_ms))
        cluster.assert_nothing_ran_twice()
    finally:
        cluster.close()
    report.add(f"planned move of a small pool: time without it, of {MOVES}", lib.median(seen) / 1000, "s", target="<= 0.3 s", limit=0.3,
               note=f"{spread(seen)}; the whole move {lib.median(whole):.2f} s")
    report.add("  the worst of them", max(seen) / 1000, "s")
    report.add("  as the job tells it", lib.median(told) / 1000, "s", target="<= 0.3 s", limit=0.3, note=spread(told))


BENCHES = {"move": move}
