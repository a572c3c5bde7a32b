// Small read-only memories become one LUT6 a bit, before logic optimisation can see them.
//
// Left to abc, the columns of a wide ROM share sub-expressions and a 64-word ROM takes three to
// four LUTs a bit instead of the one that Vivado's ROM64X1 is.
//
// Techmap for yosys' $mem_v2: no write port, one read port, at most 64 words.

(* techmap_celltype = "$mem_v2" *)
module _hwgen_small_rom (RD_CLK, RD_EN, RD_ARST, RD_SRST, RD_ADDR, RD_DATA, WR_CLK, WR_EN, WR_ADDR, WR_DATA);
  parameter MEMID = "";
  parameter signed SIZE = 1;
  parameter signed OFFSET = 0;
  parameter signed ABITS = 1;
  parameter signed WIDTH = 1;
  parameter signed INIT = 1'bx;
  parameter signed RD_PORTS = 1;
  parameter RD_CLK_ENABLE = 1'b1;
  parameter RD_CLK_POLARITY = 1'b1;
  parameter RD_TRANSPARENCY_MASK = 1'b0;
  parameter RD_COLLISION_X_MASK = 1'b0;
  parameter RD_WIDE_CONTINUATION = 1'b0;
  parameter RD_CE_OVER_SRST = 1'b0;
  parameter RD_ARST_VALUE = 1'b0;
  parameter RD_SRST_VALUE = 1'b0;
  parameter RD_INIT_VALUE = 1'bx;
  parameter signed WR_PORTS = 1;
  parameter WR_CLK_ENABLE = 1'b1;
  parameter WR_CLK_POLARITY = 1'b1;
  parameter WR_PRIORITY_MASK = 1'b0;
  parameter WR_WIDE_CONTINUATION = 1'b0;

  localparam READS = RD_PORTS < 1 ? 1 : RD_PORTS;
  localparam WRITES = WR_PORTS < 1 ? 1 : WR_PORTS;

  input [READS-1:0] RD_CLK, RD_EN, RD_ARST, RD_SRST;
  input [READS*ABITS-1:0] RD_ADDR;
  output [READS*WIDTH-1:0] RD_DATA;
  input [WRITES-1:0] WR_CLK;
  input [WRITES*WIDTH-1:0] WR_EN, WR_DATA;
  input [WRITES*ABITS-1:0] WR_ADDR;

  wire _TECHMAP_FAIL_ = WR_PORTS != 0 || RD_PORTS != 1 || ABITS > 6 || OFFSET != 0
    || RD_WIDE_CONTINUATION != 0 || (RD_CLK_ENABLE && !RD_CLK_POLARITY);

  wire [5:0] address = RD_ADDR;
  wire [WIDTH-1:0] word;

  // Bit `index` of every word, as the truth table of a LUT. The body is evaluated for memories of
  // any size, also those refused above: nothing may be written beyond bit 63.
  function [63:0] column(input integer index);
    integer entry;
    begin
      column = 64'h0;
      for (entry = 0; entry < (SIZE < 64 ? SIZE : 64); entry = entry + 1)
        column[entry] = INIT[entry * WIDTH + index];
    end
  endfunction

  genvar index;
  generate
    for (index = 0; index < WIDTH; index = index + 1) begin : columns
      LUT6 #(.INIT(column(index))) lut (
        .I0(address[0]), .I1(address[1]), .I2(address[2]),
        .I3(address[3]), .I4(address[4]), .I5(address[5]),
        .O(word[index])
      );
    end
    if (RD_CLK_ENABLE) begin
      reg [WIDTH-1:0] held;
      always @(posedge RD_CLK[0]) if (RD_EN[0]) held <= word;
      assign RD_DATA = held;
    end else
      assign RD_DATA = word;
  endgenerate
endmodule

// A constant indexed by six bits is one LUT6 too.
//
// Left to abc the same comes out, but only after a minute for a thousand of them. Techmap for
// yosys' $shr of a constant of at most 64 bits, of which the lowest bit is used.

(* techmap_celltype = "$shr" *)
module _hwgen_lookup (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  parameter _TECHMAP_CONSTMSK_A_ = 1'b0;
  parameter _TECHMAP_CONSTVAL_A_ = 1'b0;

  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;

  // With fewer bits there is room for what follows: that is left to abc.
  wire _TECHMAP_FAIL_ = Y_WIDTH != 1 || B_WIDTH != 6 || A_WIDTH > 64
    || A_SIGNED != 0 || B_SIGNED != 0 || ~&_TECHMAP_CONSTMSK_A_;

  localparam [63:0] TABLE = _TECHMAP_CONSTVAL_A_;
  wire [5:0] index = B;
  LUT6 #(.INIT(TABLE)) lut (
    .I0(index[0]), .I1(index[1]), .I2(index[2]),
    .I3(index[3]), .I4(index[4]), .I5(index[5]),
    .O(Y[0])
  );
endmodule
