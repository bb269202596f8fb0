"""What the settings of an experiment differ in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestration.report.stories import Chapter
from orchestration.signature import flatten

MOST_COLUMNS = 6
"""Of so many settings each has a column and each key a row; of more, it is the other way round."""


@dataclass(frozen=True)
class Differences:
    """The keys that are not the same everywhere: ``values[key]`` is parallel to ``settings``."""

    chapter: Chapter
    settings: Sequence[str]
    values: dict[str, list[object]]

    @property
    def keys_are_rows(self) -> bool:
        """Whether there are few enough settings for a column each."""
        return len(self.settings) <= MOST_COLUMNS


def differences(chapters: Sequence[Chapter]) -> list[Differences]:
    """Return what differs within each experiment of several settings."""
    found = (_differences(chapter) for chapter in chapters if len(chapter.settings) > 1)
    return [one for one in found if one.values]


def _differences(chapter: Chapter) -> Differences:
    first = [min(stories, key=lambda story: story.trial.seed).trial for stories in chapter.settings.values()]
    configs = [flatten(trial.config) for trial in first]
    keys = dict.fromkeys(key for config in configs for key in config)
    values = {key: [config.get(key) for config in configs] for key in keys}
    return Differences(
        chapter, list(chapter.settings), {key: row for key, row in values.items() if any(v != row[0] for v in row)}
    )
