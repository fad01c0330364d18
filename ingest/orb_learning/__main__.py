"""`orb-learning` and `python -m orb_learning`: the command line."""

from orb_learning._interrupt import end_at_interrupt

end_at_interrupt()  # before the imports, which take longer than many a command


def main() -> None:
    """Run the command line."""
    from orb_learning.cli import main as run

    run()


if __name__ == "__main__":
    main()
