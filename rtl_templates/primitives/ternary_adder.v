// y = +-a +- b +- c modulo 2**WIDTH in one carry chain, one LUT6_2 a bit, for AMD devices with six
// input LUTs. For yosys, whose own mapping takes two; every other tool reads the plain sum.
//
// The three bits of a place become their sum, in the LUT's logic, and their majority, which leaves
// by O5 and is the second operand of the carry chain one place higher. -x is ~x + 1; the chain
// and the majority that enter the lowest place bring in one 1 each, so two operands may be negative.
//
// Source: Simkins and Young, US patent 7274211, 2007; AMD UG474, UG574 (LUT6_2, carry chain).

`default_nettype none

module ternary_adder #(
  parameter WIDTH = 8,
  parameter [2:0] NEGATIVE = 3'b000  // of c, b, a; not all three
) (
  input  wire [WIDTH-1:0] a,
  input  wire [WIDTH-1:0] b,
  input  wire [WIDTH-1:0] c,
  output wire [WIDTH-1:0] y
);

`ifdef YOSYS
  // The lower half of the truth table is O5, the upper one O6; the address is
  // { half, unused, majority from below, c, b, a }.
  function [63:0] truth_table(input [2:0] negative, input inverted);
    integer entry;
    reg [2:0] bits;
    begin
      for (entry = 0; entry < 32; entry = entry + 1) begin
        bits = entry[2:0] ^ negative;
        truth_table[entry] = (bits[0] & bits[1]) | (bits[0] & bits[2]) | (bits[1] & bits[2]);
        truth_table[entry+32] = ^bits ^ entry[3] ^ inverted;
      end
    end
  endfunction

  // Where the carry into a place is a constant 0, its sum is the LUT's own output; the one that two
  // negative operands bring into the lowest place is in its truth table. The chain starts behind
  // the place whose carry out is constant.
  localparam SOME_NEGATIVE = NEGATIVE != 0;
  localparam TWO_NEGATIVE = (NEGATIVE & (NEGATIVE - 3'd1)) != 0;
  localparam DIRECT = SOME_NEGATIVE ? 1 : 2;
  localparam FIRST = SOME_NEGATIVE && !TWO_NEGATIVE ? 0 : 1;
  localparam BLOCKS = WIDTH > FIRST ? (WIDTH - FIRST + 3) / 4 : 0;

  wire [FIRST+4*BLOCKS:0] propagate, majority;
  wire [4*BLOCKS:0] carry;
  assign majority[0] = SOME_NEGATIVE;
  assign carry[0] = 1'b0;

  genvar place;
  generate
    for (place = 0; place < FIRST + 4 * BLOCKS; place = place + 1) begin : places
      if (place < WIDTH) begin : used
        LUT6_2 #(.INIT(truth_table(NEGATIVE, TWO_NEGATIVE && place == 0))) lut (
          .I0(a[place]), .I1(b[place]), .I2(c[place]), .I3(majority[place]),
          .I4(1'b0), .I5(1'b1),
          .O5(majority[place+1]), .O6(propagate[place])
        );
        if (place < DIRECT) assign y[place] = propagate[place];
      end else begin : unused
        assign majority[place+1] = 1'b0;
        assign propagate[place] = 1'b0;
      end
    end
    for (place = 0; place < BLOCKS; place = place + 1) begin : chain
      wire [3:0] sum;
      localparam LOW = FIRST + 4 * place;
      localparam FROM = place == 0 ? DIRECT - FIRST : 0;
      localparam UPTO = WIDTH - LOW < 4 ? WIDTH - LOW : 4;
      CARRY4 carry4 (
        .CYINIT(TWO_NEGATIVE && place == 0), .CI(carry[4*place]),
        .DI(majority[LOW+:4]), .S(propagate[LOW+:4]), .O(sum), .CO(carry[4*place+1+:4])
      );
      if (UPTO > FROM) assign y[LOW+FROM+:UPTO-FROM] = sum[UPTO-1:FROM];
    end
  endgenerate
`else
  assign y = (NEGATIVE[0] ? -a : a) + (NEGATIVE[1] ? -b : b) + (NEGATIVE[2] ? -c : c);
`endif
endmodule

`default_nettype wire
