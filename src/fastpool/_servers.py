"""Addresses of servers, in the one form that the pool works with: ``(host, port)``."""

from __future__ import annotations

from ._light.hints import Any, TypeAlias

Server: TypeAlias = tuple[str, int]


def normalise_servers(servers: Any, default_port: int | None = None, name: str = "servers") -> tuple[Server, ...]:
    """Turn a list of ``"host:port"`` or ``(host, port)`` into a tuple of ``(host, port)``, in the same order.

    IPv6 addresses are written ``"[::1]:9090"`` or ``("::1", 9090)``. With ``default_port`` the port may be left out.
    A server given twice gets twice the share. TypeError if it is no such list, ValueError if it is empty or has an
    invalid address; ``name`` is what messages call the argument.
    """
    if not isinstance(servers, (list, tuple)):
        callable_too = ", or a callable" if name == "servers" else ""
        raise TypeError(f"{name} must be a list of 'host:port' or (host, port){callable_too}, not {servers!r}")
    if not servers:
        raise ValueError(f"{name} must name at least one server, not none")
    return tuple(normalise_server(server, default_port, name) for server in servers)


def normalise_server(server: Any, default_port: int | None = None, name: str = "servers") -> Server:
    """Turn one ``"host:port"`` or ``(host, port)`` into ``(host, port)``."""
    if isinstance(server, str):
        host, port = _split(server, default_port, name)
    elif isinstance(server, (list, tuple)):
        if len(server) != 2:
            raise ValueError(f"{name}: an address is 'host:port' or (host, port), not {server!r}")
        host, port = server
    else:
        raise TypeError(f"{name}: an address is 'host:port' or (host, port), not {server!r}")
    if not isinstance(host, str):
        raise TypeError(f"{name}: the host must be a string, not {host!r} in {server!r}")
    if isinstance(port, bool) or not isinstance(port, int):
        raise TypeError(f"{name}: the port must be an integer, not {port!r} in {server!r}")
    if not host or host != host.strip():
        raise ValueError(f"{name}: the host is missing or has spaces around it in {server!r}")
    if not 1 <= port <= 65535:
        raise ValueError(f"{name}: the port must be from 1 to 65535, not {port} in {server!r}")
    return host, port


def server_text(server: Any) -> str:
    """A server in written form: ``host:port``, with brackets around an IPv6 address."""
    if not (isinstance(server, tuple) and len(server) == 2):
        return str(server)
    host, port = server
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


def _split(server: str, default_port: int | None, name: str) -> tuple[str, int]:
    host, colon, port = server.rpartition(":")
    bare = server.startswith("[") and server.endswith("]")  # an IPv6 address without a port
    if not colon or bare:
        if default_port is None:
            raise ValueError(f"{name}: an address needs a port, as in 'host:9090', not {server!r}")
        host, port = server, str(default_port)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{name}: write an IPv6 address in brackets, as in '[::1]:9090', not {server!r}")
    if not (port.isascii() and port.isdigit()):
        raise ValueError(f"{name}: the port must be a number, not {port!r} in {server!r}")
    return host, int(port)
