"""Embedding: a row of a fixed-point table for each integer.

Hardware needs no memory port of its own for it: `table_lowering.py` writes the table as thresholds
on the integer and sums of the steps between rows, which every executor and importer knows. That
takes num_embeddings - 1 comparisons a token, so it is meant for small vocabularies.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwgen.errors import NumericError
from hwgen.nn.config import NumberConfig
from hwgen.nn.factory import constant_quantizer
from hwgen.nn.layers import SIGNED_8


class Embedding(nn.Embedding):
    """Rows of a quantized table, (N, L, embedding_dim) for integers (N, L).

    Integers may come in float tensors; they are rounded, half to even, and those beyond the table
    take its first or last row.

    Parameters
    ----------
    num_embeddings, embedding_dim, padding_idx : as torch.nn.Embedding
    weight : how the table is quantized, with one binary point
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        weight: NumberConfig = SIGNED_8,
    ) -> None:
        if num_embeddings < 2:
            raise NumericError(
                f"Embedding: num_embeddings is {num_embeddings}, expected at least 2 rows"
            )
        if weight.per_channel:
            raise NumericError(
                "Embedding: weight is per_channel, expected one binary point: a row says which "
                "number it is, not on which grid"
            )
        super().__init__(num_embeddings, embedding_dim, padding_idx)
        self.weight_quantizer = constant_quantizer(weight, num_embeddings)

    def forward(self, input: Tensor) -> Tensor:
        """Return the rows that `input` names."""
        rows = input
        if input.is_floating_point():
            rows = torch.round(input).clamp(0, self.num_embeddings - 1).long()
        else:
            rows = input.clamp(0, self.num_embeddings - 1)
        return F.embedding(rows, self.weight_quantizer(self.weight), self.padding_idx)
