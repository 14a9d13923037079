// Ends the process, with a line that says why, if the processor lacks something that the program was built
// to use: better than the signal that it would end with.
//
// Built for any processor and run before `main`, which may begin with such an instruction.
#if defined(__x86_64__)
#include <string.h>
#include <unistd.h>
__attribute__((constructor, noinline, target("no-sse3,no-avx,no-bmi,no-bmi2,no-lzcnt,no-popcnt,no-movbe")))
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
