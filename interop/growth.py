"""How the cost of a key exchange grows: with CPUs, sources, users at a time, denials, pace."""

import resource
import time

from load import HEAD, Case, in_turns
from servers import Server, many_sources, pool, stand_in

# A server or a load that has so much of its CPUs has them all.
SATURATED = 0.9
# A pool checks each source once a minute, give or take a fifth.
CHECKS_SECONDS = 72
# Nobody may wait for a delayed acknowledgement, which takes 40 ms.
STEP_MS = 35


class Stage:
    """What all tables here need."""

    def __init__(self, lab, programs, layout, bench, token, source_config, rounds):
        self.lab, self.programs, self.layout, self.bench = lab, programs, layout, bench
        self.token, self.source_config, self.rounds = token, source_config, rounds

    def pool(self, name, sources, cpus=None, more=""):
        """A pool before these pairs of address and port."""
        cpus = ",".join(map(str, cpus or self.layout.server))
        return Server(self.lab, name, "127.0.0.1",
                      pool(self.lab, self.programs, cpus, sources, self.token, more))

    def sources(self, name, address, count):
        """One process that is `count` sources; with the ports."""
        ports = [self.lab.free_port(address) for _ in range(count)]
        cpus = ",".join(map(str, self.layout.sources))
        return Server(self.lab, name, address, many_sources(
            self.lab, self.programs, cpus, ports, self.source_config)), ports


def cores(stage, bounds):
    """Throughput of a pool on one core and on two, before sources that cost next to nothing."""
    print("The pool on one core and on two, 100 users at a time; users and stand-ins for sources have "
          "the other CPUs")
    behind, found = [], {}
    for number in (1, 2):
        cpus = ",".join(map(str, stage.layout.sources))
        behind.append(Server(stage.lab, f"stand-in-{number}", f"127.0.0.{50 + number}",
                             stand_in(stage.lab, stage.programs, cpus)))
    listed = [(source.address, source.ke_port) for source in behind]
    for count in (1, 2):
        server = stage.pool(f"pool-on-{count}", listed, stage.layout.server[:count])
        found[count] = Case(server, "100 at a time", "--concurrency", "100", sources=behind)
    in_turns(stage.bench, found.values(), stage.rounds)
    for count, case in found.items():
        _show_cores(stage, count, case)
        stage.lab.stop(case.server.process)
    for source in behind:
        stage.lab.stop(source.process)
    print(flush=True)
    saturated = all(case.median("cpu_load") >= SATURATED * count for count, case in found.items())
    seen = found[2].median("exchanges_per_second") / found[1].median("exchanges_per_second")
    by_cost = 2 * found[1].cost() / found[2].cost()
    if saturated:
        bounds.at_least("two cores, times one", seen, 1.7)
    else:
        bounds.at_least(f"two cores, times one, by CPU time per exchange, since the pool had time left "
                        f"({seen:.2f} as seen)", by_cost, 1.7)


def _show_cores(stage, count, case):
    """One line, and who set the limit."""
    busy = case.median("cpu_load") / count
    others = case.median("own_cpu_load") + case.median("behind_cpu_load")
    others /= len(stage.layout.load)
    if busy >= SATURATED:
        bound = "the pool is saturated"
    elif others >= SATURATED:
        bound = "the users are out of CPU"
    else:
        elsewhere = case.median("elsewhere_cpu_load")
        bound = f"nobody is out of CPU, but {elsewhere:.1f} CPUs are busy with something else"
    print(f"  {count}: {case.median('exchanges_per_second'):6.0f}/s, {case.cost():4.0f} us each, "
          f"the pool {100 * busy:.0f} % busy, the others {100 * others:.0f} %: {bound}; "
          f"its CPU time would do for {count * 1e6 / case.cost():.0f}/s")


def cpu_time(server):
    """CPU time of a server so far, in seconds."""
    # The kernel's way to name a process's CPU clock; see clock_getcpuclockid(3).
    return sum(time.clock_gettime(~int(pid) << 3 | 2) for pid in server.pids().split(","))


def shares_of_cpu(servers, seconds):
    """What share of a CPU each of the servers uses while this waits."""
    before, started = [cpu_time(server) for server in servers], time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - started
    return {server: (cpu_time(server) - used) / took for server, used in zip(servers, before)}


def connections_begun():
    """TCP connections that anybody in this network has begun."""
    with open("/proc/net/snmp", encoding="ascii") as f:
        names, numbers = [line.split() for line in f if line.startswith("Tcp:")]
    return int(dict(zip(names, numbers))["ActiveOpens"])


def wait_for_first_contact(lab, server, count):
    """A pool checks each source at its start, up to 500 a second, and asks it for its names; later
    each is checked once a minute."""
    def is_over():
        before = connections_begun()
        time.sleep(1)
        return connections_begun() - before <= 1 + count / 30

    lab.wait(f"{server.name} knows its sources", 180, is_over, server.process)


def sources(stage, bounds, groups=((2, 100, 1000), (2, 3000, 10_000))):
    """CPU time and memory of pools before more and more sources: many ports of few processes. A pool
    of thousands has checks to make even if nobody asks, so it is in a group of its own."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    print("The pool before more and more sources, 16 at a time; first contact is over, and idle is what "
          "the pool\nthen uses of a CPU for its checks; with thousands, new and sources are those of all "
          f"pools that run.\n{files} files may be open, of which a pool keeps a fifth for connections "
          "to sources that wait")
    for letter, group in zip("ab", groups):
        makers, listed = _many_sources(stage, letter, max(group))
        cases = {}
        for count in group:
            server = stage.pool(f"pool-of-{count}{letter}", listed[:count])
            wait_for_first_contact(stage.lab, server, count)
            # A source that has two users at once for the first time gets one more connection, which it
            # keeps. Of a thousand sources most have had two after so many users.
            Case(server, "warm-up", "--concurrency", "100", seconds=15).run(stage.bench)
            cases[count] = Case(server, "16 at a time", "--concurrency", "16", sources=makers)
        idle = shares_of_cpu([case.server for case in cases.values()], CHECKS_SECONDS)
        in_turns(stage.bench, cases.values(), stage.rounds)
        _grown(stage, cases.values(), cases[group[0]],
               lambda case: f"  idle {100 * idle[case.server]:.1f} %")
        if 1000 in cases:
            bounds.at_most("1,000 sources, times two", cases[1000].cost() / cases[2].cost(), 1.05)
        for server in [*(case.server for case in cases.values()), *makers]:
            stage.lab.stop(server.process)


def _many_sources(stage, letter, count, each=2500):
    """So many sources and no more, since they have work to do too: their processes and addresses."""
    makers, listed = [], []
    while len(listed) < count:
        address = f"127.0.0.{40 + len(makers)}"
        maker, ports = stage.sources(f"many-{letter}{len(makers)}", address,
                                     min(each, count - len(listed)))
        makers.append(maker)
        listed += [(address, port) for port in ports]
    return makers, listed


def users(stage, listed, behind):
    """CPU time and memory by users at a time, and by names that they deny."""
    for name, title, first, loads in (
        ("pool-of-users", "The pool with more and more users at a time", 2,
         [(f"{n} at a time", "--concurrency", str(n)) for n in (1, 16, 100, 500, 1000, 5000)]),
        ("pool-of-denials", "The pool with users who deny names, 16 at a time", 0,
         [(f"{n} denials", "--concurrency", "16", "--deny", str(n)) for n in (0, 8, 32)]),
    ):
        print(title)
        server = stage.pool(name, listed, more="[upstream]\nsource-concurrency = 50")
        cases = [Case(server, *load, sources=behind, may_fail=True) for load in loads]
        in_turns(stage.bench, cases, stage.rounds)
        _grown(stage, cases, cases[first])
        stage.lab.stop(server.process)


def _grown(stage, cases, first, more=lambda case: ""):
    """A table in which all are compared with `first`."""
    print(HEAD + "  ratio")
    for case in cases:
        print(case.line(len(stage.layout.server))
              + f"  {case.cost() / first.cost():5.3f}" + more(case)
              + (f"  FAILED {100 * case.failed():.1f} %" if case.failed() else ""))
    print(flush=True)


def paces(stage, pools, bounds):
    """Latency from one user a second to as many as can be: there must be no steps of 40 ms. `pools`
    are pairs of a pool and its sources. Of a few dozen exchanges one may have met with something
    else that the machine did, so that one in ten counts there, else one in a hundred."""
    print("From one user a second to as many as can be: latency in ms")
    loads = [("1 a second", 12, "--rate", "1"), ("10 a second", 5, "--rate", "10"),
             ("100 a second", None, "--rate", "100"), ("1000 a second", None, "--rate", "1000"),
             ("saturated", None, "--concurrency", "16")]
    for server, behind in pools:
        worst = 0
        for what, seconds, *load in loads:
            case = Case(server, what, *load, sources=behind, seconds=seconds)
            in_turns(stage.bench, [case], 1 if seconds else stage.rounds)
            p50, p90, p99, most = (case.median("latency", key) for key in ("p50", "p90", "p99", "max"))
            worst = max(worst, p90 if seconds else p99)
            print(f"{server.name:20} {what:18} p50 {p50:6.2f}  p90 {p90:6.2f}  p99 {p99:6.2f}  "
                  f"max {most:6.2f}", flush=True)
        bounds.at_most(f"{server.name}, latency at any pace", worst, STEP_MS, " ms")
