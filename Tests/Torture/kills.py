"""SIGKILL at random moments; the same command goes on; bytes are those of an unbroken run."""

from harness import STAGES, Campaign


class Kills(Campaign):
    name = "kills"
    share = 2.0

    def __init__(self, program, snapshots, random):
        self.program, self.snapshots, self.random = program, snapshots, random

    def trials(self):
        while True:
            # Mostly one stage from where the stage before ended; sometimes the whole pipeline.
            first = self.random.choice(STAGES)
            last = STAGES[-1] if self.random.random() < 0.1 else first
            between = STAGES[STAGES.index(first):STAGES.index(last) + 1]
            seconds = sum(self.snapshots.seconds[stage] for stage in between)
            # Killed again while it goes on, too: what recovers must not lose anything either.
            pauses = [self.random.uniform(0.01, seconds * 1.1) for _ in range(self.random.randint(1, 3))]
            yield (f"{first} to {last}, killed after {', '.join(f'{p:.2f}' for p in pauses)} s",
                   lambda folder, f=first, l=last, p=pauses: self.trial(folder, f, l, p))

    def trial(self, folder, first, last, pauses):
        workspace = self.snapshots.start(folder, first)
        for pause in pauses:
            result = self.program.pipeline(workspace, "--through", last, kill_after=pause)
            if result.code not in (0, -9):
                return f"resumes badly: {result.unsound() or result.last_line}"
        return finish(self.program, self.snapshots, workspace, last)


def finish(program, snapshots, workspace, last):
    """The same command, twice: it goes on to the same bytes, and then finds nothing to do."""
    result = program.pipeline(workspace, "--through", last)
    if result.code != 0:
        return f"does not resume: {result.unsound() or result.last_line}"
    differing = snapshots.differences(workspace, last)
    if differing:
        return f"differs from an unbroken run: {', '.join(differing[:4])}"
    again = program.run("run", "Tests/Fixtures/commands/small.json5", "--workspace", workspace,
                        "--through", last)
    if ": starting" in again.errors or ": resuming" in again.errors:
        return f"a finished workspace is not up to date: {again.last_line}"
    return None
