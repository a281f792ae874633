"""What is around packets that come in GUE (draft-ietf-intarea-gue), as the wire has it.

  outer.py PORT     says "listening", then for each kind of TCP packet that comes in GUE to PORT one line, at its first:
                    `TCP-PORT INNER in OUTER: CHECKSUM`, INNER and OUTER 4 or 6, CHECKSUM of the outer UDP header:
                    no checksum, checksum, or remote checksum (the inner one is left to the other end).
"""

import socket
import struct
import sys

ALL, IPV4, IPV6, UDP = 3, 0x0800, 0x86DD, 17
SO_RCVBUFFORCE = 33
PRIVATE_FLAGS, REMOTE_CHECKSUM = 0x0001, 0x80000000


def outer(kind, packet):
    """Version and UDP datagram of an IP packet, or nothing."""
    if kind == IPV4 and packet[9] == UDP:
        return 4, packet[(packet[0] & 15) * 4 :]
    if kind == IPV6 and packet[6] == UDP:
        return 6, packet[40:]
    return None


def described(version, datagram):
    (checksum,) = struct.unpack_from("!H", datagram, 6)
    length, flags = datagram[8] & 31, struct.unpack_from("!H", datagram, 10)[0]
    private = struct.unpack_from("!I", datagram, 12)[0] if flags & PRIVATE_FLAGS else 0
    inner = datagram[12 + length * 4 :]
    ports = inner[(inner[0] & 15) * 4 :] if inner[0] >> 4 == 4 else inner[40:]
    words = "checksum" if checksum else "no checksum"
    if private & REMOTE_CHECKSUM:
        words = "remote checksum"
    return "%d %d in %d: %s" % (struct.unpack_from("!H", ports, 2)[0], inner[0] >> 4, version, words)


def listen(port):
    seen = set()
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ALL)) as wire:
        # A slow guest's clients are done before this has read anything: the usual 200 KiB lose packets.
        wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        print("listening", flush=True)
        while True:
            packet, (_, kind, direction, *_) = wire.recvfrom(4096)
            around = outer(kind, packet) if direction == socket.PACKET_HOST else None
            if around and struct.unpack_from("!H", around[1], 2)[0] == port:
                line = described(*around)
                if line not in seen:
                    seen.add(line)
                    print(line, flush=True)


listen(int(sys.argv[1]))
