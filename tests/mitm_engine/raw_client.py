"""A client that sends bytes as it is told and reads answers strictly."""

import asyncio
import socket
import struct

from tests.mitm_engine.answers import Answer, take_response


class RawClient:
    """One connection. Reads nothing that no test asked for."""

    def __init__(self, sock: socket.socket, first: bytes = b"") -> None:
        self.sock = sock
        self.seen = first
        self.has_ended = False

    @classmethod
    async def connect(cls, port: int, *, receive_buffer: int = 0) -> "RawClient":
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        return cls(sock)

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def read(self, size: int = 65536) -> bytes:
        """What comes next; b"" at the end. Raises ConnectionResetError."""
        data = await asyncio.get_running_loop().sock_recv(self.sock, size)
        self.seen += data
        self.has_ended = not data
        return data

    async def response(self, method: str = "GET") -> Answer:
        """The next answer. Raises EOFError when the connection ends before it is whole."""
        while True:
            taken = take_response(self.seen, method, ended=self.has_ended)
            if taken is not None:
                found, self.seen = taken
                return found
            if self.has_ended:
                raise EOFError(self.seen)
            await self.read()

    async def until(self, end: bytes) -> bytes:
        """What came up to `end`. Raises EOFError."""
        while end not in self.seen:
            if not await self.read():
                raise EOFError(self.seen)
        found, end, self.seen = self.seen.partition(end)
        return found + end

    async def ended(self) -> bytes:
        """What still comes until the connection ends, by FIN or RST."""
        try:
            while await self.read():
                pass
        except ConnectionResetError:
            self.has_ended = True
        return self.seen

    async def ask(self, target: str = "/", method: str = "GET", body: bytes = b"", *more: str) -> Answer:
        """Send a request and read its answer."""
        await self.send(request(target, method, body, *more))
        return await self.response(method)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """End with RST, not FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def request(target: str = "/", method: str = "GET", body: bytes = b"", *more: str) -> bytes:
    """A request as bytes."""
    fields = ["Host: a.example.com", *more]
    if body:
        fields.append(f"Content-Length: {len(body)}")
    return "\r\n".join([f"{method} {target} HTTP/1.1", *fields, "", ""]).encode("latin-1") + body
