"""The inventory: declaring much, starting with much, asking it, and how many changes a second last."""
import json
import subprocess
import time

import beats
import lib
from lib import Manager, Room, Swarm

POOLS, VMS = 10000, 100000


def text_of(command):
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def declaration(pools, vms_each=1):
    vms = "".join(f"      - {{name: vm{number}, kind: process, command: [sleep, '1000']}}\n" for number in range(vms_each))
    return "pools:\n" + "".join(
        f"  - name: p{number:05}\n    driver: directory\n    copies: 1\n    sync_interval_s: 60\n    priority: {number % 10}\n"
        f"    size: {{cpu: 0.1, memory_mib: 128, disk_mib: 256}}\n    vms:\n{vms}" for number in range(pools))


def apply_once(room, nodes, limit):
    """Seconds for the command, from start to its end, on an empty inventory with nodes to place on."""
    keys = room / "keys"
    pairs = lib.make_keys(keys, max(nodes, 1))
    manager, _ = beats.manager_with(room / f"apply{nodes}", pairs[:nodes], 1000)
    swarm = Swarm(manager, keys, nodes, limit=limit) if nodes else None
    try:
        if swarm:
            swarm.await_("welcomed", 60)
        (room / "pools.yaml").write_text(declaration(POOLS))
        cpu, began = lib.cpu_s(manager.pid) + lib.children_s(), time.monotonic()
        applied = manager.cli("pool", "apply", "-f", room / "pools.yaml")
        took = time.monotonic() - began
        cpu = lib.cpu_s(manager.pid) + lib.children_s() - cpu
        assert applied["added"] == POOLS, applied
        again = time.monotonic()
        assert manager.cli("pool", "apply", "-f", room / "pools.yaml")["unchanged"] == POOLS
        return took, time.monotonic() - again, cpu
    finally:
        if swarm:
            swarm.close()
        manager.stop()


def apply(report):
    limit = lib.descriptors_raise()
    with Room() as room:
        took, again, cpu = apply_once(room, 0, limit)
        raw = text_of([lib.program("bench_raw_inventory"), "apply", room / "pools.yaml", room])["seconds"]
        report.add(f"apply of {POOLS:,} pools, no node yet", took, "s", raw=raw, target="<= 2 s", limit=2,
                   note=f"the whole command, {cpu:.1f} s of processor with the manager's; raw: libyaml, then one SQLite transaction")
        report.add("  once more, nothing to change", again, "s", raw=raw, target="<= 2 s", limit=2)
    with Room() as room:
        took, again, cpu = apply_once(room, 100, limit)
        report.add(f"apply of {POOLS:,} pools onto 100 nodes", took, "s", raw=raw, target="<= 2 s", limit=2,
                   note=f"{cpu:.1f} s of processor")


def fill(manager, pools, vms):
    """Rows as a long life leaves them: active pools on nodes that are away at the moment."""
    import sqlite3
    with sqlite3.connect(manager.database) as db:
        db.executemany("INSERT INTO nodes (name, state, generation, granting, drivers, cpu, memory_mib, disk_mib) "
                       "VALUES (?, 'online', 1, 1, '[\"directory\",\"process\"]', 64000, 1000000, 10000000)",
                       [(f"n{number:03}",) for number in range(100)])
        db.executemany("INSERT INTO pools (name, driver, state, node, epoch, created, copies, cpu, memory_mib, disk_mib, sync_interval_s) "
                       "VALUES (?, 'directory', 'active', ?, 3, 1, 1, 100, 128, 256, 60)",
                       [(f"p{number:05}", f"n{number % 100:03}") for number in range(pools)])
        db.executemany("INSERT INTO vms (pool, name, position, kind, command, state, pid) VALUES (?, ?, ?, 'process', '[\"sleep\",\"1000\"]', 'running', 4711)",
                       [(f"p{number // (vms // pools):05}", f"vm{number % (vms // pools)}", number % (vms // pools)) for number in range(vms)])
        db.executemany("INSERT INTO replicas (pool, node, state, epoch, sequence, as_of, bytes) VALUES (?, ?, 'complete', 3, 7, 1000, 1000)",
                       [(f"p{number:05}", f"n{(number + 1) % 100:03}") for number in range(pools)])
    db.close()


def filled(room):
    manager = Manager(room, "profile: gentle\n")
    manager.start()
    manager.stop(15)
    fill(manager, POOLS, VMS)
    return manager


def restart(report):
    with Room() as room:
        manager = filled(room)
        try:
            times = []
            for _ in range(5):
                times.append(manager.start())
                manager.stop()
            raw = [text_of([lib.program("bench_raw_inventory"), "load", manager.database])["seconds"] for _ in range(5)]
            manager.start()
            cpu = lib.cpu_s(manager.pid)
            size = lib.rss_kib(manager.pid)
        finally:
            manager.stop()
    report.add(f"restart with {POOLS:,} pools, {VMS:,} vms: ready", lib.median(times), "s", raw=lib.median(raw), target="<= 1 s", limit=1,
               note=f"median of 5, worst {max(times):.2f} s; {cpu:.2f} s of processor; {size / 1024:.0f} MiB; raw: SQLite reads the same rows")


def queries(report):
    with Room() as room:
        manager = filled(room)
        got = text_of([lib.program("bench_query"), manager.database, "p04321", "vm5", "2000"])
        assert got["rows"] == got["rows_raw"] == VMS and abs(got["bytes"] - got["bytes_raw"]) < 100, got
        report.add(f"point look-up among {VMS:,} vms", 1e6 * got["point"], "us cpu", raw=1e6 * got["point_raw"], target="<= 2 x raw",
                   ratio_limit=2, note=f"raw prepares too; with its statement kept {1e6 * got['point_kept']:.1f} us")
        report.add(f"all {VMS:,} vms as JSON", got["all"], "s cpu", raw=got["all_raw"], target="<= 1.5 x raw", ratio_limit=1.5,
                   note=f"{got['bytes'] / 1e6:.1f} MB; raw: sqlite3_step and the same text")
        manager.start()
        try:
            began = time.monotonic()
            rows = manager.cli("query", "SELECT pool, name, position, kind, state, pid, restarts, node FROM vms")
            assert len(rows) == VMS
            report.add("  the same by the command, over the wire", time.monotonic() - began, "s")
        finally:
            manager.stop()


def commits(report):
    limit = lib.descriptors_raise()
    with Room() as room:
        got = text_of([lib.program("bench_commit"), room, "5"])
        report.add("durable changes through the store", got["rate"], "/s", raw=got["rate_raw"], target=">= 10 x raw", ratio_limit=10,
                   at_least=True, note="1,000 under way; raw: a commit for each row")
        keys = room / "keys"
        nodes, pools = 20, 1000
        pairs = lib.make_keys(keys, nodes)
        manager, _ = beats.manager_with(room / "ours", pairs, 1000)
        swarm = Swarm(manager, keys, nodes, pools=True, limit=limit)
        try:
            swarm.await_("welcomed", 60)
            manager.cli("pool", "apply", "-f", "-", stdin=declaration(pools).replace("copies: 1", "copies: 0"))
            end = time.monotonic() + 60
            while manager.cli("query", "SELECT count(*) AS n FROM pools WHERE state = 'active'")[0]["n"] < pools:
                if time.monotonic() > end:
                    raise RuntimeError("the swarm's pools did not become active")
                time.sleep(0.2)
            swarm.mark()
            cpu, began = lib.cpu_s(manager.pid), time.monotonic()
            time.sleep(5)
            took, mark = time.monotonic() - began, swarm.mark()
            report.add("  through the manager: reports of 1,000 pools' VMs", mark["changes"] / took, "/s", raw=got["rate_raw"],
                       target=">= 10 x raw", ratio_limit=10, at_least=True,
                       note=f"20 agents; {100 * (lib.cpu_s(manager.pid) - cpu) / took:.0f} % of a core; grants' p99 meanwhile {mark['p99_us']} us")
        finally:
            swarm.close()
            manager.stop()


BENCHES = {"apply": apply, "restart": restart, "queries": queries, "commits": commits}
