"""What a cluster costs in which nothing happens."""
import time

import beats
import lib
from lib import Room, Swarm

AGENTS, POOLS, SECONDS = 1000, 20, 10


def idle_manager(report):
    limit = lib.descriptors_raise()
    with Room() as room:
        keys = room / "keys"
        pairs = lib.make_keys(keys, AGENTS + 1)
        raw = beats.try_raw(room / "raw", keys, pairs[-1], AGENTS, 1000, limit, repeats=0)
        ours = beats.try_manager(room / "ours", keys, pairs, AGENTS, 1000, limit, repeats=0)
    report.add(f"idle manager, {AGENTS:,} agents, a beat a second", 100 * ours["share"], "% core", raw=100 * raw["share"], target="<= 2 %",
               limit=2, note=f"{ours['rate']:.0f} beats/s answered; by clock ticks {100 * ours['ticks']:.1f} %")
    report.add("  its memory", ours["rss_all_kib"] / 1024, "MiB", target="<= 64 MiB", limit=64)


def idle_agent(report):
    from harness import Cluster
    lib.program("poolherd-agent")
    cluster = Cluster(nodes=1)
    try:
        text = "pools:\n" + "".join(
            f"  - name: p{number}\n    driver: directory\n    copies: 0\n    vms:\n      - {{name: vm, kind: process, command: [sleep, '100000']}}\n"
            for number in range(POOLS))
        cluster.apply(text)
        cluster.await_pools(POOLS, 60)
        time.sleep(3)
        agent, guard = cluster["n1"].agent_pid, cluster["n1"].guard_pid
        before, began = (lib.cpu_s(agent), lib.cpu_s(guard)), time.monotonic()
        time.sleep(SECONDS)
        took = time.monotonic() - began
        shares = [100 * (now - then) / took for now, then in zip((lib.cpu_s(agent), lib.cpu_s(guard)), before)]
        report.add(f"idle agent, {POOLS} pools, five beats a second", shares[0], "% core", target="<= 0.5 %", limit=0.5)
        report.add("  its memory", lib.rss_kib(agent) / 1024, "MiB", target="<= 16 MiB", limit=16)
        report.add("  its guard", shares[1], "% core", note=f"{lib.rss_kib(guard) / 1024:.1f} MiB, of which locked")
    finally:
        cluster.close()


def idle(report):
    idle_manager(report)
    idle_agent(report)


BENCHES = {"idle": idle}
