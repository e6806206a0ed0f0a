"""Plot predicate distributions: `python visualize_predicate_distribution.py --config-file FILE ...`."""

from speaq.cli import run
from speaq.cli.plot import predicates

if __name__ == "__main__":
    run(predicates)
