"""Fixed point with a learned binary point: the quantizer under weights, biases and activations.

A word has w bits in all, f of them fractional. Forward: code = overflow(round(x * 2**f)),
value = code * 2**-f. What is learned, and how f follows from it, is the choice of
`config.learning`; the gradients are in `fixed_point_function.py`.

Source: Dai et al., QFX, arXiv 2401.17544 (idea); Jain et al., TQT, arXiv 1903.08066; Esser et al.,
LSQ, arXiv 1902.08153.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, distributed, nn

from hwgen.errors import NumericError
from hwgen.nn.config import MAX_FRAC, FixedPointConfig, Learning
from hwgen.nn.fixed_point_function import Cast, FixedPointFunction, power_of_two
from hwgen.numeric import FixedPoint


class Quantizer(nn.Module):
    """What all quantizers answer: the integer codes of a tensor and the scale beside them."""

    free_scale = False  # whether the scale may be any real number
    bit_width: int
    signed: bool = True
    narrow: bool = True
    bipolar: bool = False

    @property
    def calibrated(self) -> bool:
        """Whether the scale is known."""
        return True

    def grid(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return integer codes, in a float tensor, and the scale that broadcasts to them.

        No gradient flows; codes * scale is what forward returns.
        """
        raise TypeError(f"{type(self).__name__} has no grid; derive it from a quantizer that does")

    def restart(self, weight: Tensor) -> None:
        """Begin again from these float weights; quantizers that keep none do nothing."""

    def codes(self, x: Tensor) -> npt.NDArray[np.int64]:
        """Return the integer codes of `x`."""
        with torch.no_grad():
            return self.grid(x.detach())[0].to(torch.int64).cpu().numpy()


class FixedPointQuantizer(Quantizer):
    """Quantize to fixed point; learn where the binary point stands.

    The first `config.calibration_batches` forward passes in training mode set the binary point
    from the largest magnitude seen; after them it moves by gradient alone.

    Parameters
    ----------
    config : the format
    channels : how many there are on `axis`; needed for a binary point per channel
    axis : of the channels

    Attributes
    ----------
    frac : parameter f~, the real number whose rounding is the number of fractional bits; with
        Learning.THRESHOLD its floor, with Learning.SCALE the parameter is `step`, s, instead
    max_abs, observed : largest magnitude of the calibration batches, and how many there were
    observing : set by `calibrate`, to widen the range in eval mode too
    """

    max_abs: Tensor
    observed: Tensor

    def __init__(
        self, config: FixedPointConfig, channels: int | None = None, axis: int = 0
    ) -> None:
        super().__init__()
        if config.per_channel and channels is None:
            raise NumericError(
                "FixedPointConfig: per_channel is for weights and constants, whose channels are "
                "known; quantize activations per tensor"
            )
        self.config = config
        self.signed = config.signed
        self.narrow = config.signed and config.code_range[0] == -config.code_range[1]
        self.cast = Cast.of(config, axis if config.per_channel else None)
        self.observing = False
        self.levels: Tensor | None = None
        shape = (channels,) if config.per_channel and channels is not None else ()
        initial = torch.full(shape, 0.0 if config.frac is None else float(config.frac))
        learned = config.learning is not Learning.FIXED and config.frac is None
        name = "step" if config.learning is Learning.SCALE else "frac"
        start = torch.exp2(-initial) if name == "step" else initial
        self.register_parameter(name, nn.Parameter(start, requires_grad=learned))
        done = 0 if config.frac is None else config.calibration_batches
        self.register_buffer("max_abs", torch.zeros(shape))
        self.register_buffer("observed", torch.tensor(done))
        # The same count for Python: asking the tensor would stop torch.compile and the GPU.
        self._seen = done
        self.register_load_state_dict_post_hook(_recount)  # type: ignore[no-untyped-call]

    @property
    def bit_width(self) -> int:  # type: ignore[override]  # of the config, it cannot be assigned
        """Bits of a code."""
        return self.config.bit_width

    @property
    def learned(self) -> Tensor:
        """The parameter behind the binary point."""
        return self.get_parameter("step" if self.config.learning is Learning.SCALE else "frac")

    @property
    def calibrated(self) -> bool:
        """Whether the binary point was given or has seen a batch."""
        return self._seen > 0

    @property
    def frac_bits(self) -> int:
        """The number of fractional bits in force, where all channels share it."""
        if self.cast.axis is not None:
            raise NumericError("a quantizer per channel has no single frac_bits; use fracs")
        learned = float(self.learned.detach())
        if not math.isfinite(learned):
            raise NumericError(f"the learned binary point is {learned}; lower the learning rate")
        if self.config.learning is Learning.BINARY_POINT:
            return self._limited(round(learned))
        return int(self._exponent())

    @property
    def fracs(self) -> npt.NDArray[np.int64]:
        """The fractional bits in force: one number, or one for each channel."""
        if self.cast.axis is None:
            return np.array(self.frac_bits)
        return self._exponent().to(torch.int64).cpu().numpy()

    @property
    def fixed_point(self) -> FixedPoint:
        """The number format in force."""
        return FixedPoint(self.config.signed, self.bit_width, self.frac_bits)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` on the fixed-point grid, with straight-through gradients."""
        if self.observing or (self.training and self._seen < self.config.calibration_batches):
            self._calibrate_on(x)
        self._require_calibration()
        if x.dtype not in (torch.float32, torch.float64):
            x = x.float()  # under autocast: half precision cannot hold the codes
        quantized: Tensor = FixedPointFunction.apply(  # type: ignore[no-untyped-call]
            x, self.learned, self._scale(x), self.cast, self.levels
        )
        return quantized

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _calibrate_on(self, x: Tensor) -> None:
        # DistributedDataParallel hands buffers on, not our count of them: a process whose
        # neighbour was calibrated before must not wait for ranges that nobody sends.
        self._seen = max(self._seen, int(self.observed))
        if self.observing or self._seen < self.config.calibration_batches:
            self.observe(x)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def observe(self, x: Tensor) -> None:
        """Widen the calibrated range to `x` and set the binary point from it.

        In a process group all processes have to call this together.
        """
        with torch.no_grad():
            magnitude = x.abs() if self.config.signed else x.clamp(min=0)
            if magnitude.numel():
                axis = self.cast.axis
                largest = (
                    magnitude.max()
                    if axis is None
                    else magnitude.movedim(axis, 0).reshape(magnitude.shape[axis], -1).amax(1)
                )
                self.max_abs.copy_(torch.maximum(self.max_abs, largest))
            # Each process sees another part of the batch; all must choose the same point.
            reduce_in_group(self.max_abs, "MAX")
            fracs = [calibrated_frac(self.config, m) for m in self.max_abs.flatten().tolist()]
            self._place(torch.tensor(fracs))
            self._seen += 1
            self.observed.fill_(self._seen)

    def set_frac(self, fracs: Tensor) -> None:
        """Put the binary point, or one for each channel, at `fracs`; it counts as calibrated."""
        self._place(fracs)
        self._seen = max(self._seen, self.config.calibration_batches)
        self.observed.fill_(self._seen)

    def reset_calibration(self) -> None:
        """Forget what was observed; a binary point given as `config.frac` comes back."""
        with torch.no_grad():
            fixed = self.config.frac
            self.max_abs.zero_()
            self._place(torch.full_like(self.learned, 0.0 if fixed is None else float(fixed)))
            self._seen = 0 if fixed is None else self.config.calibration_batches
            self.observed.fill_(self._seen)

    def grid(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return integer codes, in double precision, and their power-of-two scale."""
        self._require_calibration()
        x = x.detach().double()
        scale = self._spread(power_of_two(self._exponent(), torch.float64), x)
        return self.cast.codes_(x * scale, self.levels), 1 / scale

    def extra_repr(self) -> str:
        """Return the format for `repr`."""
        kind = "signed" if self.config.signed else "unsigned"
        frac = self.fracs.tolist() if self.calibrated else "not calibrated"
        return f"bit_width={self.config.bit_width}, {kind}, frac={frac}"

    def _place(self, fracs: Tensor) -> None:
        with torch.no_grad():
            learned = fracs.reshape(self.learned.shape).to(self.learned)
            scale = self.config.learning is Learning.SCALE
            self.learned.copy_(torch.exp2(-learned) if scale else learned)

    def _scale(self, x: Tensor) -> Tensor | int:
        if self.cast.axis is None and not torch.compiler.is_compiling():
            return self.frac_bits
        return self._spread(power_of_two(self._exponent(), x.dtype), x)

    def _exponent(self) -> Tensor:
        learned = self.learned.detach()
        if self.config.learning is Learning.SCALE:
            # A step below 2**-126, zero or negative cannot be meant: the finest grid then.
            whole = torch.round(-torch.log2(learned.clamp(min=2.0**-126)))
        elif self.config.learning is Learning.THRESHOLD:
            whole = torch.floor(learned)
        else:
            whole = torch.round(learned)
        return whole.clamp(-MAX_FRAC, self._finest)

    def _spread(self, scale: Tensor, x: Tensor) -> Tensor:
        """Give a scale per channel the shape that broadcasts to `x`."""
        axis = self.cast.axis
        if axis is None:
            return scale
        shape = [1] * x.dim()
        shape[axis] = -1
        return scale.reshape(shape)

    @property
    def _finest(self) -> int:
        return self.config.max_frac if self.config.frac is None else MAX_FRAC

    def _limited(self, frac: int) -> int:
        return max(-MAX_FRAC, min(self._finest, frac))

    def _require_calibration(self) -> None:
        if not self.calibrated:
            raise NumericError(
                "a quantizer is not calibrated, its binary point is unknown; run a training batch "
                "through the model, or hwgen.nn.calibrate(model, batches), or give frac="
            )


def reduce_in_group(x: Tensor, operation: Literal["MAX", "MIN", "SUM"]) -> None:
    """Combine `x` in place with that of the other processes; alone, leave it as it is."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(x, getattr(distributed.ReduceOp, operation))


def _recount(module: nn.Module, incompatible_keys: object) -> None:
    if isinstance(module, FixedPointQuantizer):
        module._seen = int(module.observed)


def calibrated_frac(config: FixedPointConfig, max_abs: float) -> int:
    """Return the fractional bits that just hold magnitudes up to `max_abs`.

    f = w - 1 - ceil(log2 max|x|), one more when unsigned. Nothing but zeros counts as 1.

    Examples
    --------
    >>> calibrated_frac(FixedPointConfig(bit_width=6), 0.4)
    6
    """
    if not math.isfinite(max_abs):
        raise NumericError("calibration saw NaN or infinity; look for it in the batch or weights")
    # frexp instead of log2: exact. mantissa is in [0.5, 1), and 0.5 marks a power of two.
    mantissa, exponent = math.frexp(max_abs or 1.0)
    ceil_log2 = exponent - 1 if mantissa == 0.5 else exponent
    return min(config.max_frac, config.bit_width - (1 if config.signed else 0) - ceil_log2)
