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

  // Slices of 256 words; what is asked for beyond the last word is never read.
  localparam SLICES = (SIZE + 255) / 256;
  localparam HIGH = ABITS > 8 ? ABITS - 8 : 1;

  wire [7:0] address = RD_ADDR;
  wire [HIGH-1:0] slice = RD_ADDR >> 8;
  wire [SLICES*WIDTH-1:0] found;
  wire [WIDTH-1:0] word;

  genvar index, k, quarter;
  generate
    for (k = 0; k < SLICES; k = k + 1) begin : slices
      wire [4*WIDTH-1:0] parts;
      for (quarter = 0; quarter < 4; quarter = quarter + 1) begin : quarters
        if (256 * k + 64 * quarter < SIZE)
          _hwgen_rom_block #(
            .WIDTH(WIDTH), .WORDS(INIT >> (64 * WIDTH * (4 * k + quarter)))
          ) block (.address(address[5:0]), .word(parts[quarter*WIDTH+:WIDTH]));
        else assign parts[quarter*WIDTH+:WIDTH] = {WIDTH{1'b0}};
      end
      for (index = 0; index < WIDTH; index = index + 1) begin : columns
        wire low, high;
        // A multiplexer with one input would be a waste.
        if (SIZE - 256 * k > 64)
          MUXF7 mux_low (
            .I0(parts[index]), .I1(parts[WIDTH+index]), .S(address[6]), .O(low)
          );
        else assign low = parts[index];
        if (SIZE - 256 * k > 192)
          MUXF7 mux_high (
            .I0(parts[2*WIDTH+index]), .I1(parts[3*WIDTH+index]), .S(address[6]), .O(high)
          );
        else assign high = parts[2*WIDTH+index];
        if (SIZE - 256 * k > 128)
          MUXF8 mux (.I0(low), .I1(high), .S(address[7]), .O(found[index*SLICES+k]));
        else assign found[index*SLICES+k] = low;
      end
    end
    for (index = 0; index < WIDTH; index = index + 1) begin : words
      wire [SLICES-1:0] own = found[index*SLICES+:SLICES];
      if (SLICES == 1) assign word[index] = own[0];
      else assign word[index] = own >> slice;
    end
    if (RD_CLK_ENABLE) begin
      reg [WIDTH-1:0] held;
      always @(posedge RD_CLK[0]) if (RD_EN[0]) held <= word;
      assign RD_DATA = held;
    end else
      assign RD_DATA = word;
  endgenerate
endmodule

// 64 words, divided into groups of columns: yosys copies all the words for each bit that it reads.
module _hwgen_rom_block (address, word);
  parameter WIDTH = 1;
  parameter WORDS = 64'h0;
  localparam GROUP = 16;
  input [5:0] address;
  output [WIDTH-1:0] word;

  localparam [64*WIDTH-1:0] ALL = WORDS;

  function [64*GROUP-1:0] group_of(input integer first);
    integer entry;
    begin
      for (entry = 0; entry < 64; entry = entry + 1)
        group_of[GROUP*entry+:GROUP] = ALL >> (entry * WIDTH + first);
    end
  endfunction

  genvar first;
  generate
    for (first = 0; first < WIDTH; first = first + GROUP) begin : groups
      localparam COLUMNS = WIDTH - first < GROUP ? WIDTH - first : GROUP;
      _hwgen_rom_columns #(.WIDTH(COLUMNS), .WORDS(group_of(first))) columns (
        .address(address), .word(word[first+:COLUMNS])
      );
    end
  endgenerate
endmodule

// Up to 16 columns of 64 words: a LUT each.
module _hwgen_rom_columns (address, word);
  parameter WIDTH = 1;
  parameter WORDS = 1024'h0;
  input [5:0] address;
  output [WIDTH-1:0] word;
  localparam [1023:0] ALL = WORDS;

  // Bit `index` of each word, as the truth table of a LUT.
  function [63:0] column(input integer index);
    integer entry;
    begin
      for (entry = 0; entry < 64; entry = entry + 1) column[entry] = ALL[entry*16+index];
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
