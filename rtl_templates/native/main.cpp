// Streams frames through the Verilated model of an accelerator, as fast as the model goes.
//
// Frames come as beats on standard input and leave as beats on standard output; a beat is TDATA's
// bytes, lowest first. Input frames go in back to back, the output is always ready. On a fault the
// program stops with exit code 2; whatever happens, its last line on standard error is a JSON
// object with what it counted. The same text serves every design: its numbers are arguments.

#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "Vmodel.h"
#include "verilated.h"

namespace {

constexpr int kResetCycles = 4;
constexpr size_t kBufferBytes = size_t{1} << 18;
constexpr int kFault = 2;

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "beats are copied to ports as they are");

// How frames look at one port.
struct Port {
    uint64_t beats;  // of a frame
    size_t bytes;    // of a beat
};

struct Limits {
    uint64_t patience_cycles;  // without a transfer, while one is due, are a fault
    uint64_t quiet_cycles;     // without a transfer, when none is due, end the run
    uint64_t warm_up_frames;   // after so many outputs the interval is steady
};

// Whole beats of standard input, in memory one buffer at a time.
class Source {
public:
    explicit Source(size_t beat_bytes)
        : m_beat_bytes{beat_bytes}
        , m_buffer(beat_bytes * (kBufferBytes / beat_bytes + 1)) {}

    // The beat to offer now, or nullptr after the last one.
    const uint8_t* beat() {
        if (m_at == m_end && !m_over) refill();
        return m_at == m_end ? nullptr : m_buffer.data() + m_at;
    }
    void take() { m_at += m_beat_bytes; }
    bool torn() const { return m_torn; }
    double seconds_waited() const { return m_waited.count(); }

private:
    void refill() {
        const auto start = std::chrono::steady_clock::now();
        const size_t got = std::fread(m_buffer.data(), 1, m_buffer.size(), stdin);
        m_waited += std::chrono::steady_clock::now() - start;
        m_over = got < m_buffer.size();
        m_torn = got % m_beat_bytes != 0;
        m_at = 0;
        m_end = got - got % m_beat_bytes;
    }

    size_t m_beat_bytes, m_at = 0, m_end = 0;
    bool m_over = false, m_torn = false;
    std::vector<uint8_t> m_buffer;
    std::chrono::duration<double> m_waited{0};
};

class Simulation {
public:
    Simulation(Port input, Port output, Limits limits)
        : m_input{input}
        , m_output{output}
        , m_limits{limits}
        , m_source{input.bytes}
        , m_beat(output.bytes) {}

    int run() {
        const auto start = std::chrono::steady_clock::now();
        reset();
        while (m_fault.empty() && !finished()) cycle();
        std::fflush(stdout);
        m_top->final();
        const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
        report(elapsed.count() - m_source.seconds_waited());
        return m_fault.empty() ? 0 : kFault;
    }

private:
    void reset() {
        m_top->aresetn = 0;
        m_top->m_axis_tready = 1;
        m_top->s_axis_tvalid = 0;
        m_top->s_axil_awvalid = m_top->s_axil_wvalid = m_top->s_axil_arvalid = 0;
        for (int k = 0; k < kResetCycles; ++k) {
            m_top->aclk = 0;
            m_top->eval();
            m_top->aclk = 1;
            m_top->eval();
        }
        m_top->aresetn = 1;
    }

    // Nothing is due any more, and for `quiet_cycles` nothing has come.
    bool finished() {
        if (m_source.beat() != nullptr || m_frames_out < m_frames_in) return false;
        if (m_source.torn() || m_beats_in != 0) fault("the input ends within a frame");
        if (m_beats_out != 0 || m_frames_out > m_frames_in) {
            fault("more comes out than frames went in for");
        }
        return idle_cycles() > m_limits.quiet_cycles;
    }
    uint64_t idle_cycles() const { return m_cycles - m_last_move; }

    // Both handshakes are sampled where they are settled: clock low, inputs applied.
    void cycle() {
        const uint8_t* const offered = m_source.beat();
        m_top->s_axis_tvalid = offered != nullptr;
        if (offered != nullptr) {
            std::memcpy(&m_top->s_axis_tdata, offered, m_input.bytes);
            m_top->s_axis_tlast = m_beats_in + 1 == m_input.beats;
        }
        m_top->aclk = 0;
        m_top->eval();
        const bool taken = offered != nullptr && m_top->s_axis_tready;
        if (m_top->m_axis_tvalid) receive();
        m_top->aclk = 1;
        m_top->eval();
        if (taken) send();
        ++m_cycles;
        if (idle_cycles() > m_limits.patience_cycles) check_stuck();
    }

    void send() {
        m_source.take();
        m_last_move = m_cycles;
        if (++m_beats_in == m_input.beats) {
            m_beats_in = 0;
            ++m_frames_in;
        }
    }

    void receive() {
        std::memcpy(m_beat.data(), &m_top->m_axis_tdata, m_output.bytes);
        std::fwrite(m_beat.data(), 1, m_output.bytes, stdout);
        m_last_move = m_cycles;
        const bool last = ++m_beats_out == m_output.beats;
        if (last != static_cast<bool>(m_top->m_axis_tlast)) {
            fault(last ? "TLAST is missing at the frame's last beat" : "TLAST comes too early");
            return;
        }
        if (!last) return;
        m_beats_out = 0;
        ++m_frames_out;
        if (m_frames_out == m_limits.warm_up_frames) m_cycle_warm = m_cycles;
        m_cycle_last = m_cycles;
    }

    void check_stuck() {
        if (m_source.beat() == nullptr && m_frames_out >= m_frames_in) return;
        fault("nothing has moved for " + std::to_string(idle_cycles()) + " cycles");
    }

    void fault(const std::string& what) {
        if (m_fault.empty()) m_fault = what;
    }

    void report(double seconds) const {
        std::fprintf(stderr,
                     "{\"fault\": \"%s\", \"frames_in\": %" PRIu64 ", \"frames_out\": %" PRIu64
                     ", \"beat\": %" PRIu64 ", \"cycles\": %" PRIu64 ", \"cycle_warm\": %" PRIu64
                     ", \"cycle_last\": %" PRIu64 ", \"seconds\": %.6f}\n",
                     m_fault.c_str(), m_frames_in, m_frames_out, m_beats_out, m_cycles,
                     m_cycle_warm, m_cycle_last, seconds);
    }

    const Port m_input, m_output;
    const Limits m_limits;
    Source m_source;
    std::vector<uint8_t> m_beat;
    const std::unique_ptr<Vmodel> m_top = std::make_unique<Vmodel>();
    uint64_t m_cycles = 0, m_last_move = 0, m_cycle_warm = 0, m_cycle_last = 0;
    uint64_t m_beats_in = 0, m_beats_out = 0, m_frames_in = 0, m_frames_out = 0;
    std::string m_fault;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 8) {
        std::fprintf(stderr,
                     "usage: model INPUT_BEATS INPUT_BYTES OUTPUT_BEATS OUTPUT_BYTES "
                     "PATIENCE_CYCLES QUIET_CYCLES WARM_UP_FRAMES [+plusargs]\n");
        return 1;
    }
    Verilated::commandArgs(argc, argv);
    const auto number = [argv](int k) { return std::strtoull(argv[k], nullptr, 10); };
    const Port input{number(1), static_cast<size_t>(number(2))};
    const Port output{number(3), static_cast<size_t>(number(4))};
    const Limits limits{number(5), number(6), number(7)};
    return Simulation{input, output, limits}.run();
}
