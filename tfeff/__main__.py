"""`python -m tfeff` is `tfeff`."""

import sys

if __name__ == "__main__":
    # Python puts the working folder first: a file there would take the place of any module.
    if sys.path and not getattr(sys.flags, "safe_path", False):  # Python 3.11
        del sys.path[0]
    from tfeff.cli import main

    main()
