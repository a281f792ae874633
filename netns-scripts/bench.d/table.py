"""Reads `MEASURE|UNIT|LIMIT|PROGRAM|VALUE` lines on stdin and prints medians, worst values and ratios."""

import statistics
import sys


def main():
    order, values = [], {}
    for line in sys.stdin:
        measure, unit, limit, program, value = line.strip().split("|")
        key = (measure, unit, limit)
        if key not in order:
            order.append(key)
        values.setdefault(key, {}).setdefault(program, []).append(float(value))
    heading = ("measure", "unit", "limit", "keepalived", "worst", "holdfast", "worst", "ratio", "runs")
    rows = [heading]
    for key in order:
        theirs, ours = values[key].get("keepalived", []), values[key].get("holdfast", [])
        cells = list(key)
        for numbers in (theirs, ours):
            cells += ["%.2f" % statistics.median(numbers), "%.2f" % max(numbers)] if numbers else ["-", "-"]
        whole = statistics.median(theirs) if theirs else 0
        # A distance from a limit has no ratio: it may be negative.
        comparable = ours and whole and key[2] != "0"
        cells.append("%.2f" % (statistics.median(ours) / whole) if comparable else "-")
        cells.append("%d/%d" % (len(theirs), len(ours)))
        rows.append(tuple(cells))
    widths = [max(len(row[column]) for row in rows) for column in range(len(heading))]
    for row in rows:
        print("  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))).rstrip())
    print("\nMedians; `worst` is the largest value; ratio is holdfast / keepalived; runs are keepalived's / holdfast's.")


main()
