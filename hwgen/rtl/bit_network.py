"""`BitNetwork`: functions of single bits, one LUT each, with a register after every few levels.

It is planned without a module, so that it can be costed, and built as often as it is needed. A bit
that is read in a later stage than it is made in waits in registers that all its readers share; they
have no reset: what a register holds counts only beside a valid bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from amaranth import Module, Signal, Value

BitFunction = Callable[[Sequence[Value]], Value]


class BitNetwork:
    """Bits by number; inputs are of level 0, a function is one level above its highest argument.

    Parameters
    ----------
    inputs : names of the bits 0, 1, ...
    levels_per_stage : LUTs between two registers at most
    """

    def __init__(self, inputs: Sequence[str], levels_per_stage: int = 2) -> None:
        self.inputs = tuple(inputs)
        self.levels_per_stage = levels_per_stage
        self.levels = [0] * len(inputs)
        self._functions: dict[int, tuple[str, tuple[int, ...], BitFunction]] = {}

    def add(self, name: str, arguments: Sequence[int], function: BitFunction) -> int:
        """Return the number of a function of other bits, a signal called `name`."""
        self.levels.append(1 + max(self.levels[argument] for argument in arguments))
        self._functions[len(self.levels) - 1] = (name, tuple(arguments), function)
        return len(self.levels) - 1

    def stages(self, bits: Sequence[int]) -> int:
        """Return the registers in front of which the last of `bits` is ready."""
        return max((-(-self.levels[bit] // self.levels_per_stage) for bit in bits), default=0)

    def _needed(self, bits: Sequence[int], stage: int) -> tuple[list[int], dict[int, int]]:
        """Return the functions behind `bits`, first to last, and until which stage each is read."""
        until = dict.fromkeys(bits, stage)
        order = []
        # Arguments have lower numbers than what is made of them.
        for bit in range(len(self.levels) - 1, -1, -1):
            if bit in until and bit in self._functions:
                order.append(bit)
                for argument in self._functions[bit][1]:
                    until[argument] = max(until.get(argument, 0), self._stage_of(bit))
        return order[::-1], until

    def _stage_of(self, bit: int) -> int:
        """Registers in front of the arguments of `bit`."""
        return (self.levels[bit] - 1) // self.levels_per_stage

    def _ready(self, bit: int) -> int:
        """Return the first stage in which `bit` is there: a register may close its level."""
        return self.levels[bit] // self.levels_per_stage

    def count(self, bits: Sequence[int], stage: int) -> tuple[int, int]:
        """Return the functions behind `bits`, and the registers, with `bits` read in `stage`."""
        order, until = self._needed(bits, stage)
        closing = sum(self._ready(bit) > self._stage_of(bit) for bit in order)
        waiting = sum(last - self._ready(bit) for bit, last in until.items())
        return len(order), closing + waiting

    def build(
        self,
        m: Module,
        inputs: Sequence[Value],
        bits: Sequence[int],
        stage: int,
        prefix: str,
        advance: Signal,
    ) -> list[Value]:
        """Add what is behind `bits` to `m` and return them, `stage` registers after `inputs`.

        Parameters
        ----------
        prefix : of the signals' names
        advance : registers load while this is high
        """
        order, until = self._needed(bits, stage)
        values: dict[tuple[int, int], Value] = {}
        combinational: list[tuple[Signal, Value]] = []
        registered: list[tuple[Signal, Value]] = []

        def wait(bit: int, name: str) -> None:
            for k in range(self._ready(bit), until[bit]):
                held = Signal(name=f"{prefix}{name}_s{k + 1}", reset_less=True)
                registered.append((held, values[bit, k]))
                values[bit, k + 1] = held

        for bit, (name, value) in enumerate(zip(self.inputs, inputs, strict=True)):
            values[bit, 0] = value
            if bit in until:
                wait(bit, name)
        for bit in order:
            name, arguments, function = self._functions[bit]
            closes = self._ready(bit) > self._stage_of(bit)
            result = Signal(name=prefix + name, reset_less=closes)
            value = function([values[argument, self._stage_of(bit)] for argument in arguments])
            (registered if closes else combinational).append((result, value))
            values[bit, self._ready(bit)] = result
            wait(bit, name)
        m.d.comb += [signal.eq(value) for signal, value in combinational]
        # One `If` for all of them: thousands would be slow to elaborate.
        with m.If(advance):
            m.d.sync += [signal.eq(value) for signal, value in registered]
        return [values[bit, stage] for bit in bits]
