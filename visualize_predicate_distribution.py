"""Plot predicate distributions: `python visualize_predicate_distribution.py --config-file FILE ...`."""

from speaq.__main__ import main

if __name__ == "__main__":
    main("speaq.cli.plot:predicates")
