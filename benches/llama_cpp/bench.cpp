// What llama.cpp costs on the same file and machine: the peer of `benches/lm.rs`, and its table.
//
// Outside the crate's dependencies. The sources of llama.cpp come with the PyPI package llama-cpp-python
// (`vendor/llama.cpp` in its source distribution); of their build only the libraries are needed:
//
//     cmake -B build -DGGML_NATIVE=ON -DLLAMA_BUILD_COMMON=OFF && cmake --build build --target llama
//     g++ -O2 -std=c++17 bench.cpp -I include -I ggml/include -L build/bin -lllama -lggml -lggml-base \
//         -Wl,-rpath,$PWD/build/bin -o bench
//     ./bench model.gguf 2                    # the file, threads
//     ./bench model.gguf 2 requantised.gguf   # writes it as Q4_0, llama.cpp's best format, and measures that
//
// Particles share their prompt (llama_memory_seq_cp into a unified cache), and each decodes one token a
// step. Figures are medians of steps, then of interleaved rounds.

#include "llama.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

static const int ROUNDS = 3, STEPS = 8, MOST = 32;
static const std::vector<int> PROMPTS = {100, 128, 400, 1000}, PARTICLES = {1, 4, 8, 16, 32};

static double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

static double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

static llama_token token(int place, int seed, int vocabulary) {
    return (llama_token) ((place * 7919LL + seed * 104729LL + 11) % vocabulary);
}

static void add(llama_batch & batch, llama_token token, int position, int sequence, bool wants_logits) {
    const int n = batch.n_tokens++;
    batch.token[n] = token;
    batch.pos[n] = position;
    batch.n_seq_id[n] = 1;
    batch.seq_id[n][0] = sequence;
    batch.logits[n] = wants_logits;
}

// Seconds that a decoding takes; ends the program where it fails.
static double decode(llama_context * context, llama_batch & batch) {
    const double start = now();
    if (llama_decode(context, batch) != 0) {
        fprintf(stderr, "llama_decode failed\n");
        exit(1);
    }
    llama_synchronize(context);
    return now() - start;
}

static double prefill(llama_context * context, llama_batch & batch, int length, int seed, int vocabulary) {
    llama_memory_clear(llama_get_memory(context), true);
    batch.n_tokens = 0;
    for (int i = 0; i < length; i++) add(batch, token(i, seed, vocabulary), i, 0, i == length - 1);
    return decode(context, batch);
}

int main(int count, char ** arguments) {
    if (count < 3) {
        fprintf(stderr, "usage: %s MODEL.gguf THREADS [REQUANTISED.gguf]\n", arguments[0]);
        return 2;
    }
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    llama_backend_init();
    const char * path = arguments[1];
    const int threads = atoi(arguments[2]);
    if (count > 3) {
        llama_model_quantize_params params = llama_model_quantize_default_params();
        params.ftype = LLAMA_FTYPE_MOSTLY_Q4_0;
        params.allow_requantize = true;
        if (llama_model_quantize(path, arguments[3], &params) != 0) return 1;
        path = arguments[3];
    }
    const double start = now();
    llama_model * model = llama_model_load_from_file(path, llama_model_default_params());
    if (!model) return 1;
    llama_context_params params = llama_context_default_params();
    params.n_ctx = 2048;
    params.n_batch = params.n_ubatch = 1024;
    params.n_seq_max = MOST;
    params.kv_unified = true;
    params.n_threads = params.n_threads_batch = threads;
    llama_context * context = llama_init_from_model(model, params);
    if (!context) return 1;
    printf("llama.cpp, %d threads: loaded in %.0f ms\n", threads, (now() - start) * 1e3);

    const int vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
    llama_batch batch = llama_batch_init(1024, 0, 1);
    std::vector<double> prompts;
    std::vector<std::vector<double>> cells(PROMPTS.size() * PARTICLES.size());
    for (int round = 0; round < ROUNDS; round++) {
        prompts.push_back(128 / prefill(context, batch, 128, 1000 + round, vocabulary));
        size_t cell = 0;
        for (int prompt : PROMPTS) {
            for (int particles : PARTICLES) {
                prefill(context, batch, prompt, 0, vocabulary);
                for (int i = 1; i < particles; i++) llama_memory_seq_cp(llama_get_memory(context), 0, i, -1, -1);
                std::vector<double> steps;
                for (int step = 0; step < STEPS; step++) {
                    batch.n_tokens = 0;
                    for (int i = 0; i < particles; i++) add(batch, token(i, step + 1, vocabulary), prompt + step, i, true);
                    steps.push_back(decode(context, batch));
                }
                cells[cell++].push_back(particles / median(steps));
            }
        }
    }
    printf("tokens/s; a prompt of 128: %.0f\nshared prompt", median(prompts));
    for (int particles : PARTICLES) printf("%8d", particles);
    size_t cell = 0;
    for (int prompt : PROMPTS) {
        printf("\n%13d", prompt);
        for (size_t i = 0; i < PARTICLES.size(); i++) printf("%8.0f", median(cells[cell++]));
    }
    printf("\n");
    llama_batch_free(batch);
    llama_free(context);
    llama_model_free(model);
}
