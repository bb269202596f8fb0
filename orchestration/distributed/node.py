"""Which node of a trial a worker stands on; the back end tells it through the environment.

A trial whose resources are distributed is computed by ``processes_per_node`` processes on each of its nodes. The back
end starts the one worker command on every node: as it is on one node, and with :func:`node_environment` on several. The
worker on the first node claims the trial; each becomes the supervisor of its node's processes, under torch's elastic
launcher. What the first worker's end says is the end of the attempt; the back end then ends the others.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestration.errors import LaunchError
from orchestration.resources import Resources

NODE_RANK_VARIABLE = "ONESHOT_NODE_RANK"
RENDEZVOUS_VARIABLE = "ONESHOT_RENDEZVOUS"
SLURM_RANK_VARIABLE = "SLURM_PROCID"

LOWEST_PORT = 20_000
"""Those below are taken by Ray's workers, from 10,002 on."""
MOST_PORTS = 100
ANY_PORT = 0
PORTS_OF_CONNECTIONS = Path("/proc/sys/net/ipv4/ip_local_port_range")


@dataclass(frozen=True)
class Node:
    """A node of a trial, by its rank, and where its nodes meet; port 0 takes any that is free."""

    rank: int
    host: str
    port: int


def node_environment(rendezvous: str, node_rank: int | None = None) -> dict[str, str]:
    """Return what a worker of a trial over several nodes needs in its environment.

    Args:
        rendezvous: ``host:port`` on the first node, as :func:`rendezvous_here` returns it there.
        node_rank: 0 on the first node; None under ``srun`` with one task per node, which numbers them itself.
    """
    rank = {} if node_rank is None else {NODE_RANK_VARIABLE: str(node_rank)}
    return {RENDEZVOUS_VARIABLE: rendezvous, **rank}


def rendezvous_here() -> str:
    """Return an address of this machine that others reach, with a port that is free now."""
    return f"{routable_address()}:{free_port()}"


def this_node(resources: Resources, environment: Mapping[str, str] = os.environ) -> Node:
    """Return where this worker stands.

    Raises:
        LaunchError: several nodes are wanted, and the environment does not say which one this is.
    """
    if resources.nodes == 1:
        return Node(0, "127.0.0.1", 0)
    host, _, port = environment.get(RENDEZVOUS_VARIABLE, "").rpartition(":")
    rank = environment.get(NODE_RANK_VARIABLE, environment.get(SLURM_RANK_VARIABLE, ""))
    if not host or not port.isdigit() or not rank.isdigit() or int(rank) >= resources.nodes:
        raise LaunchError(
            f"a trial over {resources.nodes} nodes: expected {RENDEZVOUS_VARIABLE}=host:port and "
            f"{NODE_RANK_VARIABLE}=0..{resources.nodes - 1} in the environment, "
            f"got {host}:{port} and {rank or 'none'}; let `oneshot run` start it"
        )
    return Node(int(rank), host, int(port))


def routable_address() -> str:
    """Return an address under which other machines reach this one; its name may resolve to 127.0.0.1 here."""
    try:
        listing = subprocess.run(["hostname", "-I"], capture_output=True, text=True, timeout=20, check=False).stdout
    except (FileNotFoundError, subprocess.TimeoutExpired):
        listing = ""
    addresses = [address for address in listing.split() if ":" not in address]  # IPv6 has colons of its own
    return addresses[0] if addresses else socket.gethostbyname(socket.gethostname())


def free_port() -> int:
    """Return the number of a port that nobody listens on now.

    It is none that Linux hands to outgoing connections, of which one could take it before it is listened on.
    """
    ports = range(LOWEST_PORT, _first_of_connections())
    tried = random.SystemRandom().sample(ports, min(MOST_PORTS, len(ports)))
    for port in (*tried, ANY_PORT):
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise LaunchError("no port of this machine is free")


def _first_of_connections() -> int:
    """Return the first of the ports that outgoing connections get."""
    try:
        return int(PORTS_OF_CONNECTIONS.read_text().split()[0])
    except FileNotFoundError:  # no Linux
        return LOWEST_PORT
