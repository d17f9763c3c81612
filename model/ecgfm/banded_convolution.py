"""The positional convolution as one batched matrix product, which tensor cores can compute, forward and backward.

The convolution (W channels in G groups, a kernel of K taps over T frames) finds no tensor-core kernel in cuDNN: 48
channels a group and 128 taps took 84 % of an H100's time. Here the frames are cut into blocks of `block`; a block of
one group needs block + K - 1 frames of input, and the taps, laid out once as a banded matrix, turn those into the
block's output:

    (B · blocks, (block + K - 1) · W / G)  @  ((block + K - 1) · W / G, block · W / G)      for each of the G groups

That is (block + K - 1) / K of the arithmetic (1.3 at block 39 and K 128), all of it in large products. Shapes in
comments: B batch, N blocks, J = block + K - 1 frames, I = W / G channels a group, O the same as output channels.
"""

import torch
from torch import Tensor

BLOCK = 39  #: frames; four blocks are the 156 frames of a segment


def banded(weight: Tensor, groups: int, block: int = BLOCK) -> Tensor:
    """Taps (W, I, K) -> banded matrices (G, J · I, block · O); differentiable.

    A row of the kernel followed by `block` zeros, repeated, and read again in rows that are one element shorter,
    shifts by one from row to row: that is the band, without an index.
    """
    width, channels, kernel = weight.shape
    reach = block + kernel - 1
    taps = torch.cat([weight, weight.new_zeros(width, channels, block)], dim=-1)  # (W, I, J + 1)
    repeated = taps[:, :, None].expand(-1, -1, block, -1).reshape(width, channels, -1)  # (W, I, block · (J + 1))
    shifted = repeated[..., : block * reach].view(
        groups, width // groups, channels, block, reach
    )  # (G, O, I, block, J)
    return shifted.permute(0, 4, 2, 3, 1).reshape(groups, reach * channels, -1)


def convolve(x: Tensor, band: Tensor, kernel: int, block: int = BLOCK) -> Tensor:
    """x (B, T, W) and `band` from `banded` -> (B, T, W): the grouped correlation with padding kernel // 2, without a
    bias.

    As many frames out as in: what an even kernel gives beyond is never computed.
    """
    batch, frames, width = x.shape
    groups, channels = band.shape[0], width // band.shape[0]
    blocks, reach = -(-frames // block), block + kernel - 1
    before = kernel // 2
    after = blocks * block + kernel - 1 - before - frames
    padded = torch.nn.functional.pad(x, (0, 0, before, after)).view(batch, -1, groups, channels)
    windows = padded.unfold(1, reach, block)  # (B, N, G, I, J)
    rows = windows.permute(2, 0, 1, 4, 3).reshape(groups, batch * blocks, reach * channels)
    found = torch.bmm(rows, band)  # (G, B · N, block · O)
    return found.view(groups, batch, blocks * block, channels).permute(1, 2, 0, 3).reshape(batch, -1, width)[:, :frames]
