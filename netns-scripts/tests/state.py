"""Compares the state files of keepalived and of holdfast for one configuration: state.py KEEPALIVED_DIR OURS_DIR [FILE...].
Without FILE: keepalived.json, .data and .stats; a FILE (keepalived_bfd.data) is compared line by line.

A field that keepalived has and holdfast has not, or of another type, is a failure, and so is another value, but for what
cannot be equal: moments, secrets (holdfast hides them), the wording of routes and rules, counters that run.
"""

import json
import re
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


# Lines of keepalived that tell of its own insides, of libraries, or of settings that holdfast resolves for each server.
ABSENT = re.compile(
    r"libnftnl|SNMP socket|DBus service|Default script uid|Smtp HELO name|Router ID|"
    r"fd_|thread_|sands_|remote demand|poll, |remote tx intv|remote detection|last.seen|"
    r"connection timeout|^delay_loop|^Delay loop|Hashed|reloaded|previous effective|Current weight|Default delay before|"
    r"Alive:|System is compiled|Last |Failed URL|Delay before retry|Retries iterations|Regex ref|"
    r"Inhibit on failure is OFF"
)
# Lines whose values are a matter of chance, of time, or not held by both.
LOOSE = re.compile(
    r"discriminator$|diag$|local state$|remote state$|^alive$|failed checkers$|^RS set$|^Up$|^Has run$|^Retries|"
    r"effective weight$|^quorum_state_up$|intv$|detection time$|^timeout$|EFF WEIGHT"
)


def lines_of(path):
    found = []
    for line in open(path, encoding="utf-8").read().split("\n"):
        if line.strip():
            label, _, value = line.strip().partition(" = ")
            found.append((label, value))
    return found


def compare_lines(name, theirs, ours, faults):
    """Every line of ours is one of theirs, in their order; every line of theirs is one of ours, but for those ABSENT."""
    theirs, ours, at = lines_of(theirs), lines_of(ours), 0
    for label, value in ours:
        after = at
        while after < len(theirs) and theirs[after][0] != label:
            after += 1
        if after == len(theirs):
            faults.append(f"{name}: {label!r} is not among keepalived's lines from {theirs[at:at + 1]} on")
            continue
        faults += [f"{name}: {' = '.join(line)!r} is missing" for line in theirs[at:after] if not ABSENT.search(line[0])]
        at = after + 1
        if theirs[after][1] != value and not LOOSE.search(label):
            faults.append(f"{name}: {label} is {value!r} instead of {theirs[after][1]!r}")
    faults += [f"{name}: {' = '.join(line)!r} is missing" for line in theirs[at:] if not ABSENT.search(line[0])]


def main():
    theirs, ours = sys.argv[1:3]
    faults = []
    if sys.argv[3:]:
        for name in sys.argv[3:]:
            compare_lines(name, f"{theirs}/{name}", f"{ours}/{name}", faults)
        print("\n".join(faults))
        sys.exit(bool(faults))
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
