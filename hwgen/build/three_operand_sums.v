// Sums of three numbers become `ternary_adder`, one LUT a bit; yosys by itself takes two.
//
// Techmap for yosys' $macc_v2, after `alumacc` has joined chained additions: no products, three
// addends. Places below the one where two operands meet, or a negative one begins, are wires.

(* techmap_celltype = "$macc_v2" *)
module _hwgen_three_operand_sum (A, B, C, Y);
  parameter NPRODUCTS = 0;
  parameter NADDENDS = 0;
  parameter A_WIDTHS = 16'h0000;
  parameter B_WIDTHS = 16'h0000;
  parameter C_WIDTHS = 16'h0000;
  parameter Y_WIDTH = 1;
  parameter PRODUCT_NEGATED = 1'bx;
  parameter ADDEND_NEGATED = 1'bx;
  parameter A_SIGNED = 1'bx;
  parameter B_SIGNED = 1'bx;
  parameter C_SIGNED = 1'bx;
  parameter _TECHMAP_CONSTMSK_C_ = 1'b0;
  parameter _TECHMAP_CONSTVAL_C_ = 1'b0;

  function integer total(input integer count, input [16*64-1:0] widths);
    integer k;
    begin
      total = 0;
      for (k = 0; k < count && k < 64; k = k + 1) total = total + widths[16*k+:16];
    end
  endfunction

  input [total(NPRODUCTS, A_WIDTHS)-1:0] A;
  input [total(NPRODUCTS, B_WIDTHS)-1:0] B;
  input [total(NADDENDS, C_WIDTHS)-1:0] C;
  output [Y_WIDTH-1:0] Y;

  // Three negations are one more than the chain can bring in.
  localparam FITS = NPRODUCTS == 0 && NADDENDS == 3 && ~&ADDEND_NEGATED;
  wire _TECHMAP_FAIL_ = !FITS;

  generate
    if (FITS) begin : sum
      localparam ENDS_A = C_WIDTHS[15:0];
      localparam ENDS_B = ENDS_A + C_WIDTHS[31:16];
      localparam ENDS_C = ENDS_B + C_WIDTHS[47:32];

      // Whether an operand, bits `low` to `high` - 1 of C, may have a one at this place.
      function live(input integer low, input integer high, input is_signed, input integer place);
        integer at;
        begin
          at = low + place < high ? low + place : high - 1;
          live = (is_signed || low + place < high)
            && !(_TECHMAP_CONSTMSK_C_[at] && !_TECHMAP_CONSTVAL_C_[at]);
        end
      endfunction

      function integer first_place(input integer unused);
        integer place;
        reg a, b, c, negative;
        begin
          first_place = Y_WIDTH;
          for (place = Y_WIDTH - 1; place >= 0; place = place - 1) begin
            a = live(0, ENDS_A, C_SIGNED[0], place);
            b = live(ENDS_A, ENDS_B, C_SIGNED[1], place);
            c = live(ENDS_B, ENDS_C, C_SIGNED[2], place);
            negative = |({c, b, a} & ADDEND_NEGATED[2:0]);
            if ((a & b) | (a & c) | (b & c) | negative) first_place = place;
          end
        end
      endfunction

      localparam START = first_place(0);
      wire [Y_WIDTH-1:0] a, b, c;
      if (C_SIGNED[0]) assign a = $signed(C[ENDS_A-1:0]);
      else assign a = C[ENDS_A-1:0];
      if (C_SIGNED[1]) assign b = $signed(C[ENDS_B-1:ENDS_A]);
      else assign b = C[ENDS_B-1:ENDS_A];
      if (C_SIGNED[2]) assign c = $signed(C[ENDS_C-1:ENDS_B]);
      else assign c = C[ENDS_C-1:ENDS_B];

      if (START > 0) assign Y[START-1:0] = a[START-1:0] | b[START-1:0] | c[START-1:0];
      if (START < Y_WIDTH)
        ternary_adder #(.WIDTH(Y_WIDTH - START), .NEGATIVE(ADDEND_NEGATED[2:0])) adder (
          .a(a[Y_WIDTH-1:START]), .b(b[Y_WIDTH-1:START]), .c(c[Y_WIDTH-1:START]),
          .y(Y[Y_WIDTH-1:START])
        );
    end
  endgenerate
endmodule
