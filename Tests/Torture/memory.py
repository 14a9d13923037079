"""Less and less memory: the work is done, or exit code 5 says what was wanted; nothing waits or traps."""

from harness import STAGES, Campaign

STEPS = [40, 60, 80, 100, 150, 200, 250, 300, 400, 500, 700, 1000, 1500, 2000]  # MB of address space


class Memory(Campaign):
    name = "memory"
    share = 1.0

    def __init__(self, program, snapshots, random):
        self.program, self.snapshots, self.random = program, snapshots, random

    def trials(self):
        tasks = [(task, size) for task in [*STAGES, "sample", "doctor", "inspect"] for size in STEPS]
        self.random.shuffle(tasks)
        for task, size in tasks:
            yield f"{task} in {size} MB", lambda folder, t=task, s=size: self.trial(folder, t, s)

    def trial(self, folder, task, size):
        options = {"address_space": size * 1024, "limit": 90}
        if task in STAGES:
            workspace = self.snapshots.start(folder, task)
            result = self.program.pipeline(workspace, "--through", task, **options)
        elif task == "sample":
            result = self.program.run(
                "sample", "--model", "data/tiny-sd", "--prompt", "x", "--steps", 2, "--size",
                "512x512", "--out", folder / "image.png", **options)
        elif task == "doctor":
            result = self.program.run("doctor", **options)
        else:
            result = self.program.run(
                "inspect", self.snapshots.finished / "shards/train-00000-of-00001.safetensors", **options)
        # Without room for the libraries the loader gives up: exit code 127, before the program begins.
        if result.code == 127 and "shared librar" in result.errors:
            return None
        if result.unsound():
            return result.unsound()
        if result.code not in (0, 5):
            return f"exit code {result.code}, not 5: {result.last_line}"
        if result.code == 0 and task in STAGES:
            differing = self.snapshots.differences(workspace, task)
            if differing:
                return f"differs: {', '.join(differing[:4])}"
        return None
