"""Watches and makes VRRP packets, for the test scripts.

  packets.py sniff INTERFACE            one line per packet on stdout until killed, see `describe`
  packets.py garbage INTERFACE COUNT SEED SOURCE4 VERSION VRID
                                        sends malformed VRRP packets of every sort from SOURCE4 and over IPv6; VERSION
                                        is that of the IPv4 adverts they are made from
  packets.py flood INTERFACE SECONDS SOURCE4 VERSION VRID PRIORITY
                                        sends one valid IPv4 advert as often as it can; prints how many
  packets.py send INTERFACE MAC COUNT GAP [KEY=VALUE...]
                                        sends an IPv4 advert COUNT times, GAP seconds apart, to the station MAC; keys
                                        and what they are without are in `ADVERT`
  packets.py replay INTERFACE FILE COUNT
                                        sends what is in a capture (pcap, Ethernet) again, as it is, COUNT times
Times are seconds of the monotonic clock, so that lines compare with each other and nothing else.
"""

import ipaddress
import random
import socket
import struct
import sys
import time

ETH_P_ALL = 0x0003
VRRP = 112
AH = 51
GROUP4 = "224.0.0.18"
GROUP6 = "ff02::12"
# Packets a second of a flood, and packets to a system call.
FLOOD_RATE = 100_000
BATCH = 64
# What `send` sends; `int` as in the packet, `summed` the destination that the checksum is made with.
ADVERT = {"src": "192.0.2.2", "dst": "192.0.2.1", "ttl": "255", "version": "3", "vrid": "51", "prio": "200", "int": "50",
          "vips": "192.0.2.100", "summed": ""}


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo_header(source, destination, length):
    source, destination = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    if source.version == 4:
        return source.packed + destination.packed + struct.pack("!BBH", 0, VRRP, length)
    return source.packed + destination.packed + struct.pack("!IHBB", length, 0, 0, VRRP)


def describe_advert(source, destination, ttl, message):
    """`advert v=2 vrid=51 prio=150 int=1 ttl=255 csum=ok src=A dst=B addrs=X,Y`; int in seconds (v2) or cs (v3)."""
    if len(message) < 8:
        return "advert short=%d src=%s dst=%s" % (len(message), source, destination)
    first, vrid, priority, count = message[0], message[1], message[2], message[3]
    version, kind = first >> 4, first & 15
    if version == 2:
        interval, auth = message[5], message[4]
        good = checksum(message) == 0
        extra = " auth=%d" % auth
    else:
        interval = struct.unpack("!H", message[4:6])[0] & 0x0FFF
        good = checksum(pseudo_header(source, destination, len(message)) + message) == 0
        extra = ""
    size = 4 if ipaddress.ip_address(source).version == 4 else 16
    addresses = []
    for index in range(count):
        piece = message[8 + size * index:8 + size * (index + 1)]
        if len(piece) == size:
            addresses.append(str(ipaddress.ip_address(piece)))
    return "advert v=%d type=%d vrid=%d prio=%d int=%d ttl=%d csum=%s src=%s dst=%s addrs=%s%s" % (
        version, kind, vrid, priority, interval, ttl, "ok" if good else "bad", source, destination,
        ",".join(addresses), extra)


def describe(frame):
    """A line for the frames of interest, else None."""
    kind = struct.unpack("!H", frame[12:14])[0]
    body = frame[14:]
    mac = frame[6:12].hex(":")
    if kind == 0x0800 and len(body) >= 20:
        header = (body[0] & 15) * 4
        length = struct.unpack("!H", body[2:4])[0]
        protocol = body[9]
        if protocol == AH and len(body) >= header + 12:
            # Behind an authentication header, whose length is in units of four octets, less two.
            protocol, header = body[header], header + (body[header + 1] + 2) * 4
        if protocol == VRRP:
            source, destination = (str(ipaddress.ip_address(body[i:i + 4])) for i in (12, 16))
            return describe_advert(source, destination, body[8], body[header:length]) + " mac=" + mac
    elif kind == 0x86DD and len(body) >= 40:
        source, destination = (str(ipaddress.ip_address(body[i:i + 16])) for i in (8, 24))
        length = struct.unpack("!H", body[4:6])[0]
        payload = body[40:40 + length]
        if body[6] == VRRP:
            return describe_advert(source, destination, body[7], payload) + " mac=" + mac
        if body[6] == 58 and len(payload) >= 24 and payload[0] == 136 and destination == "ff02::1":
            return "na ip=%s override=%d mac=%s" % (ipaddress.ip_address(payload[8:24]), payload[4] >> 5 & 1, mac)
    elif kind == 0x0806 and len(body) >= 28:
        operation = struct.unpack("!H", body[6:8])[0]
        sender, target = body[14:18], body[24:28]
        if sender == target:
            return "garp ip=%s op=%d mac=%s" % (ipaddress.ip_address(sender), operation, mac)
    return None


def sniff(interface):
    watcher = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    watcher.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    watcher.bind((interface, ETH_P_ALL))
    # What a bridge sends from port to port reaches the bridge itself only so: SOL_PACKET, PACKET_ADD_MEMBERSHIP.
    watcher.setsockopt(263, 1, struct.pack("iHH8s", socket.if_nametoindex(interface), 1, 0, b""))
    print("%.6f ready" % time.monotonic(), flush=True)
    while True:
        frame, address = watcher.recvfrom(65535)
        if len(frame) < 14 or address[2] == socket.PACKET_OUTGOING:
            continue
        line = describe(frame)
        if line:
            print("%.6f %s" % (time.monotonic(), line), flush=True)


def advert(version, vrid, priority, interval, addresses, source, destination, kind=1):
    """A valid VRRP message unless the arguments say otherwise."""
    body = b"".join(ipaddress.ip_address(a).packed for a in addresses)
    if version == 2:
        message = struct.pack("!BBBBBBH", version << 4 | kind, vrid, priority, len(addresses), 0, interval, 0)
        message += body + b"\0" * 8
        value = checksum(message)
    else:
        message = struct.pack("!BBBBHH", version << 4 | kind, vrid, priority, len(addresses), interval, 0) + body
        value = checksum(pseudo_header(source, destination, len(message)) + message)
    return message[:6] + struct.pack("!H", value) + message[8:]


def ipv4(source, ttl, message, length=None, options=b"", destination=GROUP4):
    header_words = 5 + len(options) // 4
    total = header_words * 4 + len(message) if length is None else length
    head = struct.pack("!BBHHHBBH4s4s", 4 << 4 | header_words, 0xC0, total & 0xFFFF, 7, 0, ttl, VRRP, 0,
                       socket.inet_aton(source), socket.inet_aton(destination)) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + message


def ipv6(source, hops, message):
    return struct.pack("!IHBB", 6 << 28, len(message), VRRP, hops) + ipaddress.ip_address(source).packed + \
        ipaddress.ip_address(GROUP6).packed + message


def flipped(message, offset):
    """The message with one octet inverted: always different, so a checksum is always wrong."""
    return message[:offset] + bytes([message[offset] ^ 0xFF]) + message[offset + 1:]


def malformed(chance, source, version, vrid):
    """One function for each sort: noise, truncation, lies about lengths, wrong TTL, version, type, checksum, VRID."""
    interval = 1 if version == 2 else 100
    link_local = "fe80::200:deff:fead:beef"

    def good(kind=1, router=vrid):
        return advert(version, router, chance.randrange(1, 255), interval, ["192.0.2.100"], source, GROUP4, kind)

    def six():
        return advert(3, vrid, chance.randrange(1, 255), 100, ["fe80::100"], link_local, GROUP6)

    def noise():
        return chance.randbytes(chance.randrange(0, 120))

    def first_octet(message):
        return bytes([chance.choice((0x01, 0x11, 0x41, 0xF1))]) + message[1:]

    def count(message):
        return message[:3] + bytes([chance.choice((0, 2, 21, 255))]) + message[4:]

    return (
        lambda: ipv4(source, 255, noise()),
        lambda: ipv4(source, 255, good()[:chance.randrange(0, 8)]),
        lambda: ipv4(source, 255, good(), length=chance.choice((0, 19, 20, 21, 27, 60, 65535))),
        lambda: ipv4(source, chance.randrange(0, 255), good()),
        lambda: ipv4(source, 255, first_octet(good())),
        lambda: ipv4(source, 255, good(kind=chance.randrange(2, 16))),
        lambda: ipv4(source, 255, flipped(good(), 6)),
        lambda: ipv4(source, 255, count(good())),
        lambda: ipv4(source, 255, good(router=vrid % 255 + 1)),
        lambda: ipv4(source, 255, flipped(good(), chance.randrange(6, 12))),
        lambda: ipv4(source, 255, noise(), options=b"\x94\x04\0\0"),
        lambda: ipv6(link_local, 255, noise()),
        lambda: ipv6(link_local, chance.randrange(0, 255), six()),
        lambda: ipv6(link_local, 255, six()[:7]),
        lambda: ipv6(link_local, 255, flipped(six(), 7)),
    )


def garbage(interface, count, seed, source, version, vrid):
    chance = random.Random(seed)
    sorts = malformed(chance, source, version, vrid)
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sender.bind((interface, 0))
    mac = bytes.fromhex("0200deadbeef")
    for number in range(count):
        packet = sorts[number % len(sorts)]()
        six = packet[0] >> 4 == 6
        group = bytes.fromhex("333300000012" if six else "01005e000012")
        frame = group + mac + (b"\x86\xdd" if six else b"\x08\x00") + packet
        sender.send(frame[:1514])
        # Paced, so that receive queues hold them and each is judged, not dropped.
        if number % 16 == 15:
            time.sleep(0.01)


def flood(interface, seconds, source, version, vrid, priority):
    """A hundred thousand a second, many to a system call; it prints how many went out."""
    interval = 1 if version == 2 else 100
    packet = ipv4(source, 255, advert(version, vrid, priority, interval, ["192.0.2.100"], source, GROUP4))
    frame = bytes.fromhex("01005e0000120200deadbeef0800") + packet
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sender.setsockopt(263, 20, 1)  # SOL_PACKET, PACKET_QDISC_BYPASS
    sender.bind((interface, 0))
    send = batch_sender(sender, frame)
    count, start = 0, time.monotonic()
    while (now := time.monotonic()) < start + seconds:
        if count > (now - start) * FLOOD_RATE:
            time.sleep(0.0002)
            continue
        count += send()
    print(count)


def send(interface, station, count, gap, words):
    """One advert, again and again, as somebody sends it who need not be there."""
    made = ADVERT | dict(word.split("=", 1) for word in words)
    unknown = made.keys() - ADVERT.keys()
    if unknown:
        sys.exit("no such key: %s" % ", ".join(unknown))
    message = advert(int(made["version"]), int(made["vrid"]), int(made["prio"]), int(made["int"]),
                     [vip for vip in made["vips"].split(",") if vip], made["src"], made["summed"] or made["dst"])
    packet = ipv4(made["src"], int(made["ttl"]), message, destination=made["dst"])
    frame = bytes.fromhex(station.replace(":", "") + "0200deadbeef0800") + packet
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sender.bind((interface, 0))
    for number in range(count):
        if number:
            time.sleep(gap)
        sender.send(frame)


def replay(interface, file, count):
    """Every frame of a capture, as it stands there, again and again."""
    with open(file, "rb") as capture:
        octets = capture.read()
    order = "<" if octets[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sender.bind((interface, 0))
    frames, at = [], 24
    while at + 16 <= len(octets):
        length = struct.unpack(order + "I", octets[at + 8:at + 12])[0]
        frames.append(octets[at + 16:at + 16 + length])
        at += 16 + length
    for frame in frames * count:
        sender.send(frame)


def batch_sender(sender, frame):
    """A function that sends the frame BATCH times in one system call and returns how often it went out."""
    import ctypes

    class Iovec(ctypes.Structure):
        _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]

    class Header(ctypes.Structure):
        _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32), ("iov", ctypes.POINTER(Iovec)),
                    ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                    ("flags", ctypes.c_int)]

    class Message(ctypes.Structure):
        _fields_ = [("header", Header), ("sent", ctypes.c_uint)]

    vector = Iovec(frame, len(frame))
    messages = (Message * BATCH)()
    for message in messages:
        message.header.iov = ctypes.pointer(vector)
        message.header.iovlen = 1
    sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg
    return lambda: max(0, sendmmsg(sender.fileno(), messages, BATCH, 0))  # the queue may be full for a moment


def main():
    verb = sys.argv[1]
    if verb == "sniff":
        sniff(sys.argv[2])
    elif verb == "garbage":
        count, seed, version, vrid = (int(sys.argv[index]) for index in (3, 4, 6, 7))
        garbage(sys.argv[2], count, seed, sys.argv[5], version, vrid)
    elif verb == "flood":
        seconds, version, vrid, priority = (int(sys.argv[index]) for index in (3, 5, 6, 7))
        flood(sys.argv[2], seconds, sys.argv[4], version, vrid, priority)
    elif verb == "send":
        send(sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]), sys.argv[6:])
    elif verb == "replay":
        replay(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
