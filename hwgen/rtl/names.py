"""Identifiers that are safe in Verilog: no keyword, no clash.

Strings of a model never come here; graphs carry identifiers of their own (`ir.graph.IDENTIFIER`).

Source: IEEE 1800-2017, Annex B (keywords, which include those of IEEE 1364); the words of C++ are
there because Verilator makes classes out of modules.
"""

from __future__ import annotations

from collections.abc import Collection

_SYSTEM_VERILOG = """
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic
    before begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle
    checker class clocking cmos config const constraint context continue cover covergroup
    coverpoint cross deassign default defparam design disable dist do edge else end endcase
    endchecker endclass endclocking endconfig endfunction endgenerate endgroup endinterface
    endmodule endpackage endprimitive endprogram endproperty endsequence endspecify endtable
    endtask enum event eventually expect export extends extern final first_match for force foreach
    forever fork forkjoin function generate genvar global highz0 highz1 if iff ifnone ignore_bins
    illegal_bins implements implies import incdir include initial inout input inside instance int
    integer interconnect interface intersect join join_any join_none large let liblist library
    local localparam logic longint macromodule matches medium modport module nand negedge nettype
    new nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed parameter
    pmos posedge primitive priority program property protected pull0 pull1 pulldown pullup
    pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real
    realtime ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1
    s_always s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal
    showcancelled signed small soft solve specify specparam static string strong strong0 strong1
    struct super supply0 supply1 sync_accept_on sync_reject_on table tagged task this throughout
    time timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef
    union unique unique0 unsigned until until_with untyped use uwire var vectored virtual void wait
    wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
"""
_C_PLUS_PLUS = """
    alignas alignof and_eq asm auto bitand bitor bool catch char char16_t char32_t compl const_cast
    constexpr decltype delete double dynamic_cast explicit false float friend goto inline long
    mutable namespace noexcept not_eq nullptr operator or_eq private public register
    reinterpret_cast short sizeof static_assert static_cast switch template thread_local throw true
    try typeid typename using volatile wchar_t xor_eq
"""
RESERVED_WORDS = frozenset((_SYSTEM_VERILOG + _C_PLUS_PLUS).split())


def free_name(wanted: str, taken: Collection[str], suffix: str) -> str:
    """Return `wanted`, or with `suffix`, or with a number behind it: the first that is free.

    Examples
    --------
    >>> free_name("fc1", {"fc2"}, "layer"), free_name("fc1", {"fc1"}, "layer")
    ('fc1', 'fc1_layer')
    >>> free_name("wire", {"wire_layer"}, "layer")
    'wire_layer_2'
    """
    candidate, count = wanted, 1
    while candidate in taken or candidate in RESERVED_WORDS:
        candidate = f"{wanted}_{suffix}" if count == 1 else f"{wanted}_{suffix}_{count}"
        count += 1
    return candidate
