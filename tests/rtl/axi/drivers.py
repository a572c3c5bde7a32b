"""Test benches for Amaranth's simulator that speak packets and registers, not cycles."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

Packet = list[int]  # one TDATA a beat; TLAST is on the last


@dataclass
class Log:
    """What a monitor saw."""

    packets: list[Packet] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    transfers: int = 0
    stalls: int = 0


async def send_packets(ctx, port, packets, idle=0.0, seed=0, log=None):
    """Offer every beat of `packets` on `port` (tdata, tvalid, tready, tlast)."""
    chance = random.Random(seed)
    log = log or Log()
    for packet in packets:
        for k, word in enumerate(packet):
            while chance.random() < idle:
                ctx.set(port.tvalid, 0)
                ctx.set(port.tdata, chance.getrandbits(len(port.tdata)))
                ctx.set(port.tlast, chance.getrandbits(1))
                await ctx.tick()
            ctx.set(port.tvalid, 1)
            ctx.set(port.tdata, word)
            ctx.set(port.tlast, k == len(packet) - 1)
            ready = 0
            while not ready:
                _, _, ready = await ctx.tick().sample(port.tready)
                log.stalls += not ready
            log.transfers += 1
    ctx.set(port.tvalid, 0)


async def collect_packets(ctx, port, log, stall=0.0, seed=0):
    """Take beats from `port` for ever; packets end at TLAST."""
    chance = random.Random(seed)
    packet, waiting = [], None
    while True:
        ready = chance.random() >= stall
        ctx.set(port.tready, ready)
        _, reset, valid, data, last = await ctx.tick().sample(port.tvalid, port.tdata, port.tlast)
        if waiting is not None and (not valid or (data, last) != waiting):
            log.violations.append("a stalled beat was withdrawn or changed")
        waiting = (data, last) if valid and not ready else None
        log.stalls += bool(valid and not ready)
        if reset:
            packet, waiting = [], None
        elif valid and ready:
            log.transfers += 1
            packet.append(int(data))
            if last:
                log.packets.append(packet)
                packet = []


@dataclass
class StreamPort:
    """The four wires of an AXI4-Stream port."""

    tdata: object
    tvalid: object
    tready: object
    tlast: object

    @classmethod
    def of(cls, component, prefix=""):
        return cls(
            *(getattr(component, f"{prefix}{n}") for n in ("tdata", "tvalid", "tready", "tlast"))
        )


class LiteHost:
    """A host on the AXI4-Lite port, with random delays on all five channels."""

    def __init__(self, component, prefix="", seed=0, delay=3):
        self.component, self.prefix, self.delay = component, prefix, delay
        self.chance = random.Random(seed)

    def wire(self, name):
        return getattr(self.component, self.prefix + name)

    async def _pause(self, ctx):
        for _ in range(self.chance.randint(0, self.delay)):
            await ctx.tick()

    async def read(self, ctx, offset):
        """Return (data, resp)."""
        await self._pause(ctx)
        await self._hand_over(ctx, {"ar": {"araddr": offset}})
        (data, resp) = await self._take(ctx, "r", ("rdata", "rresp"))
        return data, resp

    async def write(self, ctx, offset, data, strobe=0xF):
        """Return resp; address and data come in random order or together."""
        await self._pause(ctx)
        address, word = {"awaddr": offset}, {"wdata": data, "wstrb": strobe}
        order = self.chance.choice(["together", "address", "data"])
        if order == "together":
            await self._hand_over(ctx, {"aw": address, "w": word})
        else:
            first, second = ("aw", address), ("w", word)
            if order == "data":
                first, second = second, first
            await self._hand_over(ctx, dict([first]))
            await self._pause(ctx)
            await self._hand_over(ctx, dict([second]))
        (resp,) = await self._take(ctx, "b", ("bresp",))
        return resp

    async def _hand_over(self, ctx, channels):
        for channel, fields in channels.items():
            ctx.set(self.wire(f"{channel}valid"), 1)
            for name, value in fields.items():
                ctx.set(self.wire(name), value)
        waiting = set(channels)
        while waiting:
            names = sorted(waiting)
            _, _, *ready = await ctx.tick().sample(*(self.wire(f"{n}ready") for n in names))
            for name, is_ready in zip(names, ready, strict=True):
                if is_ready:
                    waiting.discard(name)
                    ctx.set(self.wire(f"{name}valid"), 0)
                    for field_name in channels[name]:
                        wire = self.wire(field_name)
                        ctx.set(wire, self.chance.getrandbits(len(wire)))

    async def _take(self, ctx, channel, fields):
        """Wait with ready low, look, then take: the answer must stay in between."""
        valid, seen = 0, None
        wires = [self.wire(name) for name in fields]
        early = self.chance.random() < 0.5
        ctx.set(self.wire(f"{channel}ready"), early)
        while not valid:
            _, _, valid, *seen = await ctx.tick().sample(self.wire(f"{channel}valid"), *wires)
        if not early:
            for _ in range(self.chance.randint(0, self.delay)):
                _, _, still, *again = await ctx.tick().sample(self.wire(f"{channel}valid"), *wires)
                assert still, "an answer was withdrawn"
                assert again == seen, "an answer changed"
            ctx.set(self.wire(f"{channel}ready"), 1)
            _, _, still, *again = await ctx.tick().sample(self.wire(f"{channel}valid"), *wires)
            assert still
            assert again == seen
        ctx.set(self.wire(f"{channel}ready"), 0)
        return [int(value) for value in seen]
