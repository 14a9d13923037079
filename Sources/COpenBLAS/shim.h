#include <cblas.h>

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
