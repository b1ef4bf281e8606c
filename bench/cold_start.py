"""What it costs to start: `gputape --help`, and `gputape offers` on a small tape.

A fresh process each; CPU is user and system. Beside it stands `python -c pass`, the least that
any Python program costs on this machine.
"""

from pathlib import Path

from measure import Line, cost, gputape, in_turn, python, within

OFFERS = 1_000
REPEATS = 9  # they are short
HELP_CPU_S, OFFERS_CPU_S = 0.15, 0.35


def measure(folder: Path, scale: float, repeats: int) -> list[Line]:
    """Build a small tape in a child and start three programs in turn."""
    tape = folder / "small.duckdb"
    cost(python(Path(__file__).with_name("market.py"), tape, int(OFFERS * scale)))
    found = in_turn(
        {
            "python": lambda: cost(python("-c", "pass")),
            "help": lambda: cost(gputape("--help")),
            "offers": lambda: cost(gputape("offers", "--db", tape)),
        },
        max(repeats, REPEATS) if scale == 1 else repeats,
    )
    least = found["python"].cpu_s
    return [
        within("gputape --help, python -c pass, CPU", found["help"].cpu_s, least, "CPU s",
               HELP_CPU_S),
        within(f"gputape offers ({int(OFFERS * scale):,} series), python -c pass, CPU",
               found["offers"].cpu_s, least, "CPU s", OFFERS_CPU_S),
    ]  # fmt: skip
