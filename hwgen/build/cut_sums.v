// Technology map for yosys: drops the top bit of a sum, of which nobody reads it.
//
// Amaranth gives every sum one bit more than its wider operand. `wreduce` would drop it, but also
// look through the sign extension of the operands and split a sum of three numbers at a place
// where no synthesizer sees one addition any more. Applied to what drives wires with the attribute
// `three_operands`, which are as wide as the operands before Amaranth left out leading zeros.

(* techmap_celltype = "$add $sub" *)
module _hwgen_cut_sum (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 2;
  parameter _TECHMAP_CELLTYPE_ = "";
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  wire [Y_WIDTH-2:0] a, b;
  generate
    if (A_SIGNED) assign a = $signed(A); else assign a = A;
    if (B_SIGNED) assign b = $signed(B); else assign b = B;
    case (_TECHMAP_CELLTYPE_)
      "$add": assign Y[Y_WIDTH-2:0] = a + b;
      "$sub": assign Y[Y_WIDTH-2:0] = a - b;
    endcase
  endgenerate
  assign Y[Y_WIDTH-1] = 1'bx;
endmodule
