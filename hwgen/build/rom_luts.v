// Read-only memories in LUTs, before logic optimisation can see them: one LUT6 for 64 words of a bit,
// four of them joined by the slice's own multiplexers.
//
// Left to abc, the columns of a wide ROM share sub-expressions and a 64-word ROM takes three to
// four LUTs a bit instead of the one that Vivado's ROM64X1 is; deeper ones are joined by twos.
//
// Techmap for yosys' $mem_v2: no write port, one read port. Which memories, the caller selects.

(* techmap_celltype = "$mem_v2" *)
module _hwgen_rom (RD_CLK, RD_EN, RD_ARST, RD_SRST, RD_ADDR, RD_DATA, WR_CLK, WR_EN, WR_ADDR, WR_DATA);
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

  wire _TECHMAP_FAIL_ = WR_PORTS != 0 || RD_PORTS != 1 || ABITS > 16 || OFFSET != 0
    || RD_WIDE_CONTINUATION != 0 || (RD_CLK_ENABLE && !RD_CLK_POLARITY);

  // Blocks of 256 words; what is asked for beyond the last word is never read.
  localparam BLOCKS = (SIZE + 255) / 256;
  localparam HIGH = ABITS > 8 ? ABITS - 8 : 1;

  wire [7:0] address = RD_ADDR;
  wire [HIGH-1:0] block = RD_ADDR >> 8;
  wire [WIDTH-1:0] word;

  // Bit `index` of 64 words, as the truth table of a LUT.
  function [63:0] column(input integer index, input integer first);
    integer entry;
    begin
      column = 64'h0;
      for (entry = 0; entry < 64; entry = entry + 1)
        if (first + entry < SIZE) column[entry] = INIT[(first + entry) * WIDTH + index];
    end
  endfunction

  genvar index, k, quarter;
  generate
    for (index = 0; index < WIDTH; index = index + 1) begin : columns
      wire [BLOCKS-1:0] found;
      for (k = 0; k < BLOCKS; k = k + 1) begin : blocks
        wire [3:0] part;
        wire low, high;
        for (quarter = 0; quarter < 4; quarter = quarter + 1) begin : quarters
          if (256 * k + 64 * quarter < SIZE)
            LUT6 #(.INIT(column(index, 256 * k + 64 * quarter))) lut (
              .I0(address[0]), .I1(address[1]), .I2(address[2]),
              .I3(address[3]), .I4(address[4]), .I5(address[5]),
              .O(part[quarter])
            );
          else assign part[quarter] = 1'b0;
        end
        // A multiplexer with one input would be a waste.
        if (SIZE - 256 * k > 64)
          MUXF7 mux_low (.I0(part[0]), .I1(part[1]), .S(address[6]), .O(low));
        else assign low = part[0];
        if (SIZE - 256 * k > 192)
          MUXF7 mux_high (.I0(part[2]), .I1(part[3]), .S(address[6]), .O(high));
        else assign high = part[2];
        if (SIZE - 256 * k > 128)
          MUXF8 mux (.I0(low), .I1(high), .S(address[7]), .O(found[k]));
        else assign found[k] = low;
      end
      assign word[index] = BLOCKS == 1 ? found[0] : found >> block;
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
