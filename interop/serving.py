"""Other implementations as clients of our server, in each state that it can be in."""

import os
import socket

import peers
from fixtures import make_certificate


class Node:
    """Our ntp-daemon as a server: NTP, NTS-KE, or both."""

    def __init__(self, lab, programs, address, more, ke_for=None, ntp=True, port=None):
        """`ke_for` is the Node whose NTP server its key exchange names; itself by default."""
        self._lab, self._name = lab, f"node-{address}"
        self._argv = [os.path.join(programs, "ntp-daemon"), "-x", "-c", f"{self._name}.toml"]
        self._observe = lab.path(f"{self._name}.sock")
        self.address = address
        self.port = port or lab.free_port(address, socket.SOCK_DGRAM)
        text = f"""\
[observability]
observation-path = "{self._observe}"

{more}
"""
        if ntp:
            text += f"""
[[server]]
listen = "{address}:{self.port}"
threads = 2
"""
        self.ke_port = None
        if ke_for or not port:
            make_certificate(lab, self._name, address)
            self.ke_port = lab.free_port(address)
            named = ke_for or self
            text += f"""
[[nts-ke-server]]
listen = "{address}:{self.ke_port}"
certificate-chain-path = "{self._name}.fullchain.pem"
private-key-path = "{self._name}.key"
ntp-server = "{named.address}"
ntp-port = {named.port}
"""
        lab.write(f"{self._name}.toml", text)
        self.start()

    def start(self):
        self.process = self._lab.start(self._name, self._argv)
        self._lab.wait(f"{self._name} tells its state", 20, self.state, self.process)

    def restart(self):
        self._lab.stop(self.process)
        self.start()

    def state(self):
        return peers.observation(self._observe)

    def served(self):
        """Its counters of NTP and of key exchange, and the id of the key that seals."""
        state = self.state()
        exchanges = state["nts_ke_servers"][0]["stats"]["key_exchanges"]
        return state["servers"][0]["stats"], exchanges, state["cookie_keys"]["sealing_id"]


class Users:
    """Makes clients of each kind, with names of their own."""

    def __init__(self, lab, roots, noclock, ntpd_rs):
        self._lab, self._roots, self._noclock, self._ntpd_rs = lab, roots, noclock, ntpd_rs
        self._made = 0

    def _name(self, kind):
        self._made += 1
        return f"client-{self._made}-{kind}"

    def nts(self, node):
        """Clients with NTS, one after the other, since NTPsec takes port 123 for itself."""
        yield "chrony", lambda: peers.Chrony(
            self._lab, self._roots["chrony"], self._name("chrony"), node.address, node.ke_port)
        yield "NTPsec", lambda: peers.Ntpsec(
            self._lab, self._roots["ntpsec"], self._noclock, self._name("ntpsec"), node.address,
            node.ke_port)
        if self._ntpd_rs:
            yield "ntpd-rs", lambda: self._ntpd_rs_user(
                "nts", f"{node.address}:{node.ke_port}",
                f'certificate-authority = "{self._lab.path("ca.pem")}"')

    def plain(self, node):
        """Clients of plain NTP."""
        yield "chrony", lambda: peers.Chrony(
            self._lab, self._roots["chrony"], self._name("chrony"), node.address, None, node.port)
        if node.port == 123:
            yield "NTPsec", lambda: peers.Ntpsec(
                self._lab, self._roots["ntpsec"], self._noclock, self._name("ntpsec"),
                node.address)
        if self._ntpd_rs:
            yield "ntpd-rs", lambda: self._ntpd_rs_user(
                "server", f"{node.address}:{node.port}", "")

    def _ntpd_rs_user(self, mode, address, more):
        return peers.NtpdRs(self._lab, self._ntpd_rs, self._noclock, self._name("ntpd-rs"), f"""\
[[source]]
mode = "{mode}"
address = "{address}"
{more}

[source-defaults]
poll-interval-limits = {{ min = 1, max = 2 }}
initial-poll-interval = 1

[synchronization]
minimum-agreeing-sources = 1
""")


def accept(checks, lab, users, state, node, plain_node):
    """Every client, with NTS of `node` and without of `plain_node`, takes the time in this state."""
    for name, start in users.nts(node):
        checks.synchronised(f"{name} with NTS, server {state}", start(), 60)
    for name, start in users.plain(plain_node):
        user = start()
        check = user.answered if hasattr(user, "answered") else (
            lambda user=user: user.report(plain_node.address))
        checks.holds(f"{name} without NTS, server {state}", check, 60, user.process)
        lab.stop(user.process)


def keep_their_cookies(checks, lab, users, node):
    """Cookies are good after the keys have rotated and after a restart: no client gets an NTS NAK
    or asks for keys again."""
    for name, start in users.nts(node):
        _, exchanges, key = node.served()
        user = start()
        checks.holds(f"{name} gets cookies", user.authenticated, 60, user.process)

        def rotated(before=(exchanges, key)):
            stats, exchanges, key = node.served()
            if key - before[1] & 0xffffffff < 2:
                return None
            return {"asked": stats["nts_accepted_packets"], "exchanges": exchanges}

        seen = lab.wait("two rotations", 30, rotated, user.process)

        def goes_on():
            stats, exchanges, _ = node.served()
            good = stats["nts_nak_packets"] == 0 and exchanges == seen["exchanges"]
            answers = stats["nts_accepted_packets"] - seen["asked"]
            return good and answers > 0 and f"{answers} more answers, no NAK, no new key exchange"

        checks.holds(f"{name} goes on after rotations", goes_on, 40, user.process)
        node.restart()

        def goes_on_after_restart():
            stats, exchanges, _ = node.served()
            good = stats["nts_nak_packets"] == 0 and exchanges == 0
            answers = stats["nts_accepted_packets"]
            return good and answers > 0 and f"{answers} answers, no NAK, no new key exchange"

        checks.holds(f"{name} goes on after a restart with stored keys", goes_on_after_restart, 40,
                     user.process)
        lab.stop(user.process)


def check(checks, lab, roots, programs, noclock, ntpd_rs):
    """All states."""
    users = Users(lab, roots, noclock, ntpd_rs)
    # In a network of our own the port that NTPsec wants for plain NTP is free.
    private = os.environ.get("INTEROP_PRIVATE_NETWORK") == "yes"

    def pair(last, more):
        """A node for clients with NTS and one for those without."""
        node = Node(lab, programs, f"127.0.1.{last}", more)
        plain = Node(lab, programs, f"127.0.1.{last + 1}", more, port=123) if private else node
        return node, plain

    for last, stratum in ((10, 1), (12, 10)):
        nodes = pair(last, f"[synchronization]\nlocal-stratum = {stratum}")
        accept(checks, lab, users, f"of local stratum {stratum}", *nodes)
        best = nodes[0] if stratum == 1 else best
    nodes = pair(14, f"""\
[[source]]
mode = "server"
address = "{best.address}:{best.port}"
poll-interval-limits = {{ min = 0, max = 1 }}
initial-poll-interval = 0

[synchronization]
minimum-agreeing-sources = 1
""")
    for node in nodes:
        lab.wait("our server is synchronised", 60,
                 lambda node=node: node.state()["system"]["stratum"] == 2, node.process)
    accept(checks, lab, users, "synchronised to another", *nodes)

    stored = Node(lab, programs, "127.0.1.20", f"""\
[keyset]
key-storage-path = "{lab.path("cookie-keys")}"
key-rotation-interval = 4

[synchronization]
local-stratum = 1
""")
    keep_their_cookies(checks, lab, users, stored)

    secret = lab.write("cookie-secret", "0123456789abcdef" * 4 + "\n")
    shared = f"""\
[keyset]
shared-secret-path = "{secret}"

[synchronization]
local-stratum = 1
"""
    ntp = Node(lab, programs, "127.0.1.21", shared, port=lab.free_port("127.0.1.21",
                                                                     socket.SOCK_DGRAM))
    ke = Node(lab, programs, "127.0.1.22", shared, ke_for=ntp, ntp=False)
    for name, start in users.nts(ke):
        checks.synchronised(f"{name} with keys of one node at another that shares its secret",
                            start(), 60)
