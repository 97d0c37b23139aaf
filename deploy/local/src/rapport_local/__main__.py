"""`python -m rapport_local`: the same as `rapport`."""

from rapport_local.main import main

if __name__ == "__main__":
    main()
