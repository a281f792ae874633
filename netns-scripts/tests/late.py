"""A client that reads an announcement late: its entry for an IPv4 address stays what it is until a given time after somebody
else has announced it.

usage: late.py INTERFACE ADDRESS MILLISECONDS
  pins the entry that is there, prints PINNED; prints HEARD MAC when it is the new one
"""

import os
import socket
import struct
import subprocess
import sys
import time

ETH_P_ARP = 0x0806


def entry(interface, address, mac, state):
    subprocess.run(
        ["ip", "neigh", "replace", address, "lladdr", mac, "dev", interface, "nud", state], check=True
    )


def main():
    interface, address, late = sys.argv[1], sys.argv[2], int(sys.argv[3]) / 1000
    shown = subprocess.run(
        ["ip", "neigh", "show", address, "dev", interface], check=True, capture_output=True, text=True
    ).stdout.split()
    known = shown[shown.index("lladdr") + 1]
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP))
    packets.bind((interface, ETH_P_ARP))
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except OSError:
        # Without real-time priority it is a little later still.
        pass
    entry(interface, address, known, "permanent")
    print("PINNED", flush=True)
    while True:
        frame = packets.recv(2048)
        sender, spoken = frame[22:28], frame[28:32]
        mac = ":".join("%02x" % octet for octet in struct.unpack("6B", sender))
        if spoken == socket.inet_aton(address) and mac != known:
            break
    time.sleep(late)
    entry(interface, address, mac, "reachable")
    print("HEARD", mac, flush=True)


main()
