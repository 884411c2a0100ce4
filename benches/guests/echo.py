# A server in Python, as asyncio users write it when it has to be fast: a Protocol, no streams. TCP_NODELAY is asyncio's
# default. `echo` reads at most as much at once as all contenders have agreed on, into a buffer of its own; `by-default` reads
# as much as asyncio does if it is not told (256 KiB). It prints its address first, and ends when its standard input ends.
#
#   python3 echo.py asyncio|uvloop echo|by-default|hello

import asyncio
import os
import sys
import threading

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!"
AGREED = 16 * 1024
END = b"\r\n\r\n"


class Echo(asyncio.BufferedProtocol):
    def connection_made(self, transport):
        self.transport = transport
        self.buffer = memoryview(bytearray(AGREED))

    def get_buffer(self, hint):
        return self.buffer

    def buffer_updated(self, length):
        self.transport.write(bytes(self.buffer[:length]))


class EchoByDefault(asyncio.Protocol):
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
run(serve({"echo": Echo, "by-default": EchoByDefault, "hello": Hello}[talk]))
