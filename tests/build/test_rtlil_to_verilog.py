"""From RTLIL to readable Verilog: names, widths, signs."""

from amaranth import Module, Mux, Signal, signed
from amaranth.back import rtlil
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwgen.build.rtlil_to_verilog import verilog_modules
from hwgen.numeric import CodeType
from hwgen.rtl.adder_tree import Term, add_in_width
from hwgen.rtl.names import RESERVED_WORDS, free_name


def verilog(m, **ports):
    named = {name: (signal, None) for name, signal in ports.items()}
    text = rtlil.convert(m, name="bench", ports=named, emit_src=False)
    modules = verilog_modules(text, lambda path: "_".join(path))
    return {module.name: module.text for module in modules}


def test_unsigned_comparison_of_signed_signals():
    """yosys would write `a < b` of two wires declared signed: a signed comparison."""
    a, b, less = Signal(signed(4)), Signal(signed(4)), Signal()
    m = Module()
    m.d.comb += less.eq(a.as_unsigned() < b.as_unsigned())
    text = verilog(m, a=a, b=b, less=less)["bench"]
    assert "assign less = a < b;" in text
    assert "signed" not in text


def test_signed_comparison():
    a, b, less = Signal(signed(4)), Signal(signed(4)), Signal()
    m = Module()
    m.d.comb += less.eq(a < b)
    text = verilog(m, a=a, b=b, less=less)["bench"]
    assert "assign less = $signed(a) < $signed(b);" in text


def test_operands_are_written_in_the_width_of_the_sum():
    a, b, total = Signal(4), Signal(2), Signal(5)
    m = Module()
    m.d.comb += total.eq(a + b)
    text = verilog(m, a=a, b=b, total=total)["bench"]
    assert "assign total = { 1'h0, a } + { 3'h0, b };" in text


def test_a_sum_of_three_is_two_additions_of_its_width():
    """Also where Amaranth leaves out leading zeros: both additions keep the carry."""
    a, b, c, total = Signal(5), Signal(5), Signal(signed(4)), Signal(9)
    first, second, third = (
        Term(a, CodeType(0, 31)),
        Term(b, CodeType(0, 31), 2),
        Term(c, CodeType(-8, 7), 3, negative=True),
    )
    pair = Signal(9, attrs={"three_operands": 1})
    m = Module()
    m.d.comb += pair.eq(add_in_width((first, second), 9))
    m.d.comb += total.eq(add_in_width((Term(pair, CodeType(0, 511)), third), 9))
    text = verilog(m, a=a, b=b, c=c, total=total)["bench"]
    assert "assign pair = { 4'h0, a } + { 2'h0, b, 2'h0 };" in text
    assert "assign total = pair - { c[3], c[3], c, 3'h0 };" in text


def test_register_with_enable_reads_as_one():
    load, data, held = Signal(), Signal(4), Signal(4)
    m = Module()
    with m.If(load):
        m.d.sync += held.eq(data)
    text = verilog(m, load=load, data=data, held=held)["bench"]
    assert "if (rst) held <= 4'h0;\n    else if (load) held <= data;" in text
    assert "output reg [3:0] held = 4'h0" in text


class Twice(wiring.Component):
    """Ports with the same names as its parent's signals."""

    def __init__(self):
        super().__init__({"value": In(4), "result": Out(4)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.result.eq(Mux(self.value[0], self.value, ~self.value))
        return m


def test_wires_between_instances_name_the_instance():
    value, result = Signal(4), Signal(4)
    m = Module()
    m.submodules.first = first = Twice()
    m.submodules.second = second = Twice()
    m.d.comb += [
        first.value.eq(value ^ 3),
        second.value.eq(first.result),
        result.eq(second.result + 1),
    ]
    texts = verilog(m, value=value, result=result)
    assert list(texts) == ["bench_second", "bench_first", "bench"]
    assert "wire [3:0] first_value;" in texts["bench"]
    assert "wire [3:0] second_value;" in texts["bench"]
    assert "wire [3:0] second_result;" in texts["bench"]
    assert "$" not in texts["bench"]


def test_free_name():
    assert free_name("fc1", {"fc2"}, "layer") == "fc1"
    assert free_name("fc1", {"fc1", "fc1_layer"}, "layer") == "fc1_layer_2"
    assert free_name("always_ff", (), "layer") == "always_ff_layer"
    assert {"module", "endmodule", "logic", "class", "namespace"} <= RESERVED_WORDS


def test_kept_wires_say_so():
    a, b, kept = Signal(4), Signal(4), Signal(5, attrs={"keep": "true"})
    total, single = Signal(6), Signal(attrs={"keep": "true"})
    m = Module()
    m.d.comb += [kept.eq(a + b), total.eq(kept + a), single.eq(a[0])]
    text = verilog(m, a=a, b=b, total=total)["bench"]
    assert '  (* keep = "true" *) wire [4:0] kept;' in text
    assert '  (* keep = "true" *) wire single;' in text
    assert text.count("keep =") == 2
