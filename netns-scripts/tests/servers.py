"""Many small servers in one process (a guest starts programs slowly), and a client to ask them.

  servers.py serve FIFO        obeys lines read from FIFO:
      tcp ADDRESS PORT         HTTP there: /health answers the status set, anything else the listening address
      udp ADDRESS PORT         answers each datagram with the listening address
      close ADDRESS PORT       stops listening
      status ADDRESS PORT N    the HTTP status of /health (200 at first)
      say FILE                 writes "done" to FILE: all orders before it have been carried out
  servers.py ask tcp|udp ADDRESS PORT COUNT
      sends COUNT requests and prints `WHO COUNT` for each answerer, `failed COUNT REASON` for each failure
"""

import collections
import select
import socket
import sys


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Server:
    """One listening socket."""

    def __init__(self, kind, address, port):
        self.name = address
        self.kind = kind
        self.status = 200
        self.socket = socket.socket(family(address), socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, port))
        if kind == "tcp":
            self.socket.listen(64)

    def serve(self):
        try:
            if self.kind == "udp":
                _, peer = self.socket.recvfrom(2048)
                self.socket.sendto(self.name.encode(), peer)
                return
            connection, _ = self.socket.accept()
            with connection:
                connection.settimeout(2)
                request = connection.recv(4096)
                health = request.startswith(b"GET /health")
                status, body = (self.status, b"healthy\n") if health else (200, self.name.encode())
                connection.sendall(b"HTTP/1.0 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        except OSError:
            # A client that went away is no concern of a server.
            pass


def obey(servers, words):
    if words[0] in ("tcp", "udp"):
        servers[(words[1], words[2])] = Server(words[0], words[1], int(words[2]))
    elif words[0] == "close":
        servers.pop((words[1], words[2])).socket.close()
    elif words[0] == "status":
        servers[(words[1], words[2])].status = int(words[3])
    elif words[0] == "say":
        with open(words[1], "w", encoding="ascii") as answer:
            answer.write("done\n")


def serve(path):
    servers = {}
    # Opened for writing as well, so that it never reads as ended between two orders.
    with open(path, "r+b", buffering=0) as orders:
        pending = b""
        while True:
            ready, _, _ = select.select([orders, *(server.socket for server in servers.values())], [], [])
            if orders in ready:
                pending += orders.read(65536)
                *lines, pending = pending.split(b"\n")
                for line in lines:
                    obey(servers, line.decode().split())
                continue
            for server in list(servers.values()):
                if server.socket in ready:
                    server.serve()


def ask_once(kind, address, port):
    with socket.socket(family(address), socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as asker:
        asker.settimeout(3)
        asker.connect((address, port))
        asker.sendall(b"GET /who HTTP/1.0\r\n\r\n")
        answer = asker.recv(4096)
        while kind == "tcp" and (piece := asker.recv(4096)):
            answer += piece
    return answer.decode().split("\r\n\r\n")[-1] or "nothing"


def ask(kind, address, port, count):
    answers = collections.Counter()
    for _ in range(count):
        try:
            answers[ask_once(kind, address, port)] += 1
        except OSError as error:
            answers["failed %s" % error] += 1
    for who, number in sorted(answers.items()):
        print(who, number)


if sys.argv[1] == "serve":
    serve(sys.argv[2])
else:
    ask(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
