"""Servers under load: each with its addresses, its certificate, its CPUs and its processes."""

import os
import socket

import peers
from fixtures import make_certificate


class Server:
    """Where it answers, and its process."""

    def __init__(self, lab, name, address, start):
        make_certificate(lab, name, address)
        self.name, self.address = name, address
        self.ke_port = lab.free_port(address)
        self.ntp_port = lab.free_port(address, socket.SOCK_DGRAM)
        self.process = start(self)
        lab.wait_for_tcp(address, self.ke_port, self.process)

    def pids(self):
        """All processes of its group: chrony has helpers for NTS-KE."""
        group = str(self.process.popen.pid)
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
                    if f.read().rsplit(")", 1)[1].split()[2] == group:
                        found.append(pid)
            except (FileNotFoundError, ProcessLookupError):
                pass
        return ",".join(found)


class Beside:
    """A server that is not ours to start."""

    def __init__(self, address, pids):
        self.name = "beside"
        self.address, self.ke_port = address.rsplit(":", 1)
        self._pids = pids or ""

    def pids(self):
        return self._pids


def pool(lab, programs, cpus, sources, token, more=""):
    """nts-pool-ke before these sources, each an address and a port; `more` is more for its
    configuration."""
    def start(server):
        listed = ",\n    ".join(f'{{ domain = "{address}", port = {port}, auth-token = "{token}" }}'
                                for address, port in sources)
        lab.write(f"{server.name}.toml", f"""\
[nts-pool-ke-server]
listen = "{server.address}:{server.ke_port}"
certificate-authority-path = "ca.pem"
certificate-chain-path = "{server.name}.fullchain.pem"
private-key-path = "{server.name}.key"
key-exchange-servers = [
    {listed}
]
key-exchange-timeout-ms = 5000
{more}
""")
        return lab.start(server.name, ["taskset", "-c", cpus, os.path.join(programs, "nts-pool-ke"),
                                       "-c", f"{server.name}.toml"])
    return start


def many_sources(lab, programs, cpus, ports, key_exchange):
    """One ntp-daemon that is as many time sources as there are ports."""
    def start(server):
        lab.write(f"{server.name}.toml", "[synchronization]\nlocal-stratum = 1\n" + "".join(f"""
[[nts-ke-server]]
listen = "{server.address}:{port}"
certificate-chain-path = "{server.name}.fullchain.pem"
private-key-path = "{server.name}.key"
ntp-server = "{server.address}"
{key_exchange}
""" for port in [server.ke_port, *ports]))
        return lab.start(server.name, ["taskset", "-c", cpus, os.path.join(programs, "ntp-daemon"),
                                       "-x", "-c", f"{server.name}.toml"])
    return start


def stand_in(lab, programs, cpus):
    """What answers a pool like a time source and costs as little as can be."""
    def start(server):
        return lab.start(server.name, [
            "taskset", "-c", cpus, os.path.join(programs, "nts-bench"), "stand-in",
            f"{server.address}:{server.ke_port}", "--chain", f"{server.name}.fullchain.pem",
            "--key", f"{server.name}.key"])
    return start


def ours(lab, programs, cpus, threads=1, key_exchange=""):
    """ntp-daemon; `key_exchange` is more for its `[[nts-ke-server]]`."""
    def start(server):
        lab.write(f"{server.name}.toml", f"""\
[[server]]
listen = "{server.address}:{server.ntp_port}"
threads = {threads}

[synchronization]
local-stratum = 1

[[nts-ke-server]]
listen = "{server.address}:{server.ke_port}"
certificate-chain-path = "{server.name}.fullchain.pem"
private-key-path = "{server.name}.key"
{key_exchange}
""")
        return lab.start(server.name, ["taskset", "-c", cpus, os.path.join(programs, "ntp-daemon"),
                                       "-x", "-c", f"{server.name}.toml"])
    return start


def chrony(lab, root, cpus):
    """chronyd; `-x`: it never touches the clock."""
    def start(server):
        os.mkdir(lab.path(server.name), 0o700)
        config = lab.write(f"{server.name}.conf", f"""\
local stratum 1
allow all
bindaddress {server.address}
port {server.ntp_port}
ntsport {server.ke_port}
ntsserverkey {lab.path(server.name + ".key")}
ntsservercert {lab.path(server.name + ".fullchain.pem")}
maxntsconnections 1000
ntsdumpdir {lab.path(server.name)}
cmdport 0
bindcmdaddress {lab.path(server.name, "chronyd.sock")}
pidfile {lab.path(server.name, "chronyd.pid")}
user root
""")
        return lab.start(server.name, ["taskset", "-c", cpus,
                                       os.path.join(root, "usr/sbin/chronyd"),
                                       "-x", "-d", "-f", config])
    return start


def ntpd_rs(lab, programs, noclock, cpus, key_exchange=""):
    """ntpd-rs without the right to set the clock, and without the calls."""
    def start(server):
        return peers.NtpdRs(lab, programs, noclock, server.name, f"""\
[[server]]
listen = "{server.address}:{server.ntp_port}"

[synchronization]
local-stratum = 1

[[nts-ke-server]]
listen = "{server.address}:{server.ke_port}"
certificate-chain-path = "{lab.path(server.name + ".fullchain.pem")}"
private-key-path = "{lab.path(server.name + ".key")}"
{key_exchange}
""", ["taskset", "-c", cpus]).process
    return start
