"""The app of test_chaos.py: one actor type over HTTP/1.1, HTTP/2 in clear text or the event stream, with every bad habit.

    chaos_app.py PORT PROTOCOL TYPE SIDECAR-HTTP-PORT SIDECAR-GRPC-PORT JOURNAL

PROTOCOL is http, h2c or stream. Each turn is told to the journal, a file that all apps append to: its start, and how it
ended (`end` as far as the app is concerned, `abort` if the sidecar took its connection away). So is each state
transaction that was acknowledged. The body of a call is JSON: what to do, and the number of the call.
"""
import asyncio
import json
import os
import random
import sys
import time

NESTED_S = 8.0  # a call from within a turn ends by then: two chains may wait for one another


class Journal:
    def __init__(self, path: str, app: str):
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.app = app
        self.turns = 0

    def write(self, event: str, **facts) -> None:
        facts |= {"event": event, "at": time.monotonic(), "app": self.app, "pid": os.getpid()}
        os.write(self.file, json.dumps(facts).encode() + b"\n")


class Broken(Exception):
    """Break the connection off; what the app says before is the argument."""


# A small HTTP/1.1 client, also for the driver: one connection a request, closed at once when its task is canceled.

async def request(port: int, verb: str, path: str, body: bytes = b"", headers: dict | None = None) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        fields = {"Host": "x", "Connection": "close", "Content-Length": str(len(body)), **(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"{verb} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        await writer.drain()
        return await read_answer(reader)
    finally:
        writer.transport.abort()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    return int(head[0].split(" ")[1]), await read_body(reader, head)


async def read_body(reader: asyncio.StreamReader, head: list[str]) -> bytes:
    fields = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in head[1:])}
    if "chunked" not in fields.get("transfer-encoding", ""):
        return await reader.readexactly(int(fields.get("content-length", "0")))
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return body


class Actors:
    """What a turn does, whichever way it came."""

    def __init__(self, kind: str, sidecar_port: int, journal: Journal):
        self.kind, self.sidecar_port, self.journal = kind, sidecar_port, journal
        self.config = {"entities": [kind], "actorIdleTimeout": "4s", "drainOngoingCallTimeout": "1s",
                       "reentrancy": {"enabled": True, "maxStackDepth": 16}}

    async def turn(self, actor: str, method: str, body: bytes, chain: str) -> bytes:
        order = json.loads(body or b"{}")
        self.journal.turns += 1
        turn = f"{os.getpid()}-{self.journal.turns}"
        self.journal.write("start", turn=turn, actor=actor, method=method, call=order.get("call"), chain=chain)
        how = "abort"
        try:
            answer = await getattr(self, method.split("/")[-1])(actor, order, chain)
            how = "end"
            return answer
        except Broken:
            how = "end"
            raise
        finally:
            self.journal.write(how, turn=turn)

    async def sidecar(self, verb: str, path: str, order=None, chain: str = "") -> tuple[int, bytes]:
        headers = {"Dapr-Reentrancy-Id": chain} if chain else {}
        body = b"" if order is None else json.dumps(order).encode()
        return await asyncio.wait_for(request(self.sidecar_port, verb, f"/v1.0/actors/{self.kind}/{path}", body, headers), NESTED_S)

    async def nap(self, actor: str, order: dict, chain: str) -> bytes:
        await asyncio.sleep(order.get("seconds", 0))
        return b"x" * order.get("bytes", 0)

    async def write(self, actor: str, order: dict, chain: str) -> bytes:
        """Count in the actor's state, and write a key of this call's own, in one transaction."""
        status, text = await self.sidecar("GET", f"{actor}/state/count")
        if status not in (200, 204):
            return b"no state"
        count = int(text or b"0") + 1
        upserts = [{"operation": "upsert", "request": {"key": key, "value": value}}
                   for key, value in (("count", count), (f"call-{order['call']}", count))]
        status, _ = await self.sidecar("POST", f"{actor}/state", upserts)
        if status == 204:
            self.journal.write("acknowledged", actor=actor, call=order["call"], count=count)
        return str(status).encode()

    async def chain(self, actor: str, order: dict, chain: str) -> bytes:
        """Call the next actor of the path, in the same chain."""
        if order["path"]:
            rest = {**order, "path": order["path"][1:]}
            status, text = await self.sidecar("POST", f"{order['path'][0]}/method/chain", rest, chain)
            return text if status == 200 else b"broken %d" % status
        return b"whole"

    async def timer(self, actor: str, order: dict, chain: str) -> bytes:
        verb = "DELETE" if order.get("delete") else "POST"
        body = None if order.get("delete") else {"dueTime": "30ms", "period": "150ms", "ttl": "2s", "callback": "tick"}
        status, _ = await self.sidecar(verb, f"{actor}/timers/{order['name']}", body)
        return str(status).encode()

    async def tick(self, actor: str, order: dict, chain: str) -> bytes:
        await asyncio.sleep(random.random() * 0.02)
        return b""

    async def garbage(self, actor: str, order: dict, chain: str) -> bytes:
        raise Broken(random.randbytes(random.randrange(2000)))

    async def close(self, actor: str, order: dict, chain: str) -> bytes:
        raise Broken(b"")

    async def answer(self, verb: str, path: str, body: bytes, chain: str) -> tuple[int, bytes]:
        parts = path.split("/")
        if parts[1] == "actors" and verb == "PUT" and len(parts) >= 6:
            method = "tick" if parts[5] == "timer" else parts[5]
            return 200, await self.turn(parts[3], method, b"" if method == "tick" else body, chain)
        if path == "/dapr/config":
            return 200, json.dumps(self.config).encode()
        return 200, b""


# HTTP/1.1

async def serve_http1(actors: Actors, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode("latin-1").split("\r\n")
            verb, target, _ = lines[0].split(" ", 2)
            chain = next((line.split(":", 1)[1].strip() for line in lines if line.lower().startswith("dapr-reentrancy-id:")), "")
            body = await read_body(reader, lines)
            turn = asyncio.ensure_future(actors.answer(verb, target.partition("?")[0], body, chain))
            gone = asyncio.ensure_future(reader.read(1))  # the sidecar aborts a call by closing its connection
            await asyncio.wait([turn, gone], return_when=asyncio.FIRST_COMPLETED)
            if not turn.done():
                turn.cancel()
                return
            gone.cancel()
            await asyncio.wait([gone])
            status, answer = turn.result()
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(answer)) + answer)
            await writer.drain()
    except Broken as broken:
        writer.write(broken.args[0])
    except (asyncio.IncompleteReadError, ConnectionError, asyncio.TimeoutError):
        pass
    finally:
        writer.close()


# HTTP/2 in clear text

class Http2(asyncio.Protocol):
    def __init__(self, actors: Actors):
        import h2.config
        import h2.connection
        import h2.events
        self.actors, self.events = actors, h2.events
        self.state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.heads: dict[int, dict] = {}
        self.bodies: dict[int, bytes] = {}
        self.turns: dict[int, asyncio.Task] = {}
        self.out: dict[int, bytes] = {}

    def connection_made(self, transport):
        self.transport = transport
        self.state.initiate_connection()
        self.flush()

    def flush(self):
        self.transport.write(self.state.data_to_send())

    def connection_lost(self, _error):
        for turn in list(self.turns.values()):
            turn.cancel()

    def data_received(self, data):
        from h2.exceptions import H2Error
        try:
            for event in self.state.receive_data(data):
                self.take(event)
            self.flush()
        except H2Error:
            self.transport.abort()

    def take(self, event):
        stream = getattr(event, "stream_id", None)
        if isinstance(event, self.events.RequestReceived):
            self.heads[stream], self.bodies[stream] = dict(event.headers), b""
        elif isinstance(event, self.events.DataReceived):
            self.bodies[stream] += event.data
            self.state.acknowledge_received_data(event.flow_controlled_length, stream)
        elif isinstance(event, self.events.StreamEnded):
            self.turns[stream] = asyncio.ensure_future(self.answer(stream, self.heads.pop(stream), self.bodies.pop(stream)))
        elif isinstance(event, self.events.StreamReset):
            self.out.pop(stream, None)
            if stream in self.turns:
                self.turns[stream].cancel()
        elif isinstance(event, self.events.WindowUpdated):
            for one in list(self.out):
                self.send(one)

    async def answer(self, stream: int, head: dict, body: bytes):
        try:
            path = head[":path"].partition("?")[0]
            status, answer = await self.actors.answer(head[":method"], path, body, head.get("dapr-reentrancy-id", ""))
            self.state.send_headers(stream, [(":status", str(status))])
            self.out[stream] = answer
            self.send(stream)
            self.flush()
        except Broken as broken:
            self.transport.write(broken.args[0])
            self.transport.close()
        except Exception:  # noqa: BLE001 - the stream or its connection is gone, or a nested call failed
            if not self.transport.is_closing():
                self.transport.abort()
        finally:
            del self.turns[stream]

    def send(self, stream: int):
        rest = self.out.pop(stream)
        while rest and (room := min(self.state.local_flow_control_window(stream), 16384)) > 0:
            self.state.send_data(stream, rest[:room])
            rest = rest[room:]
        if rest:
            self.out[stream] = rest
        else:
            self.state.end_stream(stream)


# The event stream

async def serve_stream(actors: Actors, grpc_port: int) -> None:
    import grpc
    from dapr.proto.runtime.v1 import actors_pb2, dapr_pb2_grpc
    from google.protobuf import duration_pb2
    from_app = actors_pb2.SubscribeActorEventsRequestAlpha1
    first = actors_pb2.SubscribeActorEventsRequestInitialAlpha1(
        entities=[actors.kind], actor_idle_timeout=duration_pb2.Duration(seconds=4),
        drain_ongoing_call_timeout=duration_pb2.Duration(seconds=1))
    first.reentrancy.enabled = True
    first.reentrancy.max_stack_depth = 16

    async def send(call, lock, message):
        async with lock:  # one write at a time
            await call.write(message)

    async def answer(call, lock, message):
        kind = message.WhichOneof("response_type")
        event = getattr(message, kind)
        try:
            if kind == "invoke_request":
                chain = {key.lower(): value for key, value in event.metadata.items()}.get("dapr-reentrancy-id", "")
                data = await actors.turn(event.actor_id, event.method, event.data, chain)
                out = from_app(invoke_response={"id": event.id, "data": data})
            elif kind == "timer_request":
                await actors.turn(event.actor_id, "tick", b"", "")
                out = from_app(timer_response={"id": event.id})
            else:
                out = from_app(deactivate_response={"id": event.id})
        except Broken as broken:
            if not broken.args[0]:
                call.cancel()
                return
            await send(call, lock, from_app(timer_response={"id": "nobody"}))
            out = from_app(deactivate_response={"id": event.id})  # another type than was asked for
        except (asyncio.TimeoutError, OSError, EOFError, ValueError, IndexError) as error:
            out = from_app(request_failed={"id": event.id, "code": 2, "message": repr(error)})
        await send(call, lock, out)

    while True:
        tasks, lock = set(), asyncio.Lock()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            try:
                call = dapr_pb2_grpc.DaprStub(channel).SubscribeActorEventsAlpha1()
                await call.write(from_app(initial_request=first))
                async for message in call:
                    if message.WhichOneof("response_type") != "initial_response":
                        tasks.add(asyncio.ensure_future(answer(call, lock, message)))
            except (grpc.aio.AioRpcError, asyncio.CancelledError, asyncio.InvalidStateError):
                pass
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.1)


async def main(port: int, protocol: str, kind: str, sidecar_http: int, sidecar_grpc: int, journal: str) -> None:
    actors = Actors(kind, sidecar_http, Journal(journal, f"{protocol}-{port}"))
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # connections break here all the time
    if protocol == "h2c":
        server = await loop.create_server(lambda: Http2(actors), "127.0.0.1", port, backlog=256)
    else:
        server = await asyncio.start_server(lambda r, w: serve_http1(actors, r, w), "127.0.0.1", port, backlog=256)
    if protocol == "stream":
        await serve_stream(actors, sidecar_grpc)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), sys.argv[6]))
