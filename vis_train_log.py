"""Plot a training: `python vis_train_log.py --log-file outputs/my_training/log.txt`."""

from speaq.cli import run
from speaq.cli.plot import log

if __name__ == "__main__":
    run(log)
