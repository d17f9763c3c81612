"""What this machine's processor, and the environment, let runtimes do."""

import os

import pytest

from ecgfm.runtimes.processors import has_bf16_instructions

#: OpenVINO does not bear an oneDNN that is told to see less than the processor has; the product says so in a sentence.
OPENVINO_RUNS = os.environ.get("ONEDNN_MAX_CPU_ISA", "DEFAULT").upper() in ("DEFAULT", "ALL")

#: A runtime in bfloat16 that this processor would imitate is refused in a sentence.
BF16_RUNS = has_bf16_instructions()
needs_bf16 = pytest.mark.skipif(not BF16_RUNS, reason="this processor has no bfloat16 instructions")
