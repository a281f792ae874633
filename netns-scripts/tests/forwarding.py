"""Clients that talk through a load balancer, many in one process: a guest starts programs slowly.

  forwarding.py ask        lines `tcp|udp ADDRESS PORT COUNT [SOURCE]` on stdin; for each prints who answered how often, as
                           `ADDRESS PORT: WHO xCOUNT, ...`; with SOURCE the client has that address. Two who answer may
                           be told apart by the address of the client they saw: `WHO<SEEN`.
  forwarding.py serve      lines `tcp|udp ADDRESS PORT` on stdin, then serves for ever: answers `ADDRESS SEEN`, the client's
                           address, and keeps TCP connections open, answering every line.
  forwarding.py hold ADDRESS PORT COUNT FIFO
                           opens connections, each speaks once; says "open"; at each line on FIFO all speak again, says
                           how many were answered.
  forwarding.py rate ADDRESS PORT COUNT
                           so many TCP connections one after the other, each asks once, forty times; prints how
                           many there were in a second, the median.
"""

import collections
import select
import socket
import statistics
import sys
import time


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def talk(kind, address, port, source=None):
    """What one request is answered."""
    with socket.socket(family(address), socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as client:
        client.settimeout(4)
        if source:
            client.bind((source, 0))
        client.connect((address, port))
        client.sendall(b"who\n")
        return client.recv(256).decode().strip()


def ask():
    for line in sys.stdin.read().splitlines():
        kind, address, port, count, *source = line.split()
        answers = collections.Counter()
        for _ in range(int(count)):
            try:
                answers[talk(kind, address, int(port), *source)] += 1
            except OSError as error:
                answers["nobody (%s)" % error.__class__.__name__] += 1
        print("%s %s: %s" % (address, port, ", ".join("%s x%d" % item for item in sorted(answers.items()))), flush=True)


def serve():
    sockets, names = {}, {}
    for line in filter(None, sys.stdin.read().splitlines()):
        kind, address, port = line.split()
        bound = socket.socket(family(address), socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ":" in address:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(("::" if address == "any6" else "" if address == "any" else address, int(port)))
        if kind == "tcp":
            bound.listen(64)
        sockets[bound], names[bound] = kind, address
    print("serving", flush=True)
    while True:
        for ready in select.select(list(sockets), [], [])[0]:
            try:
                if sockets[ready] == "udp":
                    _, peer = ready.recvfrom(2048)
                    ready.sendto(("%s<%s" % (names[ready], peer[0])).encode(), peer)
                elif sockets[ready] == "tcp":
                    connection, peer = ready.accept()
                    sockets[connection], names[connection] = "open", "%s<%s" % (names[ready], peer[0])
                elif ready.recv(4096):
                    ready.sendall(names[ready].encode() + b"\n")
                else:
                    raise OSError
            except OSError:
                if sockets.get(ready) == "open":
                    del sockets[ready], names[ready]
                    ready.close()


def hold(address, port, count, path):
    clients = []
    for _ in range(count):
        client = socket.create_connection((address, port), 4)
        client.sendall(b"who\n")
        client.recv(256)
        clients.append(client)
    print("open", flush=True)
    with open(path, "r+b", buffering=0) as orders:
        while orders.read(1):
            answered = 0
            for client in clients:
                try:
                    client.settimeout(6)
                    client.sendall(b"who\n")
                    answered += bool(client.recv(256))
                except OSError:
                    pass
            print("answered %d" % answered, flush=True)


def rate(address, port, count):
    spans = []
    for _ in range(40):
        begin = time.monotonic()
        for _ in range(count):
            talk("tcp", address, port)
        spans.append(time.monotonic() - begin)
    print("%d" % (count / statistics.median(spans)))


if sys.argv[1] == "hold":
    hold(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
elif sys.argv[1] == "rate":
    rate(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
else:
    {"ask": ask, "serve": serve}[sys.argv[1]]()
