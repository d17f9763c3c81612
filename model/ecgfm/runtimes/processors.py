"""What this machine computes with, in words that go into records: processor, instruction set, GPU and driver."""

import platform
import re
from pathlib import Path

import torch

_CPUINFO = Path("/proc/cpuinfo")
_DRIVER = Path("/proc/driver/nvidia/version")


def instruction_set() -> str:
    """The kind of processor and the vector instructions that torch uses on it: others run other kernels."""
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def processor(cpuinfo: Path = _CPUINFO) -> str:
    """The processor's own name and its instruction set."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    name = found[1].strip() if found else platform.processor() or "unknown processor"
    return f"{name}, {instruction_set()}"


def has_bf16_instructions() -> bool:
    """Whether matrix products in bfloat16 run as such here; elsewhere they are imitated, several times slower than
    float32.

    oneDNN is asked too, because the environment can forbid it what the processor has (ONEDNN_MAX_CPU_ISA).
    """
    from ecgfm.training.cpu_layers import packs

    if platform.machine().lower() in ("x86_64", "amd64"):
        present = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    else:
        present = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return present and packs(torch.bfloat16)


def card(index: int | None = None, driver: Path = _DRIVER) -> str:
    """GPU and driver without blanks, as in a runtime's name: `NVIDIA_H100_80GB_HBM3/570.86.15`."""
    name = torch.cuda.get_device_name(index)
    return f"{re.sub(r'[^A-Za-z0-9.+]+', '_', name).strip('_')}/{driver_version(driver)}"


def driver_version(driver: Path = _DRIVER) -> str:
    """The NVIDIA driver's version; where the system hides it, the newest CUDA that the driver serves."""
    try:
        found = re.search(r"Kernel Module.*?(\d+\.\d+(?:\.\d+)*)", driver.read_text(encoding="utf-8"))
    except OSError:
        found = None
    if found:
        return found[1]
    newest = getattr(torch._C, "_cuda_getDriverVersion", None)  # only builds for CUDA have it; 13000 is CUDA 13.0
    version = int(newest()) if newest and torch.cuda.is_available() else 0
    return f"cuda{version // 1000}.{version % 1000 // 10}" if version else "unknown"
