#include <cblas.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>

// Gives memory that was freed back to the system, also what lies between blocks that are in use.
static inline void spo_return_freed_memory(void) {
  malloc_trim(0);
}

// Asks the system to back a block by huge pages, where it has them and leaves the choice to programs.
//
// A block that begins or ends within one shares it with its neighbours.
static inline void spo_prefer_huge_pages(void *address, size_t count) {
  const uintptr_t size = 2 << 20;
  const uintptr_t first = (uintptr_t)address & ~(size - 1);
  const uintptr_t end = ((uintptr_t)address + count + size - 1) & ~(size - 1);
  madvise((void *)first, end - first, MADV_HUGEPAGE);
}

// Makes blocks of fewer than so many bytes neighbours, whose memory is asked for much at a time, so that they can
// share huge pages.
static inline void spo_keep_blocks_together(size_t count) {
  mallopt(M_MMAP_THRESHOLD, (int)count);
  mallopt(M_TOP_PAD, 16 << 20);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

// Whether the kernels were built for 32 registers of 16 floats.
static inline int spo_has_wide_registers(void) {
#ifdef __AVX512F__
  return 1;
#else
  return 0;
#endif
}

// The same address, of which the compiler does not know how it came about.
//
// It would otherwise keep the address of every row that a loop reads, and run out of registers for them.
static inline const float *spo_opaque(const float *address) {
  __asm__("" : "+r"(address));
  return address;
}

// Asks for the cache line of an address that will be read soon, wherever it points.
static inline void spo_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }

// Tells the processor that a loop waits for another thread.
static inline void spo_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// What the kernels were built to use, in the names of /proc/cpuinfo.
static inline const char *spo_instruction_sets(void) {
  return ""
#ifdef __AVX__
         "avx "
#endif
#ifdef __AVX2__
         "avx2 "
#endif
#ifdef __FMA__
         "fma "
#endif
#ifdef __F16C__
         "f16c "
#endif
#ifdef __AVX512F__
         "avx512f "
#endif
      ;
}
