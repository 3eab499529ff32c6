"""`python -m tfeff` is `tfeff`."""

from tfeff.cli import main

if __name__ == "__main__":
    main()
