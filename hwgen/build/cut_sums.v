// Technology map for yosys: a sum of which only as many bits are used as its operands have.
//
// Amaranth gives every sum one bit more. `wreduce` would drop it, but also look through the sign
// extension of the operands and split a sum of three numbers at a place where no synthesizer sees
// one addition any more. Applied to what the attribute `three_operands` selects.

(* techmap_celltype = "$add $sub" *)
module _hwgen_cut_sum (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  parameter _TECHMAP_CELLTYPE_ = "";
  wire _TECHMAP_FAIL_ = A_WIDTH != B_WIDTH || Y_WIDTH <= A_WIDTH;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  generate
    case (_TECHMAP_CELLTYPE_)
      "$add": assign Y[A_WIDTH-1:0] = A + B;
      "$sub": assign Y[A_WIDTH-1:0] = A - B;
    endcase
  endgenerate
  assign Y[Y_WIDTH-1:A_WIDTH] = {(Y_WIDTH - A_WIDTH){1'bx}};
endmodule
