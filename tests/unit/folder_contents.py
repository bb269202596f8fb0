"""What lies in a folder, to compare it with another one."""

from pathlib import Path


def files_below(folder: Path) -> dict[str, bytes]:
    """Return the path below the folder of every file -> what is in it."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
