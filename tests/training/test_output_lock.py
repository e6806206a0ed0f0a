"""Two trainings do not write to one folder."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from speaq.config import load_config
from speaq.errors import SpeaqError
from speaq.training.cluster import Cluster
from speaq.training.launch import train
from speaq.training.output_lock import LOCK_FILE, locked

HOLD = """
import sys, time
from pathlib import Path
from speaq.training.output_lock import locked

with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_second_training_is_refused_until_the_first_process_ends(config_file, tmp_path):
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    try:
        first.stdout.readline()
        holder = f"host {socket.gethostname()}, pid {first.pid}, started 20"
        with pytest.raises(
            SpeaqError, match=f"OUTPUT_DIR {tmp_path}: another training writes there .{holder}"
        ):
            train(load_config(config_file, ["OUTPUT_DIR", str(tmp_path)]), cluster=Cluster(num_gpus=0))
        assert [file.name for file in tmp_path.iterdir()] == [LOCK_FILE]  # nothing is written there
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert (tmp_path / LOCK_FILE).is_file()  # but nobody holds it
    with locked(tmp_path):
        assert f"pid {os.getpid()}" in (tmp_path / LOCK_FILE).read_text()
    assert not (tmp_path / LOCK_FILE).exists()
