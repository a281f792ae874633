"""Compares what chaos saw with what is promised.

usage: table.py promises FILE                 prints the promises
       table.py row FILE                      one result on stdin: one line, with its verdict
       table.py table FILE RANDOM SEED        all results on stdin: the table; status 1 when a promise was broken

A result is PAIR|FAULT|KEY=VALUE ...|LIFE|BEGUN|NOTE: the observer's report, the life it happened in, when (Unix time), and
what the fault's function had to say. FAULT is `back:FAULT` for the way back from one.
"""

import itertools
import sys

NUMBERS = ("lost", "silence", "none", "two", "moves")
HEADING = ("pair", "fault", "runs", "sent", "lost", "silence", "none", "two", "moves", "left behind", "verdict")


def promises(path):
    """{(fault, pair): {column: text}}, in the order of the file."""
    with open(path, encoding="utf-8") as file:
        lines = [line.rstrip("\n").split("\t") for line in file if line.strip() and not line.startswith("#")]
    heading = lines[0]
    return {(line[0], line[1]): dict(zip(heading, line)) for line in lines[1:]}


def promise_for(table, fault, pair):
    kind = fault.split("backup:")[0] + "backup:*" if "backup:" in fault else fault.split(":")[0] + ":*"
    for key in ((fault, pair), (fault, "*"), (kind, pair), (kind, "*")):
        if key in table:
            return table[key]
    sys.exit("promises.tsv says nothing of %s, %s" % (fault, pair))


class Result:
    def __init__(self, line, table):
        self.pair, self.fault, report, self.life, self.begun, self.note = line.rstrip("\n").split("|")
        self.seen = dict(word.split("=", 1) for word in report.split())
        self.holders, self.speaker = self.seen["state"].split("/")
        self.promise = promise_for(table, self.fault, self.pair)
        self.broken = list(self.breaches())

    def left(self):
        """Who holds the address at the end and does not speak for it."""
        return "+".join(node for node in self.holders.split("+") if node not in (self.speaker, "none")) or "no"

    def breaches(self):
        for name in NUMBERS:
            limit = self.promise[name]
            if limit != "-" and float(self.seen[name]) > float(limit):
                yield "%s %s, promised %s" % (name, self.seen[name], limit)
        wanted = self.promise["holder"]
        if wanted != "-" and self.holders != wanted:
            yield "at the end the address is on %s, promised %s" % (self.holders, wanted)

    def verdict(self):
        return "BROKEN: " + "; ".join(self.broken) if self.broken else "kept"

    def cells(self):
        seen = self.seen
        return (self.pair, self.fault, *(seen[key] for key in ("sent", "lost", "silence", "none", "two", "moves")),
                self.left(), self.verdict() + (" (%s)" % self.note if self.note else ""))

    def line(self):
        seen = self.seen
        return ("   chaos: %s %s: %s of %s probes lost (%s), silence %s ms, no holder %s ms, two %s ms, %s moves, "
                "left behind: %s: %s" % (self.pair, self.fault, seen["lost"], seen["sent"], seen["by"], seen["silence"],
                                         seen["none"], seen["two"], seen["moves"], self.left(), self.cells()[-1]))


def grid(rows, right):
    """Prints rows in columns; those of `right` are numbers."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths))).rstrip())


def worst(results):
    """A row for all results of one fault: the worst of each figure."""
    if len(results) == 1:
        return results[0].cells()[:2] + ("1",) + results[0].cells()[2:]
    cells = [result.cells() for result in results]
    numbers = tuple(str(max(int(row[column]) for row in cells)) for column in range(2, 8))
    left = sorted({row[8] for row in cells} - {"no"})
    broken = [result for result in results if result.broken]
    verdict = "BROKEN %d times: %s" % (len(broken), broken[0].verdict()[8:]) if broken else "kept"
    return cells[0][:2] + (str(len(results)),) + numbers + (", ".join(left) or "no", verdict)


def replay(result, random, seed):
    if random != "0":
        return "--pair %s --random %s --seed %s --life %s" % (result.pair, random, seed, result.life)
    return "--pair %s --only %s" % (result.pair, result.fault.removeprefix("back:"))


def main():
    mode, table = sys.argv[1], promises(sys.argv[2])
    if mode == "promises":
        grid([tuple(next(iter(table.values())))] + [tuple(row.values()) for row in table.values()], range(2, 7))
        return
    results = [Result(line, table) for line in sys.stdin]
    if mode == "row":
        for result in results:
            print(result.line(), flush=True)
        return
    order = {key: at for at, (key, _) in enumerate(table)}
    results.sort(key=lambda each: (each.pair, order.get(each.fault.removeprefix("back:"), len(order)), each.fault.split("back:")[-1], "back:" in each.fault, int(each.life)))
    groups = itertools.groupby(results, key=lambda each: (each.pair, each.fault))
    grid([HEADING] + [worst(list(group)) for _, group in groups], range(2, 9))
    broken = [result for result in results if result.broken]
    print("\nlost: probes without an answer within a second; silence: the longest time between two answers; none, two: time in which"
          "\nno node and both held the address; all in ms. moves: how often a node came to hold it. left behind: who holds it at the"
          "\nend and does not speak for it. back: the way back, when the node is up again. With several runs each figure is the worst.")
    inflicted = sum("back:" not in result.fault for result in results)
    print("%d faults, %d promises broken" % (inflicted, len(broken)))
    for command in dict.fromkeys(replay(result, *sys.argv[3:5]) for result in broken):
        print("replay: netns-scripts/chaos " + command)
    sys.exit(1 if broken or not results else 0)


main()
