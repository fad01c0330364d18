"""`python -m orb_learning` is the command line."""

from orb_learning.cli import main

if __name__ == "__main__":
    main()
