"""kill -9 at moments that chance chooses; the seed is printed, and repeats them."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class RandomKills:
    """Strikes until there were enough, or the launch has ended.

    Args:
        seed: of the moments and victims.
        longest_seconds: between two kills.
        group: kill a victim's whole process group.
    """

    seed: int
    longest_seconds: float
    group: bool = False
    struck: list[int] = field(default_factory=list)

    def strike(self, launch: subprocess.Popen[str], victims: Callable[[], list[int]], count: int) -> None:
        """Kill one of the victims there are at each of so many moments."""
        chance = random.Random(self.seed)
        print(f"kills with seed {self.seed}, at most {self.longest_seconds:.1f} s apart")
        wanted = len(self.struck) + count
        while len(self.struck) < wanted and launch.poll() is None:
            time.sleep(chance.uniform(0.05, self.longest_seconds))
            found = sorted(victims())
            if found:
                self._kill(chance.choice(found))

    def _kill(self, pid: int) -> None:
        try:
            if self.group:
                os.killpg(os.getpgid(pid), signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:  # it ended by itself just now
            return
        self.struck.append(pid)
        print(f"kill {len(self.struck)}: process {pid}")
