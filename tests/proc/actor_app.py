"""An actor app as a process of its own, so that it can be killed: plain asyncio, no frameworks, thousands of turns a second.

    actor_app.py PORT TYPE [CONFIG-JSON]

Methods of an actor:
  add           adds 1 to a number kept here, answers it
  echo          answers the body
  hold          answers when POST /control/release comes
  big-N         answers N bytes
  endless       makes the answer to the actor's deactivation a head without an end of its body
  anything else answers 200 without a body
GET /control/seen says what has happened; a turn that starts while another one of the same actor runs counts as an overlap.
"""
import asyncio
import json
import sys


class Book:
    def __init__(self, kind: str, config: dict):
        self.config = {"entities": [kind], **config}
        self.counts: dict[str, int] = {}
        self.active: set[str] = set()
        self.running: dict[str, int] = {}
        self.calls = self.deactivations = self.overlaps = self.aborted = 0
        self.released = asyncio.Event()
        self.endless: set[str] = set()

    def seen(self) -> dict:
        return {"calls": self.calls, "deactivations": self.deactivations, "overlaps": self.overlaps, "aborted": self.aborted,
                "active": len(self.active), "holding": sum(self.running.values()), "running": sorted(self.running)}

    async def turn(self, actor: str, method: str, body: bytes) -> bytes:
        self.calls += 1
        self.active.add(actor)
        if method == "add":
            self.counts[actor] = self.counts.get(actor, 0) + 1
            return str(self.counts[actor]).encode()
        if method == "endless":
            self.endless.add(actor)
        if method == "echo":
            return body
        if method.startswith("big-"):
            return b"b" * int(method[4:])
        if method == "hold":
            self.overlaps += self.running.get(actor, 0) > 0
            self.running[actor] = self.running.get(actor, 0) + 1
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                self.aborted += 1
                raise
            finally:
                self.running[actor] -= 1
                if not self.running[actor]:
                    del self.running[actor]
            return b"released"
        return b""

    async def answer(self, verb: str, path: str, body: bytes) -> tuple[int, bytes]:
        parts = path.split("/")
        if parts[1] == "actors" and len(parts) == 6 and verb == "PUT":
            return 200, await self.turn(parts[3], parts[5], body)
        if parts[1] == "actors" and len(parts) == 4 and verb == "DELETE":
            self.deactivations += 1
            self.active.discard(parts[3])
            return 200, b""
        if path == "/dapr/config":
            return 200, json.dumps(self.config).encode()
        if path == "/control/seen":
            return 200, json.dumps(self.seen()).encode()
        if path == "/control/release":
            self.released.set()
            return 200, b""
        if path == "/control/hold":
            self.released.clear()
            return 200, b""
        return (200, b"") if path == "/healthz" else (404, b"")


async def serve(book: Book, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode("latin-1").split("\r\n")
            verb, target, _ = lines[0].split(" ", 2)
            fields = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
            if "chunked" in fields.get("transfer-encoding", ""):
                body = b""
                while size := int(await reader.readline(), 16):
                    body += (await reader.readexactly(size + 2))[:-2]
                await reader.readline()
            else:
                body = await reader.readexactly(int(fields.get("content-length", "0")))
            path = target.partition("?")[0]
            turn = asyncio.ensure_future(book.answer(verb, path, body))
            if "hold" in path and not turn.done():
                gone = asyncio.ensure_future(reader.read(1))  # the sidecar aborts a call by closing its connection
                await asyncio.wait([turn, gone], return_when=asyncio.FIRST_COMPLETED)
                if not turn.done():
                    turn.cancel()
                    return
                gone.cancel()
                await asyncio.wait([gone])
            status, answer = await turn
            if verb == "DELETE" and path.rpartition("/")[2] in book.endless:
                writer.write(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
                await reader.read()
                return
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(answer)) + answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main(port: int, kind: str, config: dict) -> None:
    book = Book(kind, config)
    server = await asyncio.start_server(lambda r, w: serve(book, r, w), "127.0.0.1", port, limit=1 << 20, backlog=512)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}))
