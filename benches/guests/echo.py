# A server in Python, as asyncio users write it when it has to be fast: a Protocol, no streams. TCP_NODELAY is asyncio's
# default. It prints its address first, and ends when its standard input ends.
#
#   python3 echo.py asyncio|uvloop echo|by-default|hello

import asyncio
import os
import sys
import threading

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!"
END = b"\r\n\r\n"


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class Hello(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.rest = b""

    def data_received(self, data):
        if self.rest:
            data = self.rest + data
        requests = data.count(END)
        if not requests:
            self.rest = data
            return
        self.rest = data[data.rindex(END) + len(END):]
        self.transport.write(RESPONSE * requests)


async def serve(talk):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(talk, "127.0.0.1", 0, backlog=4096)
    print("%s:%d" % server.sockets[0].getsockname()[:2], flush=True)
    await server.serve_forever()


def end_with_the_parent():
    sys.stdin.buffer.read()
    os._exit(0)


loop, talk = sys.argv[1:]
threading.Thread(target=end_with_the_parent, daemon=True).start()
if loop == "uvloop":
    from uvloop import run
else:
    from asyncio import run
run(serve({"echo": Echo, "by-default": Echo, "hello": Hello}[talk]))
