"""On the path of the CLI's Python alone: *.localhost is 127.0.0.1 and nothing else resolves, as in tests/instance.py.

A machine whose resolver knows these names, or whose hosts file has them, needs nothing of this.
"""

import socket

_original = socket.getaddrinfo


def _resolve(host, port, *arguments, **named):  # type: ignore[no-untyped-def]  # as the standard library's
    name = host.decode() if isinstance(host, bytes) else host or "127.0.0.1"
    if name == "localhost" or name.endswith(".localhost"):
        name = "127.0.0.1"
    if name not in ("127.0.0.1", "::1"):
        raise socket.gaierror(socket.EAI_NONAME, f"{name} is not a part of the instance under test")
    return _original(name, port, *arguments, **named)


socket.getaddrinfo = _resolve
