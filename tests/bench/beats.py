"""Agents that beat: what they cost the manager, and how soon they are back after a restart."""
import os
import time

import lib
from lib import Manager, RawServer, Room, Skip, Swarm

AGENTS, MANY, SECONDS, BEAT_MS = 5000, 20000, 10, 1000
FEW, QUICK_MS, MESSAGES = 200, 50, 600


def config(agents, more=""):
    return f"profile: gentle\nagents_expected: {agents}\n{more}"


def measure(server, swarm, seconds=SECONDS):
    """Processor time per agent and second of a settled server."""
    time.sleep(2)
    swarm.mark()
    cpu, ticks, at = lib.cpu_s(server.pid), lib.ticks_s(server.pid), time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - at
    share = (lib.cpu_s(server.pid) - cpu) / took
    mark = swarm.mark()
    mark.update(share=share, ticks=(lib.ticks_s(server.pid) - ticks) / took, rate=mark["answered"] / took)
    return mark


def reconnect(server, swarm, limit_s=120):
    """Kills the server, starts it again: seconds from its exec to the last agent's grant."""
    server.stop()
    began = time.monotonic()
    ready_s = server.start()
    return swarm.await_("granted", limit_s) - began, ready_s


def try_raw(room, keys, identity, count, beat_ms, limit, repeats=3):
    room.mkdir()
    server = RawServer(room, keys, identity, min(os.cpu_count() or 1, 4))
    server.start()
    empty = lib.rss_kib(server.pid)
    swarm = Swarm(server, keys, count, beat_ms, limit=limit)
    try:
        swarm.await_("granted", 120)
        mark = measure(server, swarm)
        mark["rss_kib"] = (lib.rss_kib(server.pid) - empty) / count
        mark["back_s"] = [reconnect(server, swarm)[0] for _ in range(repeats)]
        return mark
    finally:
        swarm.close()
        server.stop()


def manager_with(room, pairs, agents, more=""):
    """A manager that knows these agents, and its size without any."""
    room.mkdir()
    manager = Manager(room, config(agents, more))
    manager.start()
    empty = lib.rss_kib(manager.pid)
    manager.stop()
    manager.enrol(public for public, _ in pairs)
    manager.start()
    return manager, empty


def try_manager(room, keys, pairs, count, beat_ms, limit, repeats=3, more=""):
    manager, empty = manager_with(room, pairs[:count], count, more)
    swarm = Swarm(manager, keys, count, beat_ms, limit=limit)
    try:
        swarm.await_("welcomed", 180)
        mark = measure(manager, swarm)
        mark["rss_kib"] = (lib.rss_kib(manager.pid) - empty) / count
        mark["rss_all_kib"] = lib.rss_kib(manager.pid)
        mark["back_s"], mark["ready_s"] = [], []
        for _ in range(repeats):
            took, ready_s = reconnect(manager, swarm)
            mark["back_s"].append(took)
            mark["ready_s"].append(ready_s)
        return mark
    finally:
        swarm.close()
        manager.stop()


def beats(report):
    limit = lib.descriptors_raise()
    with Room() as room:
        keys = room / "keys"
        pairs = lib.make_keys(keys, AGENTS + 1)
        raw = try_raw(room / "raw", keys, pairs[-1], AGENTS, BEAT_MS, limit)
        ours = try_manager(room / "ours", keys, pairs, AGENTS, BEAT_MS, limit)
    note = f"p50 {ours['p50_us']} us, p99 {ours['p99_us']} us (raw {raw['p50_us']}, {raw['p99_us']}); {ours['rate']:.0f} grants/s"
    report.add(f"{AGENTS:,} agents, a beat a second: manager's processor", 100 * ours["share"], "% core", raw=100 * raw["share"],
               target="<= 15 %, <= 2 x raw", limit=15, ratio_limit=2, note=note)
    report.add("  memory per agent, soon after connecting", ours["rss_kib"], "KiB", raw=raw["rss_kib"], target="<= 40 KiB", limit=40)
    report.add("  beats not granted", ours["sent"] - ours["answered"], "beats", target="0 +- those under way", limit=ours["rate"] / 2)
    report.add(f"all {AGENTS:,} reconnected after a manager restart", lib.median(ours["back_s"]), "s", raw=lib.median(raw["back_s"]),
               target="<= 1.3 x raw", ratio_limit=1.3, note=f"of {len(ours['back_s'])}; from exec, ready after {lib.median(ours['ready_s']):.2f} s")


def many(report):
    """20,000 agents, or as many as this machine's limit of open files has room for in one process."""
    limit = lib.descriptors_raise()
    count = min(MANY, limit - 150)
    with Room() as room:
        keys = room / "keys"
        pairs = lib.make_keys(keys, count)
        manager, empty = manager_with(room / "ours", pairs, count, "beat_ms: 2500\n")
        swarm = Swarm(manager, keys, count, 2500, limit=limit)
        try:
            began = time.monotonic()
            took = swarm.await_("welcomed", 300) - began
            mark = measure(manager, swarm, 20)
            lost = manager.cli("query", "SELECT count(*) AS n FROM nodes WHERE state <> 'online'")[0]["n"]
            note = "" if count == MANY else f"as many as fit below {limit} open files"
            report.add(f"{count:,} agents, a beat each 2.5 s: granted", 100 * mark["answered"] / max(1, mark["sent"]), "%",
                       target=">= 99.9 %, all online", limit=99.9, at_least=True, note=note)
            report.add("  agents that are not online", lost, "agents", target="0", limit=0, note=f"all admitted after {took:.1f} s")
            report.add("  manager's processor", 100 * mark["share"], "% core", note=f"p99 {mark['p99_us']} us")
            report.add("  memory per agent", (lib.rss_kib(manager.pid) - empty) / count, "KiB", target="<= 40 KiB", limit=40)
        finally:
            swarm.close()
            manager.stop()


def aged(server, keys, limit, empty):
    """Memory per agent when each connection has carried as many messages as ZeroMQ keeps room for."""
    swarm = Swarm(server, keys, FEW, QUICK_MS, limit=limit)
    try:
        swarm.await_("granted", 60)
        swarm.mark()
        answered, end = 0, time.monotonic() + 120
        while answered < FEW * MESSAGES and time.monotonic() < end:
            time.sleep(1)
            answered += swarm.mark()["answered"]
        return (lib.rss_kib(server.pid) - empty) / FEW, answered / FEW
    finally:
        swarm.close()
        server.stop()


def memory(report):
    """What a connection costs in the long run. ZeroMQ's queues reuse no slot before 256 more have been
    used, and keep one spare block of them; so its memory is touched little by little."""
    limit = lib.descriptors_raise()
    with Room() as room:
        keys = room / "keys"
        pairs = lib.make_keys(keys, FEW + 1)
        (room / "raw").mkdir()
        server = RawServer(room / "raw", keys, pairs[-1], min(os.cpu_count() or 1, 4))
        server.start()
        raw, _ = aged(server, keys, limit, lib.rss_kib(server.pid))
        server, empty = manager_with(room / "ours", pairs[:FEW], AGENTS)
        ours, count = aged(server, keys, limit, empty)
    report.add(f"memory per agent, after {count:.0f} beats of each", ours, "KiB", raw=raw, target="<= 40 KiB", limit=40,
               note=f"of {FEW} agents")
    report.add("  beyond what libzmq needs", ours - raw, "KiB", target="<= 40 KiB", limit=40)


BENCHES = {"beats": beats, "memory": memory, "many": many}
