"""Compares the state files of keepalived and of holdfast for one configuration: state.py KEEPALIVED_DIR OURS_DIR.

A field that keepalived has and holdfast has not, or of another type, is a failure, and so is another value, but for what
cannot be equal: moments, secrets (holdfast hides them), the wording of routes and rules, counters that run.
"""

import json
import sys

DIFFERENT = {"last_transition", "auth_data", "vroutes", "vrules"}
# What the Prometheus exporters take from the text file.
WANTED = ["State", "Wantstate", "Interface", "Gratuitous ARP delay", "Virtual Router ID"]


def kind(value):
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def compare_json(theirs, ours, faults):
    if [entry["data"]["iname"] for entry in theirs] != [entry["data"]["iname"] for entry in ours]:
        faults.append("other instances")
    for their_entry, our_entry in zip(theirs, ours):
        name = their_entry["data"]["iname"]
        for key, value in their_entry["data"].items():
            got = our_entry["data"].get(key)
            if kind(got) != kind(value):
                faults.append(f"{name}: data.{key} is {got!r} instead of {value!r}")
            elif key not in DIFFERENT and got != value:
                faults.append(f"{name}: data.{key} is {got!r} instead of {value!r}")
        for key, value in their_entry["stats"].items():
            if kind(our_entry["stats"].get(key)) != kind(value):
                faults.append(f"{name}: stats.{key} is {our_entry['stats'].get(key)!r}")


def properties(path):
    """Instance to property to value, and the lines of its virtual addresses."""
    found, name, title = {}, None, ""
    for line in open(path, encoding="utf-8").read().split("\n"):
        if line.startswith(" VRRP Instance"):
            name = line.split("=")[1].strip()
            found[name] = {"addresses": []}
        elif name and line.startswith("     "):
            if title.startswith("Virtual IP ("):
                found[name]["addresses"].append(line.strip())
        elif name and line.startswith("   "):
            title = line.strip()
            if "=" in line:
                key, value = line.strip().split("=", 1)
                found[name][key.strip()] = value.strip()
        else:
            name = None
    return found


def keys_of_stats(path):
    lines = open(path, encoding="utf-8").read().split("\n")
    return [line.rsplit(":", 1)[0] if line.startswith(" ") else line for line in lines]


def main():
    theirs, ours = sys.argv[1:3]
    faults = []
    compare_json(json.load(open(f"{theirs}/keepalived.json")), json.load(open(f"{ours}/keepalived.json")), faults)
    their_data, our_data = properties(f"{theirs}/keepalived.data"), properties(f"{ours}/keepalived.data")
    for name, wanted in their_data.items():
        got = our_data.get(name, {})
        for key in WANTED + ["addresses", "Priority", "Effective priority", "Advert interval", "Accept", "Preempt"]:
            if got.get(key) != wanted.get(key):
                faults.append(f"{name}: {key} is {got.get(key)!r} instead of {wanted.get(key)!r}")
    missing = [key for key in keys_of_stats(f"{theirs}/keepalived.stats") if key not in keys_of_stats(f"{ours}/keepalived.stats")]
    faults += [f"keepalived.stats lacks {key!r}" for key in missing]
    print("\n".join(faults))
    sys.exit(bool(faults))


main()
