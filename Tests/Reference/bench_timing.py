"""How a peer's work is timed, for bench_torch.py and bench_openvino.py; without PyTorch, whose memory
would count in the peak of one that does not use it."""

import statistics
import time
from pathlib import Path


def forget_peak():
    """The peak of resident memory is counted from here on, where the system allows it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def peak_megabytes():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def measure(work, options, compare):
    """Median and least of the runs after one that is thrown away, and that one's error."""
    error = compare(work())
    seconds = []
    while len(seconds) < options.repeat and (len(seconds) < 2 or sum(seconds) < options.seconds):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return {"median_s": statistics.median(seconds), "min_s": min(seconds), "runs": len(seconds)} | (
        {} if error is None else {"max_error": error})
