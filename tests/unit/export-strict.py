#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Reads an exposition as strictly as it can be read.

    export-strict.py {openmetrics|text} [FILE]

The parsers are those of prometheus_client; what they let pass and no exposition should have is
checked on top. Exits 0 without a finding, 1 with one, 77 where prometheus_client is not installed.
"""
import math
import sys

try:
    from prometheus_client import parser as text_parser
    from prometheus_client.openmetrics import parser as openmetrics_parser
except ImportError:
    print("prometheus_client is not installed", file=sys.stderr)
    sys.exit(77)


def findings(families, is_openmetrics):
    names = set()
    for family in families:
        if family.name in names:
            yield f"{family.name}: more than one family of that name"
        names.add(family.name)
        if not family.documentation:
            yield f"{family.name}: no HELP"
        if family.type in ("unknown", "untyped"):
            yield f"{family.name}: no TYPE"
        if not family.samples:
            yield f"{family.name}: no sample"
        if is_openmetrics and family.unit and not family.name.endswith("_" + family.unit):
            yield f"{family.name}: does not end in its unit {family.unit}"
        for sample in family.samples:
            if not math.isfinite(sample.value):
                yield f"{sample.name}{sample.labels}: {sample.value}"
            if family.type == "counter" and sample.value < 0:
                yield f"{sample.name}{sample.labels}: a counter below 0"


def repeated(text):
    """Series that come twice, which the parsers drop in silence. Ours carry no time stamps."""
    seen = set()
    for line in text.splitlines():
        series = line.rpartition(" ")[0]
        if not line.startswith("#") and series in seen:
            yield f"{series}: twice"
        seen.add(series)


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[1] not in ("openmetrics", "text"):
        sys.exit(__doc__)
    is_openmetrics = sys.argv[1] == "openmetrics"
    source = open(sys.argv[2], "rb") if len(sys.argv) == 3 else sys.stdin.buffer
    parser = openmetrics_parser if is_openmetrics else text_parser
    try:
        text = source.read().decode("utf-8")
        found = list(findings(parser.text_string_to_metric_families(text), is_openmetrics))
        found.extend(repeated(text))
        if not is_openmetrics and "# EOF" in text.splitlines():
            found.append("# EOF in the text format")
        if "\r" in text or "\n\n" in text or not text.endswith("\n"):
            found.append("an empty line, a carriage return, or no newline at the end")
    except (ValueError, KeyError, IndexError) as error:
        found = [f"{type(error).__name__}: {error}"]
    for finding in found:
        print(finding, file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
