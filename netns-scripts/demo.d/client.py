"""Sends HTTP requests to one address without end and answers questions about them on stdin and stdout.

usage: client.py ADDRESS PORT INTERVAL_SECONDS
  report    statistics since the last report, which they reset:
              sent N failed N gap MS SERVER=COUNT ...
              failed COUNT FIRST LAST KIND      (one line for each kind of failure, with clock times)
              .
  quit
A request is one new connection (so that IPVS schedules each), and a failure is told by what the client saw.
`gap` is the longest time between two answers, in milliseconds.
"""

import errno
import itertools
import select
import socket
import sys
import time

# Longer than any healthy answer here, short enough to count an outage in several failures.
PATIENCE = 1.0

# Every request comes from a port of its own, as from many clients. The kernel's own choice comes back to a port within
# seconds, and IPVS, which keeps a closed connection for two minutes, drops a new one from the same port when the server
# of the old one has left the table (see net.ipv4.vs.expire_nodest_conn).
PORTS = itertools.cycle(range(10000, 60000))

KINDS = {
    errno.ECONNREFUSED: "refused: nobody listens there (reset by the server or the kernel)",
    errno.ECONNRESET: "reset: the connection was cut",
    errno.EHOSTUNREACH: "unreachable: nobody answered for the address on the wire (ARP)",
    errno.ENETUNREACH: "unreachable: no route to the address",
    errno.EPIPE: "reset: the connection was cut",
}


def request(address, port):
    """The server's name, or raises OSError; every wait is bounded by PATIENCE."""
    stage = "connect: no answer within %g s" % PATIENCE
    try:
        with socket.create_connection((address, port), PATIENCE, ("", next(PORTS))) as connection:
            stage = "answer: connected, then silence for %g s" % PATIENCE
            connection.sendall(b"GET /who HTTP/1.0\r\nHost: demo\r\n\r\n")
            answer = b""
            while True:
                piece = connection.recv(4096)
                if not piece:
                    break
                answer += piece
    except TimeoutError:
        raise OSError(0, stage) from None
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head:
        raise OSError(0, "closed: the server closed without an answer")
    status = head.split(b" ", 2)[1:2]
    if status != [b"200"]:
        raise OSError(0, "status: HTTP %s" % b"".join(status).decode("latin-1"))
    return body.decode("latin-1").strip()


def clock(at, now):
    """A monotonic time as the wall clock's, to compare with logs."""
    wall = time.time() + at - now
    return time.strftime("%H:%M:%S", time.localtime(wall)) + ".%03d" % (wall % 1 * 1000)


class Statistics:
    """What happened since the last report."""

    def __init__(self, last_answer):
        self.sent = 0
        self.gap = 0.0
        self.last_answer = last_answer
        self.servers = {}
        self.failures = {}

    def answered(self, server, at):
        self.servers[server] = self.servers.get(server, 0) + 1
        self.gap = max(self.gap, at - self.last_answer)
        self.last_answer = at

    def failed(self, kind, at):
        count, first, _ = self.failures.get(kind, (0, at, at))
        self.failures[kind] = (count + 1, first, at)

    def lines(self, now):
        failed = sum(count for count, _, _ in self.failures.values())
        gap = max(self.gap, now - self.last_answer)
        servers = " ".join("%s=%d" % item for item in sorted(self.servers.items()))
        yield ("sent %d failed %d gap %d %s" % (self.sent, failed, gap * 1000, servers)).strip()
        for kind, (count, first, last) in self.failures.items():
            yield "failed %d %s %s %s" % (count, clock(first, now), clock(last, now), kind)
        yield "."


def main():
    address, port, interval = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    now = time.monotonic()
    statistics = Statistics(now)
    following = now
    while True:
        readable, _, _ = select.select([sys.stdin], [], [], max(0, following - time.monotonic()))
        if readable:
            order = sys.stdin.readline().strip()
            if order in ("", "quit"):
                return
            now = time.monotonic()
            print("\n".join(statistics.lines(now)), flush=True)
            statistics = Statistics(statistics.last_answer)
            continue
        statistics.sent += 1
        try:
            server = request(address, port)
            statistics.answered(server, time.monotonic())
        except OSError as error:
            kind = KINDS.get(error.errno) or error.strerror or str(error)
            statistics.failed(kind, time.monotonic())
        following = max(following + interval, time.monotonic())


main()
