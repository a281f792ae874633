"""Servers that misbehave on order, many in one process, and the record of what is told about them.

  misbehave.py serve FIFO WAITING CERTIFICATE KEY    lets so many connections wait, obeys lines read from FIFO:
      NAME KIND ADDRESS PORT       listens there; KIND is http, tls, smtp, tcp, udp or dns
      NAME is BEHAVIOUR            from now on: good, closed (does not listen), or one that its KIND has below
      say FILE                     writes "done" to FILE: all orders before it have been carried out
  misbehave.py record OUT FIFO...            appends `FIFO MILLISECONDS LINE` for each line of the notify FIFOs to OUT
  misbehave.py judge OUT FIFO FIFO           prints, for each server, the events of both, and where they differ
"""

import os
import select
import socket
import ssl
import struct
import sys
import threading
import time

BODY = b"healthy\n"
LONGER_THAN_ANY_LIMIT = 4
HEAD = b"HTTP/1.0 %d X\r\nContent-Length: %d\r\n\r\n"


def whole(status, body):
    return HEAD % (status, len(body)) + body


def http(server, connection):
    """One request, one answer, by the behaviour of the moment."""
    request = connection.recv(4096)
    how = server.how
    if how == "once":
        # One failure, then all is well again.
        server.how = "good"
        how = "status"
    if how == "second" and b"GET /a" in request:
        how = "good"
    if how in ("status", "second"):
        connection.sendall(whole(503, BODY))
    elif how == "digest":
        connection.sendall(whole(200, b"ill\n"))
    elif how == "slow":
        time.sleep(LONGER_THAN_ANY_LIMIT)
        connection.sendall(whole(200, BODY))
    elif how == "late":
        time.sleep(0.4)
        connection.sendall(whole(200, BODY))
    elif how == "drip":
        for octet in whole(200, BODY):
            connection.sendall(bytes((octet,)))
            time.sleep(0.03)
    elif how == "stalls":
        connection.sendall(HEAD % (200, len(BODY)) + BODY[:3])
        time.sleep(LONGER_THAN_ANY_LIMIT)
    elif how == "short":
        connection.sendall(HEAD % (200, 100) + BODY)
    elif how == "lies":
        connection.sendall(HEAD % (200, 3) + BODY)
    elif how == "endless":
        connection.sendall((HEAD % (200, len(BODY)))[:-2] + b"X: y\r\n" * 20000)
    elif how == "garbage":
        connection.sendall(b"\x00\x01\x02 this is no HTTP\n\n")
    elif how == "redirect":
        connection.sendall(b"HTTP/1.0 302 Found\r\nLocation: /b\r\n\r\n")
    elif how == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif how != "mute":
        connection.sendall(whole(200, BODY))


def smtp(server, connection):
    say = lambda words: connection.sendall(words + b"\r\n")
    if server.how == "mute":
        time.sleep(LONGER_THAN_ANY_LIMIT)
        return
    say(b"421 not now" if server.how == "refuses" else b"220 mail.example ESMTP")
    connection.recv(512)
    say(b"550 who are you" if server.how == "rejects" else b"250 hello")
    connection.recv(512)
    say(b"221 bye")


def tcp(_server, connection):
    connection.recv(1)


def datagram(server):
    octets, peer = server.socket.recvfrom(4096)
    if server.how == "mute":
        return
    if server.kind == "udp":
        server.socket.sendto(b"wrong" if server.how == "wrong" else b"right", peer)
        return
    code = {"refuses": 5, "fails": 2, "unknown": 3}.get(server.how, 0)
    flags = 0x0100 if server.how == "echo" else 0x8180 | code
    server.socket.sendto(octets[:2] + struct.pack("!H", flags) + octets[4:], peer)


class Server:
    """One endpoint."""

    def __init__(self, waiting, context, kind, address, port):
        self.waiting, self.context = waiting, context
        self.kind, self.place, self.how = kind, (address, int(port)), "good"
        self.socket = None
        self.listen()

    def listen(self):
        kind = socket.SOCK_DGRAM if self.kind in ("udp", "dns") else socket.SOCK_STREAM
        self.socket = socket.socket(socket.AF_INET, kind)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.place)
        if kind == socket.SOCK_STREAM:
            self.socket.listen(self.waiting)

    def become(self, how):
        if how == "closed" and self.socket:
            self.socket.close()
            self.socket = None
        self.how = how
        if how != "closed" and not self.socket:
            self.listen()

    def serve(self):
        if self.kind in ("udp", "dns"):
            datagram(self)
            return
        connection, _ = self.socket.accept()
        threading.Thread(target=self.converse, args=(connection,), daemon=True).start()

    def converse(self, connection):
        try:
            connection.settimeout(10)
            if self.kind == "tls" and self.how != "plain":
                connection = self.context.wrap_socket(connection, server_side=True)
            {"http": http, "tls": http, "smtp": smtp, "tcp": tcp}[self.kind](self, connection)
        except OSError:
            # A client that went away is no concern of a server.
            pass
        finally:
            connection.close()


def serve(fifo, waiting, certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    servers, pending = {}, b""
    with open(fifo, "r+b", buffering=0) as orders:
        while True:
            listening = {server.socket: server for server in servers.values() if server.socket}
            ready, _, _ = select.select([orders, *listening], [], [])
            if orders in ready:
                pending += orders.read(65536)
                *lines, pending = pending.split(b"\n")
                for words in (line.decode().split() for line in lines):
                    if words[0] == "say":
                        with open(words[1], "w", encoding="ascii") as answer:
                            answer.write("done\n")
                    elif words[1] == "is":
                        servers[words[0]].become(words[2])
                    else:
                        servers[words[0]] = Server(int(waiting), context, *words[1:])
                continue
            for one in ready:
                listening[one].serve()


def record(out, fifos):
    pending = {os.open(fifo, os.O_RDWR): (fifo, b"") for fifo in fifos}
    with open(out, "a", encoding="ascii") as log:
        while True:
            for fd in select.select(list(pending), [], [])[0]:
                fifo, rest = pending[fd]
                *lines, rest = (rest + os.read(fd, 65536)).split(b"\n")
                pending[fd] = fifo, rest
                for line in lines:
                    # keepalived 2.4.3 ends lines about servers with an octet NUL as well; 2.2.7 and ours do not.
                    line = line.strip(b"\0")
                    print(fifo.rsplit("/", 1)[-1], time.monotonic_ns() // 1_000_000, line.decode(), file=log, flush=True)


def events(out, fifo):
    """Events by server, in order, with their times."""
    found = {}
    with open(out, encoding="ascii") as log:
        for line in log:
            who, when, *words = line.split()
            # RS 192.0.2.21:80 192.0.2.100:80 UP
            if who == fifo and words[0] == "RS":
                found.setdefault(words[1], []).append((words[-1], int(when)))
    return found


def judge(out, ours, theirs):
    ours, theirs = events(out, ours), events(out, theirs)
    worst, differs = 0, 0
    for server in sorted({*ours, *theirs}):
        both = [side.get(server, []) for side in (ours, theirs)]
        names = [" ".join(name for name, _ in side) for side in both]
        if names[0] != names[1]:
            differs += 1
            print("differs: %s: ours `%s`, keepalived's `%s`" % (server, *names))
            continue
        # The first word of a server comes at the start, which is not ours to compare.
        apart = max((abs(a[1] - b[1]) for a, b in list(zip(*both))), default=0)
        worst = max(worst, apart)
        print("same: %s: %s (at most %d ms apart)" % (server, names[0], apart))
    print("measured: the events of the two are at most %d ms apart" % worst)
    return 1 if differs else 0


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:6])
    elif sys.argv[1] == "record":
        record(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(judge(*sys.argv[2:5]))
