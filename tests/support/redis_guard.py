"""The demands of real servers of Redis on their clients: certificates and users."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Guard:
    """TLS with certificates on both sides, and users. Debian's Redis has TLS, the Valkey in our wheel has not.

    Attributes:
        pair: the certificate and key of all servers and clients.
        authority: what signed it.
        users: the file of users, among which are "tester" and those of deploy/redis. Passwords are their names.
    """

    pair: Path
    authority: Path
    users: Path

    def options(self, kind: str) -> tuple[str, ...]:
        """The options of a server."""
        pair = ("--tls-cert-file", str(self.pair), "--tls-key-file", str(self.pair))
        tls = (*pair, "--tls-ca-cert-file", str(self.authority), "--tls-replication", "yes")
        if kind == "sentinel":
            return (*tls, "--requirepass", "sentinel")
        replica = ("--masteruser", "gateway-replica", "--masterauth", "gateway-replica")
        users = (*tls, "--aclfile", str(self.users), *replica)
        return (*users, "--tls-cluster", "yes") if kind == "cluster" else users

    def client(self, kind: str) -> dict[str, Any]:
        """The options of a client that may ask everything."""
        files = {"ssl_certfile": str(self.pair), "ssl_keyfile": str(self.pair)}
        login = {"username": "tester", "password": "tester"}
        tls = {"ssl": True, "ssl_ca_certs": str(self.authority), **files}
        return {**tls, **({"password": "sentinel"} if kind == "sentinel" else login)}

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a gateway, but for the users of its programs."""
        files = {"CA": self.authority, "CERT": self.pair, "KEY": self.pair}
        tls = {f"GATEWAY__REDIS__TLS__{name}": str(file) for name, file in files.items()}
        return {**tls, "GATEWAY__REDIS__SENTINEL_PASSWORD": "sentinel"}
