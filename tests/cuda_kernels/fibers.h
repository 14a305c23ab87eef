// The threads of a block as fibers of one thread of the CPU.
//
// A fiber runs until it must wait for others, then others of its warp do, so that a warp runs ahead of the rest as far
// as barriers let it. Where no barrier says which of two accesses to shared memory comes first, the order of the fibers
// decides, and a kernel that lacks a barrier gives another result when they run backward. Fibers that wait for others
// that never come end the program.

#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <ucontext.h>
#include <vector>

[[noreturn]] inline void fail(const char *why) {
  fprintf(stderr, "%s\n", why);
  // Nothing is cleaned up: this may be the stack of a fiber.
  _Exit(1);
}

// Threads that wait for each other, a warp or a block.
struct Group {
  int size = 0, arrived = 0;
  unsigned meetings = 0;
  // What each brought to this meeting, and to the one before, which some may still have to read.
  alignas(16) unsigned char brought[2][24 * 1024];
};

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  // The group that it waits for, until this meeting has ended.
  const Group *group;
  unsigned meeting;
  bool ended;

  bool can_run() const { return !ended && (!group || group->meetings != meeting); }
};

class Block {
public:
  static constexpr int WARP = 32;

  // The block that runs.
  static inline Block *current;

  // A block of whole warps.
  Block(int threads, bool backward) : backward(backward), fibers(threads), warps(threads / WARP) {
    for (Fiber &fiber : fibers) fiber.stack.reset(new char[STACK]);
    for (Group &warp : warps) warp.size = WARP;
    all.size = threads;
  }

  // Runs a kernel in all threads.
  void run(const std::function<void()> &in_each) {
    current = this;
    kernel = &in_each;
    for (Fiber &fiber : fibers) {
      fiber.group = nullptr;
      fiber.ended = false;
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = fiber.stack.get();
      fiber.context.uc_stack.ss_size = STACK;
      makecontext(&fiber.context, begin, 0);
    }
    running = backward ? (int)fibers.size() - 1 : 0;
    swapcontext(&outside, &fibers[running].context);
  }

  int threads() const { return (int)fibers.size(); }

  // The thread that runs, and its place in its warp.
  int thread() const { return running; }
  int lane() const { return running % WARP; }

  // Waits for the other threads of the warp, and gives what they bring, by lane: until the next meeting.
  template <class T> const T *meet_warp(T value) { return meet(warps[running / WARP], lane(), value); }

  // The same for all threads of the block.
  template <class T> const T *meet_block(T value) { return meet(all, running, value); }

private:
  static constexpr size_t STACK = 64 << 10;

  template <class T> const T *meet(Group &group, int place, T value) {
    Fiber &fiber = fibers[running];
    T *brought = (T *)group.brought[group.meetings % 2];
    brought[place] = value;
    if (++group.arrived == group.size) {
      group.arrived = 0;
      group.meetings++;
    } else {
      fiber.group = &group;
      fiber.meeting = group.meetings;
      let_others_run();
    }
    return brought;
  }

  // Goes on with the next fiber that can run; when all have ended, outside.
  void let_others_run() {
    const int from = running;
    int next = next_of(from / WARP * WARP, WARP);
    if (next < 0) next = next_of(0, threads());
    if (next >= 0) {
      running = next;
      swapcontext(&fibers[from].context, &fibers[next].context);
      return;
    }
    if (!std::all_of(fibers.begin(), fibers.end(), [](const Fiber &fiber) { return fiber.ended; }))
      fail("threads of a block wait for others that never come");
    swapcontext(&fibers[from].context, &outside);
  }

  // The next fiber that can run, in a circle of `count` from `first` on; none: -1.
  int next_of(int first, int count) const {
    for (int i = 1; i <= count; i++) {
      const int next = first + (running - first + (backward ? count - i : i)) % count;
      if (fibers[next].can_run()) return next;
    }
    return -1;
  }

  static void begin() {
    (*current->kernel)();
    current->fibers[current->running].ended = true;
    current->let_others_run();
  }

  bool backward;
  std::vector<Fiber> fibers;
  std::vector<Group> warps;
  Group all;
  const std::function<void()> *kernel = nullptr;
  int running = 0;
  ucontext_t outside;
};
