"""Prints the JSON of ip(8) on stdin one object a line, without what differs by time and by chance."""

import json
import sys


def plain(value):
    if isinstance(value, dict):
        dropped = {"ifindex", "expires", "link_index", "stats", "stats64", "qdisc", "dynamic", "link"}
        return {key: plain(inner) for key, inner in value.items() if key not in dropped}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


def of_every_interface(entry):
    """A route that the kernel gives to each interface as it comes up: their order is chance."""
    return entry.get("protocol") == "kernel" and entry.get("dst") in ("fe80::/64", "ff00::/8")


def entries(text):
    found = json.loads(text) if text.strip() else []
    last = sorted((entry for entry in found if of_every_interface(entry)), key=lambda route: (route["dst"], route["dev"]))
    return [entry for entry in found if not of_every_interface(entry)] + last


def main():
    what = sys.argv[1]
    for entry in entries(sys.stdin.read()):
        if "addr_info" in entry:
            # Of the interfaces under test; keepalived 2.2.7 does not say that an address is its own.
            if entry.get("ifname") not in ("eth0", "eth1"):
                continue
            for info in entry["addr_info"]:
                info.pop("protocol", None)
                print("addr", entry["ifname"], json.dumps(plain(info), sort_keys=True))
        elif entry:
            print(what, json.dumps(plain(entry), sort_keys=True))


main()
