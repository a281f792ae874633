#!/usr/bin/env python3
"""BFD packets that are wrong in each way that RFC 5880 6.8.6 names: bfd.py malformed|flood ADDRESS [SECONDS]."""
import random
import socket
import struct
import sys
import time

PORT = 3784


def packet(version=1, diag=0, state=1, flags=0, mult=3, length=24, mine=99, yours=0, tail=b""):
    head = struct.pack("!BBBB", version << 5 | diag, state << 6 | flags, mult, length)
    return head + struct.pack("!IIIII", mine, yours, 1_000_000, 1_000_000, 0) + tail


MALFORMED = [
    packet()[:23],
    b"",
    packet(version=0),
    packet(version=2),
    packet(length=23),
    packet(length=25, flags=4, tail=b"x"),
    packet(length=200),
    packet(mult=0),
    packet(flags=1),
    packet(mine=0),
    packet(state=2),
    packet(state=3),
    packet(flags=4, length=28, tail=bytes([1, 4, 0, 120])),
    packet(yours=0xDEADBEEF),
]


def sender(ttl):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
    return s


def malformed(address):
    with sender(255) as s:
        for bytes_ in MALFORMED:
            s.sendto(bytes_, (address, PORT))
    with sender(254) as s:
        s.sendto(packet(), (address, PORT))


def flood(address, seconds):
    end = time.monotonic() + seconds
    chance = random.Random(1)
    junk = MALFORMED + [chance.randbytes(chance.randrange(64)) for _ in range(200)]
    with sender(64) as s:
        while time.monotonic() < end:
            for bytes_ in junk:
                s.sendto(bytes_, (address, PORT))


if __name__ == "__main__":
    if sys.argv[1] == "malformed":
        malformed(sys.argv[2])
    else:
        flood(sys.argv[2], float(sys.argv[3]))
