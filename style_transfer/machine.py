"""How many cores and how much memory this process may use: in a container, fewer than exist."""

import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

_UNLIMITED = 2**60  # cgroups v1 write "no limit" as a number just below 2**63


def usable_cores(root: Path = Path("/")) -> int:
    """Cores that this process may use, by its affinity (taskset, SLURM) and its container's quota.

    A quota of 2.5 cores counts as 2: the kernel would stop one thread too many in the middle of a
    matrix product, and the others would wait for it.

    Args:
        root: root of the file system, for tests.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quotas = [quota for folder in _cgroups("cpu", root) if (quota := _quota(folder)) is not None]
    return max(1, int(min([cores, *quotas])))


def usable_memory(root: Path = Path("/")) -> int | None:
    """Bytes that this process can still allocate without swapping or being killed.

    This is the smaller of the machine's available memory and what the limits of this process's
    cgroups leave. Page cache that the kernel frees on demand counts as free. Without psutil, macOS
    reports only its physical memory; the result is then an upper bound.

    Args:
        root: root of the file system, for tests.

    Returns:
        Bytes, or None if the system does not report them.
    """
    left = [
        free for folder in _cgroups("memory", root) if (free := _memory_left(folder)) is not None
    ]
    available = _available_memory(root)
    if available is not None:
        left.append(available)
    return min(left) if left else None


def _cgroups(controller: str, root: Path) -> Iterator[Path]:
    """Folders of the cgroups that limit this process, innermost first, for v1 and v2.

    A group's limit also applies to the groups inside it. In a container, the paths that the kernel
    reports may be outside of the mount; the mount's root is then the container's own group.
    """
    mounts = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            mount = mounts / "unified" if (mounts / "unified").is_dir() else mounts
        elif controller in controllers.split(","):
            mount = mounts / controller
        else:
            continue
        folder = mount / path.lstrip("/")
        if ".." in Path(path).parts or not folder.is_dir():
            folder = mount
        while folder != mount:
            yield folder
            folder = folder.parent
        yield mount


def _quota(folder: Path) -> float | None:
    """Cores that a cgroup may use, or None without a quota."""
    values = _text(folder / "cpu.max").split()  # v2: "150000 100000" or "max 100000"
    if not values:
        values = [_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    try:
        quota, period = (int(value) for value in values)
    except ValueError:
        return None
    return quota / period if quota > 0 and period > 0 else None  # v1: -1 is no quota


def _memory_left(folder: Path) -> int | None:
    """Bytes left under a cgroup's limit, or None without a limit."""
    v1 = (folder / "memory.limit_in_bytes").is_file()
    names = ("limit_in_bytes", "usage_in_bytes") if v1 else ("max", "current")
    try:
        limit, used = (int(_text(folder / f"memory.{name}")) for name in names)
    except ValueError:  # "max", or no such file
        return None
    if limit >= _UNLIMITED:
        return None
    cache = _field(_text(folder / "memory.stat"), "total_inactive_file" if v1 else "inactive_file")
    return max(0, limit - used + (cache or 0))


def _available_memory(root: Path) -> int | None:
    """Bytes that the machine has available, or None if the system does not report them."""
    kibibytes = _field(_text(root / "proc/meminfo"), "MemAvailable:")
    if kibibytes is not None:
        return kibibytes * 1024
    if sys.platform == "win32":
        return _windows_memory()
    try:
        import psutil

        return psutil.virtual_memory().available
    except ImportError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _windows_memory() -> int | None:
    """Bytes of physical memory that Windows has available."""

    class MemoryStatus(ctypes.Structure):  # MEMORYSTATUSEX of sysinfoapi.h
        _fields_ = [("length", ctypes.c_uint32), ("load", ctypes.c_uint32)] + [
            (name, ctypes.c_uint64)
            for name in ("total", "available", "page", "page_left", "virtual", "virtual_left", "_")
        ]

    status = MemoryStatus(length=ctypes.sizeof(MemoryStatus))
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    if not kernel.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return status.available


def _field(text: str, name: str) -> int | None:
    """The number after `name` at the start of a line."""
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == name:
            return int(words[1])
    return None


def _text(path: Path) -> str:
    """A small file's text; empty if it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return ""


BFLOAT16_UNITS = {"avx512_bf16", "amx_bf16", "bf16"}  # Linux's names, on x86 and on Arm


def processor_flags() -> set[str]:
    """The processor's features, by Linux's names."""
    text = _text(Path("/proc/cpuinfo"))
    if text:  # py-cpuinfo reads it too, but takes a second
        return set(text.split())
    import cpuinfo

    return set(cpuinfo.get_cpu_info().get("flags", []))


def has_bfloat16_units() -> bool:
    """Whether the processor has units for bfloat16; without them it is emulated, and slower."""
    return bool(processor_flags() & BFLOAT16_UNITS)
