"""Time without a pool when a node is lost, beside Pacemaker's, and that none is taken over for nothing.
Poolherd is seen from outside, by the beacons that a workload writes every 5 ms."""
import os
import subprocess
import sys
import time

import lib
import pacemaker
from moves import Watch, cluster_with, spread


def lose(cluster, proof):
    """One loss: (what is measured in ms, whether it was from the proof on)."""
    from harness import await_
    node = cluster.pool("web")["node"]
    for other in cluster.nodes:
        if other != node:
            cluster.await_copy("web", other)
    watch = Watch(cluster, node)
    said_ns = None
    if proof == "leave":
        from harness import BUILD
        subprocess.run([BUILD / "poolherd-agent", "--dir", cluster[node].dir, "--leave"], check=True, timeout=60,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    else:
        cluster[node].destroy()
    if proof == "confirmed":
        cluster.await_node(node, state="suspect")
        said_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        cluster.cli("node", "fence", node, "--confirm-dead", node)
    gap_ms = await_("beacons from another node", watch.gap_ms, 30)
    if said_ns is not None:
        gap_ms = (watch.beacons()[1] - said_ns) / 1e6
    if proof == "leave":
        cluster[node].kill_agent()
    cluster[node].start()
    cluster.await_node(node, state="online", limit_s=30)
    if proof == "leave":
        cluster.cli("node", "resume", node)
    cluster.await_pool("web", state="active", limit_s=30)
    return gap_ms


def losses(profile, count, proof, more=""):
    cluster = cluster_with("web", profile, more=more)
    try:
        gaps = [lose(cluster, proof) for _ in range(count)]
        cluster.assert_nothing_ran_twice()
        kind = "move" if proof == "leave" else "takeover"
        told = [row["downtime_ms"] for row in cluster.query(f"SELECT downtime_ms FROM jobs WHERE kind = '{kind}'")]
        proofs = {row["proof"] for row in cluster.query(f"SELECT proof FROM jobs WHERE kind = '{kind}'")}
        if proof == "confirmed" and proofs != {"confirmed"}:
            raise lib.Skip(f"the machine is too slow: the proof was {proofs}")
    finally:
        cluster.close()
    return gaps, told


def failover(report):
    count = lib.COUNT
    for profile, median_s, worst_s in (("default", 2.0, 3.0), ("fast", 0.7, 1.2)):
        gaps, told = losses(profile, count, "expired")
        report.add(f"node loses power, profile {profile}: without the pool, of {count}", lib.median(gaps) / 1000, "s",
                   target=f"<= {median_s} s", limit=median_s, note=f"{spread(gaps)}; the jobs tell {lib.median(told) / 1000:.3f} s")
        report.add("  the worst of them", max(gaps) / 1000, "s", target=f"<= {worst_s} s", limit=worst_s)
    few = min(count, 20)
    # The wait that the word cuts short is made long, so that it is the word that counts.
    gaps, _ = losses("default", few, "confirmed", more="stop_ms: 5000\n")
    report.add(f"confirmed to be off: from the word to the pool elsewhere, of {few}", lib.median(gaps) / 1000, "s",
               target="<= 0.2 s", limit=0.2, note=spread(gaps))
    gaps, told = losses("default", few, "leave")
    report.add(f"clean stop of a node (--leave): without the pool, of {few}", lib.median(gaps) / 1000, "s",
               target="<= 0.2 s", limit=0.2, note=f"{spread(gaps)}; the jobs tell {lib.median(told) / 1000:.3f} s; a last copy is in it")
    for token_ms in (0, 1000):
        what = f"Pacemaker, {f'token {token_ms} ms' if token_ms else 'default token'}"
        rounds = min(count, 10)
        try:
            gaps = pacemaker.gaps(rounds, token_ms)
        except lib.Skip as reason:
            report.skipped.append((report.name, f"{what}: {reason}"))
            report.say(f"  {what}: not measured: {reason}")
            continue
        report.add(f"{what}: without the resource, of {rounds}", lib.median(gaps), "s",
                   note=f"best {min(gaps):.3f} s, worst {max(gaps):.3f} s")


# -- no false take-over --
SPIN = "import os\nos.nice(10)\nwhile True: pass"


def calm(report):
    """A busy machine and nothing wrong: no node may be missed and no pool may stop."""
    from harness import alive
    cluster, busy = cluster_with("web"), []
    try:
        before = {name: cluster.node(name)["generation"] for name in cluster.nodes}
        workloads = {name: cluster[name].workload_pids() for name in cluster.nodes}
        busy = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(2 * os.cpu_count())]
        end = time.monotonic() + 60 * lib.MINUTES
        while time.monotonic() < end:
            time.sleep(min(5, max(0, end - time.monotonic())))
        stopped = sum(not alive(pid) for pids in workloads.values() for pid in pids)
        after = {name: cluster.node(name)["generation"] for name in cluster.nodes}
        suspected = cluster.value("SELECT count(*) FROM events WHERE kind = 'node-suspect'")
        takeovers = cluster.value("SELECT count(*) FROM jobs WHERE kind = 'takeover'")
        cluster.assert_nothing_ran_twice()
    finally:
        for process in busy:
            lib.ended(process)
        cluster.close()
    note = f"{len(busy)} busy loops at nice 10 on {os.cpu_count()} processors, load {lib.loaded():.1f}"
    report.add(f"false take-overs in {lib.MINUTES:g} minutes on a loaded machine", takeovers, "", target="0", limit=0, note=note)
    report.add("  workloads that stopped", stopped, "", target="0", limit=0)
    report.add("  leases that ended", sum(after[name] - before[name] for name in before), "", target="0", limit=0)
    report.add("  times a node was suspect", suspected, "")


BENCHES = {"failover": failover, "calm": calm}
