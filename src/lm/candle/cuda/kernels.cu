// Kernels of a forward pass on a CUDA device.
//
// Each computes a row from that row alone, in one fixed order: sums are cut in the same places whatever the
// batch, so that a row's bits do not depend on its neighbours. Weights are f16, everything else is f32.
// `kernels.ptx` is made from this file by `compile`; `launch.rs` is the only caller and knows the shapes.
// `tests/cuda_kernels` compiles this very file for the CPU and holds its arithmetic against plain references.

#include <cuda_fp16.h>

typedef unsigned int u32;
typedef unsigned long long u64;

// Positions of a page of keys and values.
constexpr int PAGE = 16;
// Tokens of a chunk of a row.
constexpr int CHUNK = 256;
// Threads of a block, and its warps.
constexpr int THREADS = 256;
constexpr int WARPS = THREADS / 32;
constexpr u32 ALL = 0xFFFFFFFFu;

// The most elements of a head.
constexpr int HEAD = 256;

__device__ float warp_sum(float value) {
  for (int width = 16; width > 0; width /= 2) value += __shfl_xor_sync(ALL, value, width);
  return value;
}

__device__ float warp_largest(float value) {
  for (int width = 16; width > 0; width /= 2) value = fmaxf(value, __shfl_xor_sync(ALL, value, width));
  return value;
}

// The sum over the block's threads, for all of them.
__device__ float block_sum(float value) {
  __shared__ float sums[WARPS];
  value = warp_sum(value);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = 0;
  for (int warp = 0; warp < WARPS; warp++) sum += sums[warp];
  return sum;
}

// The embeddings of tokens. A block to a row.
extern "C" __global__ void embed(const __half *table, const u32 *tokens, float scale, int width, float *stream) {
  const __half *from = table + (u64)tokens[blockIdx.x] * width;
  float *to = stream + (u64)blockIdx.x * width;
  for (int i = threadIdx.x; i < width; i += THREADS) to[i] = __half2float(from[i]) * scale;
}

// Some rows of the stream, end to end. A block to a row.
extern "C" __global__ void gather(const float *stream, const u32 *rows, int width, float *to) {
  const float *from = stream + (u64)rows[blockIdx.x] * width;
  for (int i = threadIdx.x; i < width; i += THREADS) to[(u64)blockIdx.x * width + i] = from[i];
}

// Rows of root mean square 1, times `weight`; added to what is in `output` where `add` is set. A block to a row.
extern "C" __global__ void rms_norm(const float *input, const float *weight, float epsilon, int width, int add, float *output) {
  const float *row = input + (u64)blockIdx.x * width;
  float *to = output + (u64)blockIdx.x * width;
  float squares = 0;
  for (int i = threadIdx.x; i < width; i += THREADS) squares += row[i] * row[i];
  const float scale = 1.0f / sqrtf(block_sum(squares) / width + epsilon);
  for (int i = threadIdx.x; i < width; i += THREADS) {
    const float normed = row[i] * scale * weight[i];
    to[i] = add ? to[i] + normed : normed;
  }
}

// What is an instruction of the device alone has another definition there.
#ifdef __CUDACC__
// To the precision of the tensor cores: ten bits after the point.
__device__ u32 to_tf32(float value) {
  u32 bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
}

// c += a · b, for 16 rows, 8 inputs and 8 outputs: a lane has rows `lane / 4` and 8 after, inputs `lane % 4` and
// 4 after; outputs 2 * (lane % 4) and the next.
__device__ void multiply_add(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

// output[row][out] (+)= sum over inputs of activations[row][in] * weights[out][in], + bias[out].
//
// A block makes 16 * M rows of 8 * N outputs. Inputs are cut into pieces of 32, which the block's warps take in
// turn, and the warps' sums are added in order: the same cuts for any M and N. An activation is split into two
// parts that the tensor cores multiply exactly, so that products are those of f32; weights of f16 need no split.
// Which input stands at which place of a product does not matter as long as both sides agree, so a lane takes
// eight neighbours: one load of 16 bytes.
template <int M, int N>
__device__ void multiply(const float *activations, const __half *weights, const float *bias, int rows, int outputs, int inputs,
                         int add, float *output) {
  __shared__ float sums[16 * M][8 * N];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4, quarter = lane % 4;
  const int first_row = blockIdx.y * 16 * M, first_output = blockIdx.x * 8 * N;
  float c[M][N][4] = {};
  for (int piece = warp; piece < inputs / 32; piece += WARPS) {
    const int from = piece * 32 + quarter * 8;
    __half2 w[N][4];
    for (int n = 0; n < N; n++) {
      const int out = min(first_output + 8 * n + group, outputs - 1);
      *(uint4 *)w[n] = *(const uint4 *)(weights + (u64)out * inputs + from);
    }
    for (int m = 0; m < M; m++) {
      const int low = min(first_row + 16 * m + group, rows - 1), high = min(first_row + 16 * m + group + 8, rows - 1);
      float x[2][8];
      *(float4 *)&x[0][0] = *(const float4 *)(activations + (u64)low * inputs + from);
      *(float4 *)&x[0][4] = *(const float4 *)(activations + (u64)low * inputs + from + 4);
      *(float4 *)&x[1][0] = *(const float4 *)(activations + (u64)high * inputs + from);
      *(float4 *)&x[1][4] = *(const float4 *)(activations + (u64)high * inputs + from + 4);
      for (int pair = 0; pair < 4; pair++) {
        u32 coarse[4], fine[4];
        for (int i = 0; i < 4; i++) {
          const float value = x[i % 2][2 * pair + i / 2];
          coarse[i] = to_tf32(value);
          fine[i] = to_tf32(value - __uint_as_float(coarse[i]));
        }
        for (int n = 0; n < N; n++) {
          const float2 both = __half22float2(w[n][pair]);
          const u32 b[2] = {__float_as_uint(both.x), __float_as_uint(both.y)};
          multiply_add(c[m][n], fine, b);
          multiply_add(c[m][n], coarse, b);
        }
      }
    }
  }
  for (int turn = 0; turn < WARPS; turn++) {
    if (turn == warp) {
      for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++)
          for (int i = 0; i < 4; i++) {
            float &sum = sums[16 * m + group + 8 * (i / 2)][8 * n + 2 * quarter + i % 2];
            sum = turn == 0 ? c[m][n][i] : sum + c[m][n][i];
          }
    }
    __syncthreads();
  }
  for (int i = threadIdx.x; i < 16 * M * 8 * N; i += THREADS) {
    const int row = first_row + i / (8 * N), out = first_output + i % (8 * N);
    if (row < rows && out < outputs) {
      float sum = sums[i / (8 * N)][i % (8 * N)];
      if (bias) sum += bias[out];
      float &to = output[(u64)row * outputs + out];
      to = add ? to + sum : sum;
    }
  }
}

#define MULTIPLY(M, N)                                                                                                          \
  extern "C" __global__ void __launch_bounds__(THREADS) multiply_##M##_##N(                                                     \
      const float *activations, const __half *weights, const float *bias, int rows, int outputs, int inputs, int add,           \
      float *output) {                                                                                                          \
    multiply<M, N>(activations, weights, bias, rows, outputs, inputs, add, output);                                             \
  }
MULTIPLY(1, 2)
MULTIPLY(2, 2)
MULTIPLY(4, 2)
MULTIPLY(4, 4)

// Where a layer's keys and values of a head are in a page: keys `[position][element]`, then values alike.
__device__ __half *block_of(u64 page, int layer, int key_heads, int head, int size) {
  return (__half *)page + ((u64)layer * key_heads + head) * 2 * PAGE * size;
}

// Norms and turns queries and keys, and puts keys and values into their pages. `projected` holds in each row the
// heads of queries, keys and values; `rotations` the cosine and sine of each pair, position after position.
// A warp to a head: blocks are (row, head).
extern "C" __global__ void place(float *projected, const float *query_norm, const float *key_norm, float epsilon,
                                 const float2 *rotations, int pairs, int neighbours, const u64 *pages, const u32 *positions,
                                 int layer, int heads, int key_heads, int size, float score_scale) {
  __shared__ float elements[HEAD];
  const int row = blockIdx.x, lane = threadIdx.x;
  const int head = blockIdx.y < heads ? blockIdx.y : (blockIdx.y - heads) % key_heads;
  const bool query = blockIdx.y < heads, value = blockIdx.y >= heads + key_heads;
  float *from = projected + ((u64)row * (heads + 2 * key_heads) + blockIdx.y) * size;
  float squares = 0;
  for (int i = lane; i < size; i += 32) {
    elements[i] = from[i];
    squares += from[i] * from[i];
  }
  const float *norm = value ? nullptr : query ? query_norm : key_norm;
  if (norm) {
    const float scale = 1.0f / sqrtf(warp_sum(squares) / size + epsilon);
    for (int i = lane; i < size; i += 32) elements[i] *= scale * norm[i];
  }
  __syncwarp();
  if (!value) {
    for (int pair = lane; pair < pairs; pair += 32) {
      const float2 turn = rotations[(u64)positions[row] * pairs + pair];
      const int first = neighbours ? 2 * pair : pair, second = neighbours ? 2 * pair + 1 : pair + pairs;
      const float x = elements[first], y = elements[second];
      elements[first] = x * turn.x - y * turn.y;
      elements[second] = x * turn.y + y * turn.x;
    }
    __syncwarp();
  }
  if (query) {
    for (int i = lane; i < size; i += 32) from[i] = elements[i] * score_scale;
    return;
  }
  __half *to = block_of(pages[row], layer, key_heads, head, size) + (value ? PAGE * size : 0) + positions[row] % PAGE * size;
  for (int i = lane; i < size; i += 32) to[i] = __float2half_rn(elements[i]);
}

// Adds a position's values, weighted, to what a lane has of the mixture: pairs of elements.
template <int PAIRS>
__device__ void mix_in(float2 (&mix)[PAIRS], const __half *values, float weight, int size) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < PAIRS; i++) {
    if (2 * (lane + 32 * i) < size) {
      const float2 value = __half22float2(((const __half2 *)values)[lane + 32 * i]);
      mix[i].x = fmaf(weight, value.x, mix[i].x);
      mix[i].y = fmaf(weight, value.y, mix[i].y);
    }
  }
}

// Attention: blocks are (row, head). The pages that a row sees are taken by the warps in turn; each warp keeps a
// running softmax, and these are joined in order. `tables` holds the rows' pages, each row's from
// `tables[starts[row]]` on; `window` is how many positions are seen, 0 for all. Heads of up to 64 * PAIRS elements.
template <int PAIRS>
__device__ void attend(const float *projected, const u64 *tables, const u32 *starts, const u32 *positions, int layer, int heads,
                       int key_heads, int size, int window, float *output) {
  constexpr int READERS = 16;
  __shared__ float query[64 * PAIRS];
  __shared__ float mixed[READERS][64 * PAIRS];
  __shared__ float largest_of[READERS], sum_of[READERS];
  const int row = blockIdx.x, head = blockIdx.y, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const float *from = projected + ((u64)row * (heads + 2 * key_heads) + head) * size;
  for (int i = threadIdx.x; i < size; i += 32 * READERS) query[i] = from[i];
  __syncthreads();
  const int position = positions[row], first_seen = window && position + 1 > window ? position + 1 - window : 0;
  const u64 *table = tables + starts[row];
  float largest = -INFINITY, sum = 0;
  float2 mix[PAIRS] = {};
  const int first_page = first_seen / PAGE;
  for (int page = first_page + (warp + READERS - first_page % READERS) % READERS; page <= position / PAGE; page += READERS) {
    const __half *keys = block_of(table[page], layer, key_heads, head / (heads / key_heads), size), *values = keys + PAGE * size;
    // Two lanes to a position, each with half of the elements.
    const int at = lane / 2, half = lane % 2 * (size / 2), seen = page * PAGE + at;
    float score = 0;
    for (int i = 0; i < size / 2; i += 8) {
      __half2 key[4];
      *(uint4 *)key = *(const uint4 *)(keys + at * size + half + i);
      for (int pair = 0; pair < 4; pair++) {
        const float2 both = __half22float2(key[pair]);
        score = fmaf(both.x, query[half + i + 2 * pair], score);
        score = fmaf(both.y, query[half + i + 2 * pair + 1], score);
      }
    }
    score += __shfl_xor_sync(ALL, score, 1);
    // What lies in a page outside the row's own positions may be anything.
    const bool visible = seen <= position && seen >= first_seen;
    score = visible ? score : -INFINITY;
    const float largest_here = fmaxf(largest, warp_largest(score)), shrink = expf(largest - largest_here);
    const float weight = visible ? expf(score - largest_here) : 0;
    sum = sum * shrink + warp_sum(lane % 2 == 0 ? weight : 0);
    for (int i = 0; i < PAIRS; i++) mix[i] = make_float2(mix[i].x * shrink, mix[i].y * shrink);
    const int low = max(first_seen - page * PAGE, 0), high = min(position - page * PAGE, PAGE - 1);
    if (low == 0 && high == PAGE - 1) {
      // All loads at once.
#pragma unroll
      for (int other = 0; other < PAGE; other++)
        mix_in<PAIRS>(mix, values + other * size, __shfl_sync(ALL, weight, 2 * other), size);
    } else {
      for (int other = low; other <= high; other++)
        mix_in<PAIRS>(mix, values + other * size, __shfl_sync(ALL, weight, 2 * other), size);
    }
    largest = largest_here;
  }
  for (int i = 0; i < PAIRS; i++) ((float2 *)mixed[warp])[lane + 32 * i] = mix[i];
  if (lane == 0) {
    largest_of[warp] = largest;
    sum_of[warp] = sum;
  }
  __syncthreads();
  float overall = -INFINITY, total = 0;
  for (int other = 0; other < READERS; other++) overall = fmaxf(overall, largest_of[other]);
  for (int other = 0; other < READERS; other++) total += sum_of[other] * expf(largest_of[other] - overall);
  for (int i = threadIdx.x; i < size; i += 32 * READERS) {
    float element = 0;
    for (int other = 0; other < READERS; other++) element = fmaf(mixed[other][i], expf(largest_of[other] - overall), element);
    output[((u64)row * heads + head) * size + i] = element / total;
  }
}

#define ATTEND(PAIRS)                                                                                                           \
  extern "C" __global__ void __launch_bounds__(512) attend_##PAIRS(                                                             \
      const float *projected, const u64 *tables, const u32 *starts, const u32 *positions, int layer, int heads, int key_heads,  \
      int size, int window, float *output) {                                                                                    \
    attend<PAIRS>(projected, tables, starts, positions, layer, heads, key_heads, size, window, output);                         \
  }
ATTEND(1)
ATTEND(2)
ATTEND(4)

// activation(gate) * up, where a row holds all gates, then all ups. Blocks are (part of a row, row).
extern "C" __global__ void gated(const float *both, int width, int gelu, float *output) {
  const int i = blockIdx.x * THREADS + threadIdx.x;
  if (i >= width) return;
  const float x = both[(u64)blockIdx.y * 2 * width + i], up = both[((u64)blockIdx.y * 2 + 1) * width + i];
  // Both activations are x times the logistic function at `slope`: (1 + tanh u) / 2 is the logistic function at
  // 2 u, and twice the square root of 2 / pi is this.
  const float slope = gelu ? 1.595769f * fmaf(0.044715f * x * x, x, x) : x;
  output[(u64)blockIdx.y * width + i] = x / (1.0f + expf(-slope)) * up;
}

// What `next_token` sums over a chunk of a row's masses.
struct Summary {
  double sum, largest, surprise;
};

// The largest logit of each chunk, NaN where one is NaN or infinite. A warp to a chunk: blocks are (some chunks, row).
extern "C" __global__ void chunk_largest(const float *logits, int size, int chunks, float *largest) {
  const int chunk = blockIdx.x * WARPS + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (chunk >= chunks) return;
  const float *row = logits + (u64)blockIdx.y * size;
  float most = -INFINITY;
  bool broken = false;
  for (int i = chunk * CHUNK + lane; i < min(size, (chunk + 1) * CHUNK); i += 32) {
    broken |= !(row[i] < INFINITY);
    most = fmaxf(most, row[i]);
  }
  most = warp_largest(most);
  broken = __any_sync(ALL, broken);
  if (lane == 0) largest[(u64)blockIdx.y * chunks + chunk] = broken ? NAN : most;
}

// The masses of each chunk, summed: the very operations of `next_token`, in their order, so that a row summed here
// has the bits of one summed there. `rest` is what the subtraction rounded off. Sixteen lanes to a chunk: blocks are (some chunks, row).
extern "C" __global__ void chunk_masses(const float *logits, const float *largest, int size, int chunks, float *row_largest,
                                        Summary *summaries) {
  __shared__ float most_of[WARPS];
  float most = -INFINITY;
  bool broken = false;
  for (int chunk = threadIdx.x; chunk < chunks; chunk += THREADS) {
    const float here = largest[(u64)blockIdx.y * chunks + chunk];
    broken |= isnan(here);
    most = fmaxf(most, here);
  }
  most = warp_largest(most);
  if (threadIdx.x % 32 == 0) most_of[threadIdx.x / 32] = most;
  broken = __syncthreads_or(broken);
  for (int warp = 0; warp < WARPS; warp++) most = fmaxf(most, most_of[warp]);
  if (blockIdx.x == 0 && threadIdx.x == 0) row_largest[blockIdx.y] = broken ? NAN : most;
  const int chunk = blockIdx.x * (THREADS / 16) + threadIdx.x / 16, lane = threadIdx.x % 16;
  const float *row = logits + (u64)blockIdx.y * size;
  double sum = 0, greatest = 0, surprise = 0;
  for (int i = chunk * CHUNK + lane; i < min(size, (chunk + 1) * CHUNK); i += 16) {
    const float logit = row[i], exponent = __fsub_rn(logit, most), change = __fsub_rn(exponent, logit);
    const float rest = __fsub_rn(__fsub_rn(logit, __fsub_rn(exponent, change)), __fadd_rn(most, change));
    const float clamped = exponent > -700.0f ? exponent : -700.0f;
    // e^clamped as a factor near 1 and a power of two.
    const float shifted = __fmaf_rn(clamped, 1.44269504088896340736f, 12582912.0f), quotient = __fsub_rn(shifted, 12582912.0f);
    float remainder = __fmaf_rn(quotient, -0.69314575f, clamped);
    remainder = __fmaf_rn(quotient, -1.4286068e-6f, remainder);
    float factor = 1.0f / 5040.0f;
    const float coefficients[7] = {1.0f / 720.0f, 1.0f / 120.0f, 1.0f / 24.0f, 1.0f / 6.0f, 0.5f, 1.0f, 1.0f};
    for (int j = 0; j < 7; j++) factor = __fmaf_rn(factor, remainder, coefficients[j]);
    factor = __fmaf_rn(factor, rest, factor);
    factor = exponent < -700.0f ? 0.0f : factor;
    const int power = (int)(__float_as_uint(shifted) - __float_as_uint(12582912.0f));
    const double mass = __dmul_rn((double)factor, __longlong_as_double((long long)(power + 1023) << 52));
    sum = __dadd_rn(sum, mass);
    greatest = mass > greatest ? mass : greatest;
    surprise = __dadd_rn(surprise, __dmul_rn(mass, (double)clamped));
  }
  // Halves are added to each other, and halves of these.
  for (int width = 8; width > 0; width /= 2) {
    sum = __dadd_rn(sum, __shfl_down_sync(ALL, sum, width, 16));
    surprise = __dadd_rn(surprise, __shfl_down_sync(ALL, surprise, width, 16));
    const double other = __shfl_down_sync(ALL, greatest, width, 16);
    greatest = other > greatest ? other : greatest;
  }
  if (lane == 0 && chunk < chunks) summaries[(u64)blockIdx.y * chunks + chunk] = {sum, greatest, surprise};
}

// The logits of the `count` chunks of largest mass, and which these are; the first of equal ones. A block to a row.
extern "C" __global__ void likeliest_chunks(const float *logits, const Summary *summaries, int size, int chunks, int count,
                                            u32 *numbers, float *copies) {
  __shared__ double best_of[WARPS];
  __shared__ int place_of[WARPS];
  const Summary *row = summaries + (u64)blockIdx.x * chunks;
  double below = INFINITY;
  int after = -1;
  for (int rank = 0; rank < count; rank++) {
    // The largest that comes after the last one found, in order of mass and then of place.
    double best = -1;
    int place = chunks;
    for (int chunk = threadIdx.x; chunk < chunks; chunk += THREADS) {
      const double mass = row[chunk].largest;
      const bool left = mass < below || (mass == below && chunk > after);
      if (left && mass > best) {
        best = mass;
        place = chunk;
      }
    }
    for (int width = 16; width > 0; width /= 2) {
      const double other = __shfl_xor_sync(ALL, best, width);
      const int other_place = __shfl_xor_sync(ALL, place, width);
      if (other > best || (other == best && other_place < place)) {
        best = other;
        place = other_place;
      }
    }
    if (threadIdx.x % 32 == 0) {
      best_of[threadIdx.x / 32] = best;
      place_of[threadIdx.x / 32] = place;
    }
    __syncthreads();
    for (int warp = 0; warp < WARPS; warp++)
      if (best_of[warp] > best || (best_of[warp] == best && place_of[warp] < place)) {
        best = best_of[warp];
        place = place_of[warp];
      }
    __syncthreads();
    below = best;
    after = place;
    const u64 slot = (u64)blockIdx.x * count + rank;
    if (threadIdx.x == 0) numbers[slot] = place;
    const int token = place * CHUNK + threadIdx.x;
    copies[slot * CHUNK + threadIdx.x] = place < chunks && token < size ? logits[(u64)blockIdx.x * size + token] : -INFINITY;
  }
}

// A page copied: the first `positions` positions of every block of it. Blocks are (layer and head, copy).
extern "C" __global__ void copy_pages(const u64 *from, const u64 *to, const u32 *positions, int size) {
  const u64 block = (u64)blockIdx.x * 2 * PAGE * size;
  const __half *source = (const __half *)from[blockIdx.y] + block;
  __half *target = (__half *)to[blockIdx.y] + block;
  const int length = positions[blockIdx.y] * size;
  for (int i = threadIdx.x; i < length; i += THREADS) {
    target[i] = source[i];
    target[PAGE * size + i] = source[PAGE * size + i];
  }
}
