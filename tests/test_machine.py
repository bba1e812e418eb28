"""Cores and memory, from folder trees like those that the kernel shows."""

import os
from pathlib import Path

import pytest

from style_transfer import machine

GIB = 2**30


@pytest.fixture
def kernel(tmp_path):
    """Writes files below a root folder: {"sys/fs/cgroup/cpu.max": "…"}."""

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        return tmp_path

    write({"proc/meminfo": f"MemTotal: 99999999999 kB\nMemAvailable:   {64 * GIB // 1024} kB"})
    return write


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def test_without_cgroups_the_machine_itself_counts(kernel):
    root = kernel({})
    assert machine.usable_cores(root) == 8
    assert machine.usable_memory(root) == 64 * GIB


def test_affinity_is_used_where_the_system_has_it(kernel, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert machine.usable_cores(kernel({})) == 5
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.usable_cores(kernel({})) == 1


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1), ("1600000 100000", 8), ("", 8)],
)
def test_quota_of_cgroups_2(kernel, quota, cores):
    root = kernel({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": quota})
    assert machine.usable_cores(root) == cores


def test_groups_around_the_own_group_bind_too(kernel):
    root = kernel(
        {
            "proc/self/cgroup": "0::/slice/job/step",
            "sys/fs/cgroup/slice/job/step/cpu.max": "max 100000",
            "sys/fs/cgroup/slice/job/step/memory.max": str(9 * GIB),
            "sys/fs/cgroup/slice/job/step/memory.current": str(1 * GIB),
            "sys/fs/cgroup/slice/job/cpu.max": "300000 100000",
            "sys/fs/cgroup/slice/job/memory.max": "max",
            "sys/fs/cgroup/slice/job/memory.current": str(2 * GIB),
            "sys/fs/cgroup/slice/memory.max": str(12 * GIB),
            "sys/fs/cgroup/slice/memory.current": str(7 * GIB),
            "sys/fs/cgroup/slice/memory.stat": f"anon 5\ninactive_file {GIB}\nactive_file 7",
        }
    )
    assert machine.usable_cores(root) == 3
    assert machine.usable_memory(root) == 6 * GIB  # 12 - 7 + 1


def test_cgroups_1(kernel):
    root = kernel(
        {
            "proc/self/cgroup": "4:memory:/job\n1:cpuacct,cpu:/job\n0::/",
            "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "400000",
            "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes": str(4 * GIB),
            "sys/fs/cgroup/memory/job/memory.usage_in_bytes": str(3 * GIB),
            "sys/fs/cgroup/memory/job/memory.stat": f"inactive_file 1\ntotal_inactive_file {GIB}",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": str(30 * GIB),
        }
    )
    assert machine.usable_cores(root) == 4
    assert machine.usable_memory(root) == 2 * GIB


@pytest.mark.parametrize("path", ["/docker/0123", "/../../elsewhere"])
def test_a_container_that_sees_only_its_own_group(kernel, path):
    root = kernel(
        {
            "proc/self/cgroup": f"0::{path}",
            "sys/fs/cgroup/cpu.max": "200000 100000",
            "sys/fs/cgroup/memory.max": str(GIB),
            "sys/fs/cgroup/memory.current": str(2 * GIB),
        }
    )
    assert machine.usable_cores(root) == 2
    assert machine.usable_memory(root) == 0


def test_both_kinds_of_cgroups_at_once(kernel):
    root = kernel(
        {
            "proc/self/cgroup": "2:cpu:/\n0::/job",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "500000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/unified/job/memory.max": str(GIB),
            "sys/fs/cgroup/unified/job/memory.current": "0",
        }
    )
    assert machine.usable_cores(root) == 5
    assert machine.usable_memory(root) == GIB


def test_this_machine():
    assert machine.usable_cores() >= 1
    memory = machine.usable_memory()
    assert memory is None or 0 <= memory < 2**50
