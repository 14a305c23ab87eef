// Runs one kernel of `kernels.cu` on the CPU: `host KERNEL GRID_X GRID_Y THREADS forward|backward`.
//
// Read from standard input, all numbers little-endian: the number of buffers (u64); of each buffer its length (u64),
// the number of the buffer that its words are offsets into (u64; all ones for none: then they are no addresses) and its
// bytes; then the kernel's arguments in order, four bytes each: an int, a float, or the number of a buffer (u32; all
// ones for a null pointer). Written to standard output: the bytes of all buffers after the run. Behind the end of each
// buffer lies memory that may not be touched. Blocks run one after the other, in the order of their threads.

#include "../../src/lm/candle/cuda/kernels.cu"

#include <string>
#include <sys/mman.h>
#include <tuple>
#include <unistd.h>

template <class T> T read() {
  T value;
  if (fread(&value, sizeof value, 1, stdin) != 1) fail("the input ends too soon");
  return value;
}

struct Buffer {
  char *bytes;
  u64 length, points_into;
};
static std::vector<Buffer> buffers;
constexpr u64 NONE = ~0ull;

static void read_buffers() {
  const u64 page = sysconf(_SC_PAGESIZE);
  buffers.resize(read<u64>());
  for (Buffer &buffer : buffers) {
    buffer.length = read<u64>();
    buffer.points_into = read<u64>();
    const u64 room = (buffer.length + page - 1) / page * page;
    char *memory = (char *)mmap(nullptr, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + room, page, PROT_NONE) != 0) fail("no memory for a buffer");
    buffer.bytes = memory + room - buffer.length;
    if (fread(buffer.bytes, 1, buffer.length, stdin) != buffer.length) fail("the input ends too soon");
  }
}

// Makes addresses of offsets, or offsets of addresses.
static void relocate(bool to_addresses) {
  for (const Buffer &buffer : buffers) {
    if (buffer.points_into == NONE) continue;
    const u64 base = (u64)buffers.at(buffer.points_into).bytes;
    for (u64 *word = (u64 *)buffer.bytes; (char *)word < buffer.bytes + buffer.length; word++) *word += to_addresses ? base : -base;
  }
}

template <class T> struct Argument {
  static T read() { return ::read<T>(); }
};
template <class T> struct Argument<T *> {
  static T *read() {
    const u32 number = ::read<u32>();
    return number == ~0u ? nullptr : (T *)buffers.at(number).bytes;
  }
};

template <class... Types> std::function<void()> with_arguments(void (*kernel)(Types...)) {
  const std::tuple<Types...> arguments{Argument<Types>::read()...};
  return [=] { std::apply(kernel, arguments); };
}

static std::function<void()> call_of(const std::string &name) {
#define KERNEL(kernel)                                                                                                          \
  if (name == #kernel) return with_arguments(kernel);
  KERNEL(embed)
  KERNEL(gather)
  KERNEL(rms_norm)
  KERNEL(multiply_1_2)
  KERNEL(multiply_2_2)
  KERNEL(multiply_4_2)
  KERNEL(multiply_4_4)
  KERNEL(place)
  KERNEL(attend_1)
  KERNEL(attend_2)
  KERNEL(attend_4)
  KERNEL(gated)
  KERNEL(chunk_largest)
  KERNEL(chunk_masses)
  KERNEL(likeliest_chunks)
  KERNEL(copy_pages)
  fail("no such kernel");
}

int main(int count, char **words) {
  if (count != 6) fail("usage: host KERNEL GRID_X GRID_Y THREADS forward|backward");
  const unsigned columns = atoi(words[2]), rows = atoi(words[3]), threads = atoi(words[4]);
  const bool backward = std::string(words[5]) == "backward";
  if (threads % Block::WARP != 0) fail("a block is of whole warps");
  read_buffers();
  const std::function<void()> call = call_of(words[1]);
  if (fgetc(stdin) != EOF) fail("arguments are left over");
  relocate(true);
  Block block(threads, backward);
  for (unsigned i = 0; i < columns * rows; i++) {
    const unsigned number = backward ? columns * rows - 1 - i : i;
    blockIdx = {number % columns, number / columns};
    block.run(call);
  }
  relocate(false);
  for (const Buffer &buffer : buffers) fwrite(buffer.bytes, 1, buffer.length, stdout);
  return fflush(stdout) == 0 ? 0 : 1;
}
