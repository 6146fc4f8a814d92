"""`python -m coordinator.cli` is the console script."""

from coordinator.cli import main

if __name__ == "__main__":
    main()
