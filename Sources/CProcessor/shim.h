// Ends the process, with a line that says why, if the processor lacks something that the program was built
// to use: better than the signal that it would end with.
//
// Built for any processor and run before `main`, which may begin with such an instruction.
#ifndef SPO_PROCESSOR_H
#define SPO_PROCESSOR_H
#include <stdint.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <string.h>
#include <unistd.h>

// Where CPUID says it; AVX10's bit N is set by this file where its version is N or later.
enum {
  spo_leaf1_ecx, spo_leaf7_ebx, spo_leaf7_ecx, spo_leaf7_edx, spo_leaf7_1_eax, spo_leaf7_1_edx,
  spo_extended_ecx, spo_avx10_version, spo_processor_word_count
};

// What of a processor's state the system has to save (XCR0): the upper halves of 256-bit registers, of 512-bit
// ones with their masks, APX's registers.
enum { spo_state_any = 0, spo_state_avx = 0x6, spo_state_avx512 = 0xe6, spo_state_apx = 0x80000 };

// A macro that the compiler defines is spelled "1", another by its name.
#define SPO_SPELLING(macro) #macro
#define SPO_SET(macro, word, bit, state, name) {name, SPO_SPELLING(macro), word, bit, state}

typedef struct {
  const char *name;
  const char *macro;
  int word, bit;
  uint32_t state;
} spo_instruction_set;

// What a compiler may use without being asked for a certain instruction, in the names of `/proc/cpuinfo`, those
// first that most others come with.
static const spo_instruction_set spo_instruction_set_table[] = {
    SPO_SET(__SSE3__, spo_leaf1_ecx, 0, spo_state_any, "sse3"),
    SPO_SET(__SSSE3__, spo_leaf1_ecx, 9, spo_state_any, "ssse3"),
    SPO_SET(__SSE4_1__, spo_leaf1_ecx, 19, spo_state_any, "sse4_1"),
    SPO_SET(__SSE4_2__, spo_leaf1_ecx, 20, spo_state_any, "sse4_2"),
    SPO_SET(__AVX__, spo_leaf1_ecx, 28, spo_state_avx, "avx"),
    SPO_SET(__AVX2__, spo_leaf7_ebx, 5, spo_state_avx, "avx2"),
    SPO_SET(__FMA__, spo_leaf1_ecx, 12, spo_state_avx, "fma"),
    SPO_SET(__F16C__, spo_leaf1_ecx, 29, spo_state_avx, "f16c"),
    SPO_SET(__AVX512F__, spo_leaf7_ebx, 16, spo_state_avx512, "avx512f"),
    SPO_SET(__AVX512DQ__, spo_leaf7_ebx, 17, spo_state_avx512, "avx512dq"),
    SPO_SET(__AVX512BW__, spo_leaf7_ebx, 30, spo_state_avx512, "avx512bw"),
    SPO_SET(__AVX512VL__, spo_leaf7_ebx, 31, spo_state_avx512, "avx512vl"),
    SPO_SET(__AVX512CD__, spo_leaf7_ebx, 28, spo_state_avx512, "avx512cd"),
    SPO_SET(__AVX512IFMA__, spo_leaf7_ebx, 21, spo_state_avx512, "avx512ifma"),
    SPO_SET(__AVX512VBMI__, spo_leaf7_ecx, 1, spo_state_avx512, "avx512vbmi"),
    SPO_SET(__AVX512VBMI2__, spo_leaf7_ecx, 6, spo_state_avx512, "avx512_vbmi2"),
    SPO_SET(__AVX512VNNI__, spo_leaf7_ecx, 11, spo_state_avx512, "avx512_vnni"),
    SPO_SET(__AVX512BITALG__, spo_leaf7_ecx, 12, spo_state_avx512, "avx512_bitalg"),
    SPO_SET(__AVX512VPOPCNTDQ__, spo_leaf7_ecx, 14, spo_state_avx512, "avx512_vpopcntdq"),
    SPO_SET(__AVX512VP2INTERSECT__, spo_leaf7_edx, 8, spo_state_avx512, "avx512_vp2intersect"),
    SPO_SET(__AVX512BF16__, spo_leaf7_1_eax, 5, spo_state_avx512, "avx512_bf16"),
    SPO_SET(__AVX512FP16__, spo_leaf7_edx, 23, spo_state_avx512, "avx512_fp16"),
    SPO_SET(__AVX10_1__, spo_avx10_version, 1, spo_state_avx512, "avx10.1"),
    SPO_SET(__AVX10_2__, spo_avx10_version, 2, spo_state_avx512, "avx10.2"),
    SPO_SET(__AVXVNNI__, spo_leaf7_1_eax, 4, spo_state_avx, "avx_vnni"),
    SPO_SET(__AVXIFMA__, spo_leaf7_1_eax, 23, spo_state_avx, "avx_ifma"),
    SPO_SET(__AVXVNNIINT8__, spo_leaf7_1_edx, 4, spo_state_avx, "avx_vnni_int8"),
    SPO_SET(__AVXNECONVERT__, spo_leaf7_1_edx, 5, spo_state_avx, "avx_ne_convert"),
    SPO_SET(__AVXVNNIINT16__, spo_leaf7_1_edx, 10, spo_state_avx, "avx_vnni_int16"),
    SPO_SET(__POPCNT__, spo_leaf1_ecx, 23, spo_state_any, "popcnt"),
    SPO_SET(__MOVBE__, spo_leaf1_ecx, 22, spo_state_any, "movbe"),
    SPO_SET(__BMI__, spo_leaf7_ebx, 3, spo_state_any, "bmi1"),
    SPO_SET(__BMI2__, spo_leaf7_ebx, 8, spo_state_any, "bmi2"),
    SPO_SET(__LZCNT__, spo_extended_ecx, 5, spo_state_any, "abm"),
    SPO_SET(__LAHF_SAHF__, spo_extended_ecx, 0, spo_state_any, "lahf_lm"),
    SPO_SET(__ADX__, spo_leaf7_ebx, 19, spo_state_any, "adx"),
    SPO_SET(__AES__, spo_leaf1_ecx, 25, spo_state_any, "aes"),
    SPO_SET(__PCLMUL__, spo_leaf1_ecx, 1, spo_state_any, "pclmulqdq"),
    SPO_SET(__VAES__, spo_leaf7_ecx, 9, spo_state_avx, "vaes"),
    SPO_SET(__VPCLMULQDQ__, spo_leaf7_ecx, 10, spo_state_avx, "vpclmulqdq"),
    SPO_SET(__GFNI__, spo_leaf7_ecx, 8, spo_state_any, "gfni"),
    SPO_SET(__SHA__, spo_leaf7_ebx, 29, spo_state_any, "sha_ni"),
    SPO_SET(__SHA512__, spo_leaf7_1_eax, 0, spo_state_avx, "sha512"),
    SPO_SET(__SM3__, spo_leaf7_1_eax, 1, spo_state_avx, "sm3"),
    SPO_SET(__SM4__, spo_leaf7_1_eax, 2, spo_state_avx, "sm4"),
    SPO_SET(__RDRND__, spo_leaf1_ecx, 30, spo_state_any, "rdrand"),
    SPO_SET(__RDSEED__, spo_leaf7_ebx, 18, spo_state_any, "rdseed"),
    SPO_SET(__MOVDIRI__, spo_leaf7_ecx, 27, spo_state_any, "movdiri"),
    SPO_SET(__MOVDIR64B__, spo_leaf7_ecx, 28, spo_state_any, "movdir64b"),
    SPO_SET(__CMPCCXADD__, spo_leaf7_1_eax, 7, spo_state_any, "cmpccxadd"),
    SPO_SET(__SSE4A__, spo_extended_ecx, 6, spo_state_any, "sse4a"),
    SPO_SET(__XOP__, spo_extended_ecx, 11, spo_state_avx, "xop"),
    SPO_SET(__FMA4__, spo_extended_ecx, 16, spo_state_avx, "fma4"),
    SPO_SET(__TBM__, spo_extended_ecx, 21, spo_state_any, "tbm"),
    SPO_SET(__APX_F__, spo_leaf7_1_edx, 21, spo_state_apx, "apx"),
};

enum {
  spo_instruction_set_count =
      sizeof(spo_instruction_set_table) / sizeof(spo_instruction_set_table[0])
};
_Static_assert(spo_instruction_set_count <= 64, "a set for each bit of a mask");

// With the instructions that every x86-64 has.
#define SPO_FOR_ANY_PROCESSOR \
  __attribute__((noinline, target("no-sse3,no-avx,no-bmi,no-bmi2,no-lzcnt,no-popcnt,no-movbe,no-gfni")))

// Those that the program was built for, a bit for each row of the table.
SPO_FOR_ANY_PROCESSOR static uint64_t spo_instruction_sets_built_for(void) {
  uint64_t built = 0;
  for (int row = 0; row < spo_instruction_set_count; row++) {
    if (spo_instruction_set_table[row].macro[0] == '1') built |= (uint64_t)1 << row;
  }
  return built;
}

// Those of `wanted` that a processor with these words lacks, or whose registers the system does not save.
SPO_FOR_ANY_PROCESSOR static uint64_t spo_instruction_sets_missing(
    uint64_t wanted, const uint32_t *words, uint64_t saved_state) {
  uint64_t missing = 0;
  for (int row = 0; row < spo_instruction_set_count; row++) {
    const spo_instruction_set *set = &spo_instruction_set_table[row];
    int is_there = words[set->word] >> set->bit & 1 && (saved_state & set->state) == set->state;
    if (!is_there) missing |= (uint64_t)1 << row;
  }
  return missing & wanted;
}

// The name of one row of the table.
SPO_FOR_ANY_PROCESSOR static const char *spo_instruction_set_name(int row) {
  return spo_instruction_set_table[row].name;
}

// What CPUID says of this processor; returns what of its state the system saves.
SPO_FOR_ANY_PROCESSOR static uint64_t spo_processor_words(uint32_t *words) {
  uint32_t a, b, c, d;
  for (int word = 0; word < spo_processor_word_count; word++) words[word] = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
  words[spo_leaf1_ecx] = c;
  uint64_t state = 0;
  if (c >> 27 & 1) {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    state = (uint64_t)high << 32 | low;
  }
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
    uint32_t last = a;
    words[spo_leaf7_ebx] = b;
    words[spo_leaf7_ecx] = c;
    words[spo_leaf7_edx] = d;
    if (last >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) {
      words[spo_leaf7_1_eax] = a;
      words[spo_leaf7_1_edx] = d;
    }
  }
  if (words[spo_leaf7_1_edx] >> 19 & 1 && __get_cpuid_count(0x24, 0, &a, &b, &c, &d)) {
    uint32_t version = b & 0xff;
    for (uint32_t bit = 1; bit < 32 && bit <= version; bit++) {
      words[spo_avx10_version] |= (uint32_t)1 << bit;
    }
  }
  if (__get_cpuid(0x80000001, &a, &b, &c, &d)) words[spo_extended_ecx] = c;
  return state;
}

SPO_FOR_ANY_PROCESSOR static int spo_complain(const char *text) {
  return write(STDERR_FILENO, text, strlen(text)) >= 0;
}

__attribute__((constructor)) SPO_FOR_ANY_PROCESSOR static void spo_require_processor(void) {
  uint32_t words[spo_processor_word_count];
  uint64_t state = spo_processor_words(words);
  uint64_t missing =
      spo_instruction_sets_missing(spo_instruction_sets_built_for(), words, state);
  if (!missing) return;
  spo_complain("spo: this program was built for processors with ");
  const char *separator = "";
  for (int row = 0; row < spo_instruction_set_count; row++) {
    if (!(missing >> row & 1)) continue;
    if (!spo_complain(separator)) break;
    spo_complain(spo_instruction_set_name(row));
    separator = ", ";
  }
  spo_complain(", which this one lacks; build it here with `make build`\n");
  _exit(1);
}
#else
static inline void spo_require_processor(void) {}
#endif
#endif
