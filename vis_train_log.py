"""Plot a training: `python vis_train_log.py --log-file outputs/my_training/log.txt`."""

from speaq.__main__ import main

if __name__ == "__main__":
    main("speaq.cli.plot:log")
