"""Key exchanges that nts-bench makes: cases, in turns, and the lines of a table about them."""

import json
import statistics
import subprocess
import sys

from lab import Failure, is_private

HEAD = (f"{'':20} {'':18} {'CPU us':>6} {'floors':>6} {'/rs':>5} {'p50 ms':>7} {'p99 ms':>7} "
        f"{'per s':>6} {'busy':>5} {'sources':>7} {'new':>6} {'load':>5} {'MiB':>6} {'else':>5}")
LEGEND = """\
CPU us: CPU time, user and system, of the server's process per exchange; floors: how many times that
of TLS alone; /rs: beside ntpd-rs asked directly, under the same load; busy: how much of its CPUs the
server had; sources: CPU time of the time sources per exchange, in us; new: connections per exchange
begun to them; load: CPU time of the users, in us; MiB: most memory that the server ever held; else:
CPUs that were busy with something else, which makes all figures worse."""


class Layout:
    """Which CPUs are whose."""

    def __init__(self, title, server, sources, load):
        self.title, self.server, self.sources, self.load = title, server, sources, load

    def move(self, servers, sources):
        """Puts processes that run where they belong."""
        for group, cpus in ((servers, self.server), (sources, self.sources)):
            for server in group:
                for pid in filter(None, server.pids().split(",")):
                    subprocess.run(["taskset", "-acp", ",".join(map(str, cpus)), pid], check=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def layouts(cpus):
    """What `cpus` allow: all together on two of them, and the server apart from the rest."""
    two = cpus[:2]
    shared = Layout(f"server, sources and users share {len(two)} CPUs", two, two, two)
    if len(cpus) < 4:
        return [shared]
    half = len(cpus) // 2
    apart = Layout(f"the server has 2 CPUs of its own, sources and users share {len(cpus) - half}",
                   two, cpus[half:], cpus[half:])
    return [apart, shared]


class Bench:
    """nts-bench on CPUs of its own."""

    def __init__(self, lab, program, cpus, seconds):
        self.lab, self.program, self.cpus, self.seconds = lab, program, cpus, seconds

    def json(self, *arguments, name="nts-bench", may_fail=False):
        cpus = ",".join(map(str, self.cpus))
        result = subprocess.run(["taskset", "-c", cpus, self.program, *arguments],
                                stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                check=False, cwd=self.lab.dir)
        if result.returncode != 0 and not (may_fail and result.stdout):
            raise Failure(f"{name}: {result.stderr.strip()}\n{result.stdout.strip()}")
        return json.loads(result.stdout)

    def floor(self, server, *more):
        """CPU time of the server's side of TLS in memory."""
        base = self.lab.path(server.name)
        return self.json("floor", "--chain", f"{base}.fullchain.pem", "--key", f"{base}.key",
                         "--authority", "ca.pem", "--name", server.address,
                         *more)["cpu_us_per_handshake"]


class Case:
    """One line of a table: a server, the load on it, and what was seen."""

    def __init__(self, server, what, *load, sources=(), authority="ca.pem", seconds=None,
                 may_fail=False):
        self.server, self.what, self.load, self.may_fail = server, what, load, may_fail
        self.sources, self.authority, self.seconds = sources, authority, seconds
        self.seen = []

    def run(self, bench):
        pids = self.server.pids()
        behind = ",".join(source.pids() for source in self.sources)
        seen = bench.json(
            "ke", f"{self.server.address}:{self.server.ke_port}", "--authority", self.authority,
            "--seconds", str(self.seconds or bench.seconds),
            *(("--pids", pids) if pids else ()), *(("--behind", behind) if behind else ()),
            *self.load,
            name=f"{self.server.name}, {self.what}", may_fail=self.may_fail)
        if not is_private():
            # Whoever else is in this network begins connections too.
            seen["connections_per_exchange"] = None
        self.seen.append(seen)

    def median(self, *keys):
        """Of a figure of the report, over the rounds; `None` where there is none."""
        values = self.seen
        for key in keys:
            values = [value and value[key] for value in values]
        return None if None in values else statistics.median(values)

    def failed(self):
        """What share of the exchanges failed, over all rounds."""
        failed = sum(seen["failed"] for seen in self.seen)
        return failed / max(1, failed + sum(seen["exchanges"] for seen in self.seen))

    def cost(self):
        return self.median("cpu_us_per_exchange")

    def line(self, cpus, floor=None, reference=None):
        """`cpus`: how many the server has."""
        def number(value, width, digits=0):
            return " " * width if value is None else f"{value:{width}.{digits}f}"

        cost, busy = self.cost(), self.median("cpu_load")
        # Memory is never given back entirely, so that only the first round tells.
        memory = self.seen[0]["peak_memory_kib"]
        return " ".join((
            f"{self.server.name:20} {self.what:18}",
            number(cost, 6),
            number(cost and floor and cost / floor, 6, 2),
            number(cost and reference and cost / reference, 5, 2),
            number(self.median("latency", "p50"), 7, 2),
            number(self.median("latency", "p99"), 7, 2),
            number(self.median("exchanges_per_second"), 6),
            number(busy and 100 * busy / cpus, 4) + ("%" if busy else " "),
            number(self.median("behind_cpu_us_per_exchange"), 7),
            number(self.median("connections_per_exchange"), 6, 3),
            number(self.median("own_cpu_us_per_exchange"), 5),
            number(memory and memory / 1024, 6, 1),
            number(self.median("elsewhere_cpu_load"), 5, 1),
        )).rstrip()


def in_turns(bench, cases, rounds, before=lambda: None):
    """Runs all cases once a round: what else the machine does falls on all of them."""
    for number in range(rounds):
        if sys.stderr.isatty():
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        before()
        for case in cases:
            case.run(bench)
