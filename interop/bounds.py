"""What is wanted of the pool's speed, and whether a run showed it."""


class Bounds:
    """Collects verdicts and prints them."""

    def __init__(self):
        self._verdicts = []

    def at_most(self, what, value, bound, unit=""):
        self._note(what, value, "<=", bound, unit, value is not None and value <= bound)

    def at_least(self, what, value, bound, unit=""):
        self._note(what, value, ">=", bound, unit, value is not None and value >= bound)

    def _note(self, what, value, sign, bound, unit, holds):
        shown = "not seen" if value is None else f"{value:.3g}{unit}"
        self._verdicts.append(f"{'holds ' if holds else 'MISSED'}  {what}: {shown} "
                              f"({sign} {bound}{unit})")

    def show(self):
        """Prints what was noted since the last time."""
        for verdict in self._verdicts:
            print(verdict)
        print(flush=True)
        self._verdicts = []


def judge_exchanges(bounds, found, floor):
    """The bounds for key exchanges. `found` has the cases by server and load."""
    def cost(server, what):
        return found[server, what].cost()

    full = cost("pool", "100 at a time")
    bounds.at_most("pool, 100 at a time", full, 260, " us")
    bounds.at_most("pool, 16 at a time", cost("pool", "16 at a time"), 300, " us")
    bounds.at_most("pool, 200 a second", cost("pool", "200 a second"), 450, " us")
    bounds.at_most("pool, 100 at a time, in floors", full / floor, 2.8)
    bounds.at_most("X25519MLKEM768 costs more", cost("pool", "100, hybrid") - full, 60, " us")
    alone = found["pool", "1 at a time"]
    bounds.at_most("pool, one user, p50", alone.median("latency", "p50"), 1.5, " ms")
    bounds.at_most("pool, one user, p99", alone.median("latency", "p99"), 5, " ms")
    pools = [case for (server, what), case in found.items()
             if server == "pool" and what.endswith("at a time")]
    begun = [case.median("connections_per_exchange") for case in pools]
    if None not in begun:
        bounds.at_most("new connections to sources per exchange, at most", max(begun), 0.01)
    bounds.at_most("our sources, per exchange at 100 at a time",
                   found["pool", "100 at a time"].median("behind_cpu_us_per_exchange"), 60, " us")
    if ("ntpd-rs-direct", "1 at a time") in found:
        bounds.at_most("pool before ntpd-rs, one user, p50",
                       found["pool-before-ntpd-rs", "1 at a time"].median("latency", "p50"), 3, " ms")
        for what in ("1 at a time", "16 at a time", "100 at a time"):
            bounds.at_most(f"ntp-daemon beside ntpd-rs, {what}",
                           cost("ours-direct", what) / cost("ntpd-rs-direct", what), 0.8)
    for what in ("16 at a time", "100 at a time", "200 a second"):
        beside = found.get(("beside", what))
        if beside and beside.cost():
            bounds.at_most(f"pool, times the other server, wanted if that is a pool, {what}",
                           cost("pool", what) / beside.cost(), 0.65)
