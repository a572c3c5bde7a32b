// Part of the bench, bound to the stream that leaves a layer: notes when each frame ends.
//
// A transfer is a cycle with valid and ready; a frame is BEATS of them. `now` counts cycles from
// the end of the reset on, `first` is that of the first transfer, ends[k] that of frame k's last.

`default_nettype none

module LayerMonitor #(
  parameter integer BEATS = 1,
  parameter integer FRAMES = 1
) (
  input wire clk,
  input wire rst,
  input wire valid,
  input wire ready
);
  reg [63:0] now;
  reg [63:0] first;
  reg [63:0] ends [0:FRAMES-1];
  reg [31:0] beat;
  reg [31:0] frame;

  always @(posedge clk) begin
    if (rst) begin
      now <= 64'd0;
      beat <= 32'd0;
      frame <= 32'd0;
    end else begin
      now <= now + 64'd1;
      if (valid && ready) begin
        if (frame == 32'd0 && beat == 32'd0) first <= now;
        if (beat == BEATS - 1) begin
          beat <= 32'd0;
          frame <= frame + 32'd1;
          if (frame < FRAMES) ends[frame] <= now;
        end else begin
          beat <= beat + 32'd1;
        end
      end
    end
  end
endmodule

`default_nettype wire
