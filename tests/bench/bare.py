"""The bare server: aiohttp's web.Server without a router, under uvloop and TLS, `python -m tests.bench.bare`.

One process, and a constant answer as long as that of a signature: what HTTP and TLS cost before anything is done.
Arguments: certificate, key. Says {"port": …} when it accepts; ends with its standard input.
"""

import asyncio
import json
import ssl
import sys

import uvloop
from aiohttp.web import BaseRequest, Response, Server

_BODY = json.dumps({"kid": "k" * 100, "value": "v" * 86}).encode()


async def handle(request: BaseRequest) -> Response:
    await request.read()
    return Response(body=_BODY, content_type="application/json")


async def serve(certificate: str, key: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server(handle), "127.0.0.1", 0, ssl=context, backlog=1024)
    sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1]}) + "\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:3]))
