// Technology map for yosys: writes every operand in the width the operation has, because linters
// and readers want to see where a sum is extended. Applied once, right before Verilog is written.

(* techmap_celltype = "$add $sub $and $or $xor" *)
module _hwgen_equal_widths_arithmetic (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  parameter _TECHMAP_CELLTYPE_ = "";
  // Nothing to do where the widths agree.
  wire _TECHMAP_FAIL_ = A_WIDTH == Y_WIDTH && B_WIDTH == Y_WIDTH;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  wire [Y_WIDTH-1:0] a, b;
  generate
    if (A_SIGNED) assign a = $signed(A); else assign a = A;
    if (B_SIGNED) assign b = $signed(B); else assign b = B;
    case (_TECHMAP_CELLTYPE_)
      "$add": assign Y = a + b;
      "$sub": assign Y = a - b;
      "$and": assign Y = a & b;
      "$or": assign Y = a | b;
      "$xor": assign Y = a ^ b;
    endcase
  endgenerate
endmodule

(* techmap_celltype = "$lt $le $eq $ne $ge $gt" *)
module _hwgen_equal_widths_comparison (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  parameter _TECHMAP_CELLTYPE_ = "";
  localparam WIDTH = A_WIDTH > B_WIDTH ? A_WIDTH : B_WIDTH;
  wire _TECHMAP_FAIL_ = A_WIDTH == B_WIDTH;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output Y;
  wire [WIDTH-1:0] a, b;
  wire signed [WIDTH-1:0] sa = a, sb = b;
  generate
    if (A_SIGNED) assign a = $signed(A); else assign a = A;
    if (B_SIGNED) assign b = $signed(B); else assign b = B;
    case (_TECHMAP_CELLTYPE_)
      "$lt": if (A_SIGNED) assign Y = sa < sb; else assign Y = a < b;
      "$le": if (A_SIGNED) assign Y = sa <= sb; else assign Y = a <= b;
      "$eq": assign Y = a == b;
      "$ne": assign Y = a != b;
      "$ge": if (A_SIGNED) assign Y = sa >= sb; else assign Y = a >= b;
      "$gt": if (A_SIGNED) assign Y = sa > sb; else assign Y = a > b;
    endcase
  endgenerate
endmodule

(* techmap_celltype = "$logic_not" *)
module _hwgen_equal_widths_is_zero (A, Y);
  parameter A_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter Y_WIDTH = 1;
  input [A_WIDTH-1:0] A;
  output Y;
  generate
    if (A_WIDTH == 1) assign Y = ~A; else assign Y = A == {A_WIDTH{1'b0}};
  endgenerate
endmodule

(* techmap_celltype = "$neg" *)
module _hwgen_equal_widths_negation (A, Y);
  parameter A_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter Y_WIDTH = 1;
  wire _TECHMAP_FAIL_ = A_WIDTH == Y_WIDTH;
  input [A_WIDTH-1:0] A;
  output [Y_WIDTH-1:0] Y;
  wire [Y_WIDTH-1:0] a;
  generate
    if (A_SIGNED) assign a = $signed(A); else assign a = A;
  endgenerate
  assign Y = -a;
endmodule

(* techmap_celltype = "$shr" *)
module _hwgen_equal_widths_shift (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  wire _TECHMAP_FAIL_ = A_SIGNED != 0 || B_SIGNED != 0 || A_WIDTH >= Y_WIDTH;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  wire [Y_WIDTH-1:0] a = A;
  assign Y = a >> B;
endmodule
