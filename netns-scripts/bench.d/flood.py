"""A stranger who advertises far too often, and how late the others' adverts get meanwhile.

usage: flood.py INTERFACE PER_SECOND SECONDS
  Valid VRRPv3 adverts of VRID 255 go out; prints the rate that was reached and the longest time between two adverts of
  one VRID that came in (ms).
"""

import ctypes
import os
import socket
import struct
import sys
import time

VRRP = 112
BATCH = 256
IGNORE_OUTGOING = 23
SOL_PACKET = 263


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def advert(source):
    group, address = socket.inet_aton("224.0.0.18"), socket.inet_aton("10.9.9.9")
    body = bytes((0x31, 255, 100, 1, 0, 10))
    pseudo = source + group + struct.pack("!BBH", 0, VRRP, 12)
    return body + struct.pack("!H", checksum(pseudo + body + bytes(2) + address)) + address


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class Msghdr(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.c_void_p), ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int)]


class Mmsghdr(ctypes.Structure):
    _fields_ = [("header", Msghdr), ("length", ctypes.c_uint)]


def send(interface, rate, seconds):
    libc = ctypes.CDLL(None, use_errno=True)
    out = socket.socket(socket.AF_INET, socket.SOCK_RAW, VRRP)
    out.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
    out.connect(("224.0.0.18", 0))
    message = ctypes.create_string_buffer(advert(socket.inet_aton(out.getsockname()[0])), 12)
    iovec = Iovec(ctypes.addressof(message), 12)
    batch = (Mmsghdr * BATCH)()
    for one in batch:
        one.header.iov = ctypes.addressof(iovec)
        one.header.iovlen = 1
    start = time.monotonic()
    count = 0
    while (now := time.monotonic()) < start + seconds:
        if count > (now - start) * rate:
            time.sleep(BATCH / rate / 2)
            continue
        count += max(0, libc.sendmmsg(out.fileno(), batch, BATCH, 0))
    return count / seconds


def main():
    interface, rate, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    wire.setsockopt(SOL_PACKET, IGNORE_OUTGOING, 1)
    wire.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS: when it came, not when it was read
    wire.bind((interface, 0x0800))
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, b"%.0f" % send(interface, rate, seconds))
        os._exit(0)
    end = time.monotonic() + seconds
    last, longest = {}, 0.0
    wire.settimeout(0.1)
    while time.monotonic() < end:
        try:
            packet, control, _, _ = wire.recvmsg(256, 64)
        except TimeoutError:
            continue
        if packet[9] != VRRP:
            continue
        seconds_, nanoseconds = struct.unpack("qq", control[0][2])
        at, vrid = seconds_ + nanoseconds / 1e9, packet[(packet[0] & 15) * 4 + 1]
        longest = max(longest, at - last.get(vrid, at))
        last[vrid] = at
    if not last:
        longest = seconds
    longest = max([longest] + [time.time() - at for at in last.values()])
    os.wait()
    print(os.read(reader, 64).decode(), "%.1f" % (longest * 1000))


main()
