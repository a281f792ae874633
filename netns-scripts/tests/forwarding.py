"""Clients that talk through a load balancer, many in one process: a guest starts programs slowly.

  forwarding.py ask        lines `KIND ADDRESS PORT COUNT [SOURCE]` on stdin; for each prints who answered how often, as
                           `ADDRESS PORT: WHO xCOUNT, ...`; with SOURCE the client has that address. Two who answer may
                           be told apart by the address of the client they saw: `WHO<SEEN`. KIND is tcp, udp, sctp, or
                           sip/ID: an INVITE with that Call-ID by UDP.
  forwarding.py serve      lines `tcp|udp|sctp ADDRESS PORT` on stdin, then serves for ever: answers `ADDRESS SEEN`, the
                           client's address, and keeps connections open, answering every line.
  forwarding.py keep       lines on stdin: `open NAME ADDRESS PORT COUNT [SOURCE]` opens so many more TCP connections under
                           NAME and prints who has those that are open, `NAME: WHO xCOUNT, ...`; `close NAME WHO` closes
                           those of WHO; `order NAME` prints who got all that NAME ever opened, one after the other, as
                           letters: A is the first who answered. WHO may be such a letter.
  forwarding.py hold ADDRESS PORT COUNT FIFO
                           opens connections, each speaks once; says "open"; at each line on FIFO all speak again, says
                           how many were answered.
  forwarding.py murmur ADDRESS PORT COUNT FIFO
                           so many UDP sockets that go on asking, says "open"; a digit on FIFO: so many go on.
  forwarding.py single ADDRESS PORT COUNT
                           so many UDP requests from one socket, each after the answer to the one before, wherever that
                           comes from; prints who answered, as `order` does.
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


INVITE = """INVITE sip:bob@example.org SIP/2.0
Via: SIP/2.0/UDP client.example.org;branch=z9hG4bK1
From: <sip:alice@example.org>;tag=1
To: <sip:bob@example.org>
Call-ID: %s
CSeq: 1 INVITE
Content-Length: 0

"""


def endpoint(kind, address):
    if kind == "sctp":
        return socket.socket(family(address), socket.SOCK_STREAM, socket.IPPROTO_SCTP)
    return socket.socket(family(address), socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)


def speak(client, kind, address, port, source=None):
    """What one request is answered; `client` stays connected."""
    request = (INVITE % kind[4:]).replace("\n", "\r\n") if kind.startswith("sip/") else "who\n"
    client.settimeout(4)
    if source:
        client.bind((source, 0))
    client.connect((address, port))
    client.sendall(request.encode())
    return client.recv(256).decode().strip()


def talk(kind, address, port, source=None):
    with endpoint(kind, address) as client:
        return speak(client, kind, address, port, source)


def counted(answers):
    return ", ".join("%s x%d" % item for item in sorted(answers.items()))


def ask():
    for line in sys.stdin.read().splitlines():
        kind, address, port, count, *source = line.split()
        answers = collections.Counter()
        for _ in range(int(count)):
            try:
                answers[talk(kind, address, int(port), *source)] += 1
            except OSError as error:
                answers["nobody (%s)" % error.__class__.__name__] += 1
        print("%s %s: %s" % (address, port, counted(answers)), flush=True)


def keep():
    groups = {}
    for line in sys.stdin.read().splitlines():
        verb, name, *words = line.split()
        groups.setdefault(name, Kept(name)).obey(verb, words)


def letters(history):
    """A is the first who answered."""
    answerers = list(dict.fromkeys(history))
    return " ".join(chr(ord("A") + answerers.index(who)) for who in history)


class Kept:
    """Connections that stay open: who has each, in the order in which they were opened."""

    def __init__(self, name):
        self.name, self.open, self.history = name, [], []

    def obey(self, verb, words):
        if verb == "open":
            address, port, count, *source = words
            for _ in range(int(count)):
                self.history.append(self.opened(address, int(port), *source))
            self.say(counted(collections.Counter(who for who, _ in self.open) + self.refused()))
        elif verb == "close":
            who = self.answerers()[ord(words[0]) - ord("A")] if len(words[0]) == 1 else words[0]
            for _, client in filter(lambda kept: kept[0] == who, self.open):
                client.close()
            self.open = [kept for kept in self.open if kept[0] != who]
        else:
            self.say(letters(self.history))

    def opened(self, address, port, source=None):
        client = endpoint("tcp", address)
        try:
            who = speak(client, "tcp", address, port, source).split("<")[0]
            self.open.append((who, client))
            return who
        except OSError as error:
            client.close()
            return "nobody (%s)" % error.__class__.__name__

    def refused(self):
        return collections.Counter(who for who in self.history if who.startswith("nobody"))

    def answerers(self):
        return list(dict.fromkeys(self.history))

    def say(self, words):
        print("%s: %s" % (self.name, words), flush=True)


def serve():
    sockets, names = {}, {}
    for line in filter(None, sys.stdin.read().splitlines()):
        kind, address, port = line.split()
        bound = endpoint(kind, address)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ":" in address:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(("::" if address == "any6" else "" if address == "any" else address, int(port)))
        if kind != "udp":
            bound.listen(64)
        sockets[bound], names[bound] = kind, address
    print("serving", flush=True)
    while True:
        for ready in select.select(list(sockets), [], [])[0]:
            try:
                if sockets[ready] == "udp":
                    _, peer = ready.recvfrom(2048)
                    ready.sendto(("%s<%s" % (names[ready], peer[0])).encode(), peer)
                elif sockets[ready] != "open":
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


def murmur(address, port, count, path):
    clients = [endpoint("udp", address) for _ in range(count)]
    for client in clients:
        speak(client, "udp", address, port)
    print("open", flush=True)
    with open(path, "r+b", buffering=0) as orders:
        while True:
            # Far more often than such a connection ends.
            if select.select([orders], [], [], 0.3)[0]:
                clients = clients[: int(orders.read(1))]
            for client in clients:
                client.send(b"who\n")


def single(address, port, count):
    history = []
    with endpoint("udp", address) as client:
        client.settimeout(4)
        for _ in range(count):
            client.sendto(b"who\n", (address, port))
            history.append(client.recv(256).decode().split("<")[0])
    print(letters(history))


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
elif sys.argv[1] == "murmur":
    murmur(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
elif sys.argv[1] == "single":
    single(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
elif sys.argv[1] == "rate":
    rate(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
else:
    {"ask": ask, "keep": keep, "serve": serve}[sys.argv[1]]()
