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


def main():
    what = sys.argv[1]
    text = sys.stdin.read()
    for entry in json.loads(text) if text.strip() else []:
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
