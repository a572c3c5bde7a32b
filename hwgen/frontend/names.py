"""Identifiers for foreign names: a model's string never becomes a name in HDL, Tcl, C or a path.

A harmless name is kept readable (`/fc1/MatMul` -> `fc1`); any other becomes `n0007_matmul`.
"""

from __future__ import annotations

import re

from hwgen.ir import IDENTIFIER

HARMLESS = re.compile(r"[A-Za-z0-9_./:\-]{1,200}")
MAX_LENGTH = 48  # leaves room for what modules and files append

_VERILOG = """always and assign automatic begin buf bufif0 bufif1 case casex casez cell cmos config
deassign default defparam design disable edge else end endcase endconfig endfunction endgenerate
endmodule endprimitive endspecify endtable endtask event for force forever fork function generate
genvar highz0 highz1 if ifnone incdir include initial inout input instance integer join large
liblist library localparam macromodule medium module nand negedge nmos nor noshowcancelled not
notif0 notif1 or output parameter pmos posedge primitive pull0 pull1 pulldown pullup
pulsestyle_ondetect pulsestyle_onevent rcmos real realtime reg release repeat rnmos rpmos rtran
rtranif0 rtranif1 scalared showcancelled signed small specify specparam strong0 strong1 supply0
supply1 table task time tran tranif0 tranif1 tri tri0 tri1 triand trior trireg unsigned use uwire
vectored wait wand weak0 weak1 while wire wor xnor xor"""
_SYSTEM_VERILOG = """accept_on alias always_comb always_ff always_latch assert assume before bind
bins binsof bit break byte chandle checker class clocking const constraint context continue cover
covergroup coverpoint cross dist do endchecker endclass endclocking endgroup endinterface
endpackage endprogram endproperty endsequence enum eventually expect export extends extern final
first_match foreach forkjoin global iff ignore_bins illegal_bins implements implies import inside
int interconnect interface intersect join_any join_none let local logic longint matches modport
nettype new nexttime null package packed priority program property protected pure rand randc
randcase randsequence ref reject_on restrict return s_always s_eventually s_nexttime s_until
s_until_with sequence shortint shortreal soft solve static string strong struct super
sync_accept_on sync_reject_on tagged this throughout timeprecision timeunit type typedef union
unique unique0 until until_with untyped var virtual void wait_order weak wildcard with within"""
_VHDL = """abs access after all architecture array attribute block body buffer bus component
configuration constant disconnect downto elsif entity exit file generic group guarded impure in
inertial is label linkage loop map mod nand next of on open others out port postponed procedure
process range record register reject rem report rol ror select severity shared signal sla sll sra
srl subtype then to transport unaffected units until variable when xnor"""
_C_AND_CPP = """auto bool catch char decltype delete double dynamic_cast explicit false float friend
goto inline long main mutable namespace noexcept nullptr operator private public register
reinterpret_cast short sizeof static_assert static_cast switch template throw true try typeid
typename using volatile wchar_t"""
_TCL = """append apply array binary catch cd chan clock close concat dict encoding eof error eval
exec exit expr fblocked fconfigure fcopy fileevent flush format gets glob incr info interp
lappend lassign lindex linsert list llength load lrange lrepeat lreplace lreverse lsearch lset
lsort namespace open pid proc puts pwd read regexp regsub rename scan seek set socket source
split subst tell trace unload unset update uplevel upvar variable vwait"""
_PYTHON = "as async await def del elif except from lambda none nonlocal pass raise yield"
_PORTS = "clk rst reset i o top s_axis m_axis s_axil con prn aux nul"

RESERVED = frozenset(
    " ".join((_VERILOG, _SYSTEM_VERILOG, _VHDL, _C_AND_CPP, _TCL, _PYTHON, _PORTS)).split()
)


class Namer:
    """Gives each value of a graph an identifier of its own."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name(self, foreign: str, kind: str, index: int, part: str = "") -> str:
        """Return a new identifier for the `index`-th node, called `foreign`, of operator `kind`.

        Where a node becomes several values, `part` tells them apart.

        Examples
        --------
        >>> namer = Namer()
        >>> namer.name("/fc1/MatMul", "MatMul", 3), namer.name("fc1", "Quant", 4)
        ('fc1', 'fc1_quant')
        >>> namer.name("a; $finish", "MatMul", 7), namer.name("wire", "Gemm", 8)
        ('n0007_matmul', 'wire_gemm')
        """
        base = readable(foreign, kind) or f"n{index:04d}_{plain(kind)}"
        base = f"{base}_{part}" if part else base
        candidate = base if base not in RESERVED else f"{base}_{plain(kind)}"
        if candidate in self._taken:
            candidate = f"{base}_{plain(kind)}"
        number = 2
        while candidate in self._taken:
            candidate = f"{base}_{number}"
            number += 1
        self._taken.add(candidate)
        return candidate


def plain(word: str) -> str:
    """Return the lower-case letters and digits of `word`, at most twelve."""
    return re.sub(r"[^a-z0-9]", "", word.lower())[:12] or "x"


def readable(foreign: str, kind: str) -> str:
    """Return an identifier that resembles `foreign`, or "" when it is not harmless."""
    if not HARMLESS.fullmatch(foreign):
        return ""
    parts = [part.lower() for part in re.split(r"[/.:\-]+", foreign) if part]
    if len(parts) > 1 and re.fullmatch(rf"{re.escape(kind.lower())}(_\d+)?", parts[-1]):
        parts.pop()
    word = re.sub(r"_+", "_", "_".join(parts))[:MAX_LENGTH].strip("_")
    if word[:1].isdigit():
        word = f"n{word}"
    return word if IDENTIFIER.fullmatch(word) else ""
