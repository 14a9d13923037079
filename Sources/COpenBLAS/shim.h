#include <cblas.h>
#ifdef __linux__
#include <malloc.h>
#include <sys/mman.h>
#endif

// Gives memory that was freed back to the system, also what lies between blocks that are in use.
static inline void spo_return_freed_memory(void) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

// Asks the system to back a block by huge pages, where it has them and leaves the choice to programs.
static inline void spo_prefer_huge_pages(void *address, size_t count) {
#ifdef MADV_HUGEPAGE
  madvise(address, count, MADV_HUGEPAGE);
#endif
}

// Whether the kernels were built for 32 registers of 16 floats.
static inline int spo_has_wide_registers(void) {
#ifdef __AVX512F__
  return 1;
#else
  return 0;
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

// Ends the process, with a line that says why, if the processor lacks something that the program was built
// to use: better than the signal that it would end with.
//
// Built for any processor, so that it can be called before anything else.
#if defined(__x86_64__)
#include <string.h>
#include <unistd.h>
__attribute__((noinline, target("arch=x86-64")))
static void spo_require_processor(void) {
  const char *missing = 0;
  __builtin_cpu_init();
#define SPO_REQUIRE(name) if (!missing && !__builtin_cpu_supports(name)) missing = name
#ifdef __SSE4_2__
  SPO_REQUIRE("sse4.2");
#endif
#ifdef __AVX__
  SPO_REQUIRE("avx");
#endif
#ifdef __AVX2__
  SPO_REQUIRE("avx2");
#endif
#ifdef __FMA__
  SPO_REQUIRE("fma");
#endif
#ifdef __BMI2__
  SPO_REQUIRE("bmi2");
#endif
#ifdef __AVX512F__
  SPO_REQUIRE("avx512f");
#endif
#ifdef __AVX512BW__
  SPO_REQUIRE("avx512bw");
#endif
#ifdef __AVX512DQ__
  SPO_REQUIRE("avx512dq");
#endif
#ifdef __AVX512VL__
  SPO_REQUIRE("avx512vl");
#endif
#ifdef __AVX512VBMI__
  SPO_REQUIRE("avx512vbmi");
#endif
#undef SPO_REQUIRE
  if (!missing) return;
  const char *parts[] = {
      "spo: this program was built for processors with ", missing,
      ", which this one lacks; build it here with `make build`\n"};
  for (int part = 0; part < 3; part++) {
    if (write(STDERR_FILENO, parts[part], strlen(parts[part])) < 0) break;
  }
  _exit(1);
}
#else
static inline void spo_require_processor(void) {}
#endif
