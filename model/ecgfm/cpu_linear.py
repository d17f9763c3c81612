"""Linear layers that train faster on a CPU: the forward product gets its weight transposed in memory, not only in name.

MKL, which torch calls for float32 products, reaches on AMD processors less than half its speed where the second factor is a transposed
view, and `x @ weight.T` is one. Writing the transpose out costs a thousandth of the product. The backward products have no such view.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn


def speed_up_linears(module: nn.Module) -> None:
    """Let every `nn.Linear` inside compute this way while its input is float32 on the CPU outside autocast; parameters stay as they are."""
    for child in module.modules():
        if type(child) is nn.Linear:
            child.__class__ = _CpuLinear


class _CpuLinear(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        if input.device.type != "cpu" or input.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
            return super().forward(input)
        return cast("Tensor", _Product.apply(input, self.weight, self.bias))  # type: ignore[no-untyped-call]  # torch's autograd.Function is untyped


class _Product(torch.autograd.Function):
    """x (…, in) · weight (out, in) transposed + bias (out)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        rows = x.reshape(-1, x.shape[-1])
        written_out = weight.t().contiguous()
        product = rows @ written_out if bias is None else torch.addmm(bias, rows, written_out)
        return product.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        gradient = gradients[0].reshape(-1, weight.shape[0])
        for_x = (gradient @ weight).view_as(x) if ctx.needs_input_grad[0] else None
        for_weight = gradient.t() @ x.reshape(-1, x.shape[-1]) if ctx.needs_input_grad[1] else None
        for_bias = gradient.sum(0) if ctx.has_bias and ctx.needs_input_grad[2] else None
        return for_x, for_weight, for_bias
