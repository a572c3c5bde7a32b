// AMD UltraScale's DSP48E2 as yosys' synth_xilinx uses it for a product: no registers, no
// addition, P = A * B. Yosys has no model of its own.
//
// Source: AMD UG579, UltraScale Architecture DSP Slice, table 2-4 (OPMODE).
module DSP48E2 (
  input [29:0] A, ACIN,
  input [17:0] B, BCIN,
  input [47:0] C, PCIN,
  input [26:0] D,
  input [4:0] INMODE,
  input [3:0] ALUMODE,
  input [8:0] OPMODE,
  input [2:0] CARRYINSEL,
  input CARRYIN,
  output [47:0] P
);
  parameter ACASCREG = 1, ADREG = 1, ALUMODEREG = 1, AREG = 1, BCASCREG = 1, BREG = 1;
  parameter CARRYINREG = 1, CARRYINSELREG = 1, CREG = 1, DREG = 1, INMODEREG = 1, MREG = 1;
  parameter OPMODEREG = 1, PREG = 1;
  parameter A_INPUT = "DIRECT", B_INPUT = "DIRECT", AMULTSEL = "A", BMULTSEL = "B";
  parameter USE_MULT = "MULTIPLY", USE_SIMD = "ONE48";

  wire signed [26:0] a = A[26:0];
  wire signed [17:0] b = B;
  wire signed [47:0] product = a * b;
  assign P = product;

  // What is not modelled ends the simulation.
  initial begin
    if (AREG + BREG + MREG + PREG != 0) $stop;
    if (A_INPUT != "DIRECT" || B_INPUT != "DIRECT") $stop;
    if (AMULTSEL != "A" || BMULTSEL != "B" || USE_SIMD != "ONE48") $stop;
  end
  always @* if (OPMODE != 9'b00000101 || ALUMODE != 0 || INMODE != 0 || CARRYIN) $stop;
endmodule
