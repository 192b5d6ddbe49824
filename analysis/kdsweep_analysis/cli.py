"""The command line. Exit codes: 0 done, or files are the same; 1 files differ (diff only); 2 usage; 3 a file cannot
be used.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from . import __version__, schema

EXIT_OK, EXIT_DIFFERENT, EXIT_USAGE, EXIT_FILE = 0, 1, 2, 3


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kdsweep-analysis",
        description="Tables, figures and a report from a results file of kdsweep. Files are only read, never locked: "
        "a running "
        "sweep can be looked at any time.",
        epilog="Exit codes: 0 done or same, 1 files differ (diff), 2 usage, 3 a file cannot be read or written.",
    )
    parser.add_argument(
        "--version", action="version", version=f"%(prog)s {__version__}, results schema {schema.SCHEMA_VERSION}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name, text):
        p = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        p.add_argument("results", help="results file (HDF5)")
        return p

    def add_selection(p):
        p.add_argument(
            "-s",
            "--selection",
            choices=schema.SELECTIONS,
            default="best_worst",
            help="epoch of each trial that is looked at; the best ones are by validation (default: %(default)s)",
        )

    p = add("report", "write the report: index.html, figures/ and tables/ in a folder")
    p.add_argument("-o", "--output", default="report", help="folder (default: %(default)s)")
    p.add_argument("--title", help="title of the page (default: that of the sweep)")
    add_selection(p)
    p = add("summary", "print the headline table, at most 80 columns wide")
    add_selection(p)
    p = add("diff", "compare two results files bit for bit, timing left out")
    p.add_argument("other", help="the second results file")
    p.add_argument("-q", "--quiet", action="store_true", help="print nothing, only the exit code tells")
    p = add("export", "write one row per trial, selection and split as CSV")
    p.add_argument("-o", "--output", required=True, help="CSV file, or - for standard output")
    return parser


def main(argv=None) -> int:
    args = build_parser().parse_args(argv)
    try:
        return _run(args)
    except schema.ResultsError as e:
        print(f"kdsweep-analysis: {e}", file=sys.stderr)
    except BrokenPipeError:  # | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as e:
        name = f"{e.filename}: " if e.filename else ""
        print(f"kdsweep-analysis: {name}{e.strerror or e}", file=sys.stderr)
    return EXIT_FILE


def _run(args) -> int:
    if args.command == "diff":
        from .diff import diff

        found = diff(args.results, args.other)
        if not args.quiet:
            for difference in found:
                print(difference)
        return EXIT_DIFFERENT if found else EXIT_OK
    if args.command == "report":
        os.environ.setdefault("MPLBACKEND", "Agg")
        from .report import write_report

        print(write_report(args.results, args.output, args.selection, args.title))
    elif args.command == "summary":
        from .report import summary

        summary(args.results, args.selection)
    else:
        from .data import frame

        table = frame(args.results, narrow=True)
        if args.output == "-":
            table.to_csv(sys.stdout, index=False)
        else:
            table.to_csv(Path(args.output), index=False)
    sys.stdout.flush()
    return EXIT_OK
