extension KernelSource {
  /// The names in which both languages agree, and sums over a work group.
  ///
  /// Sums over a group are trees of a fixed shape, so that results do not depend on scheduling.
  static let prelude = #"""
    #define GROUP_SIZE 256
    #ifdef __OPENCL_VERSION__
    #define KERNEL __kernel __attribute__((reqd_work_group_size(GROUP_SIZE, 1, 1))) void
    #define DEVICE static inline
    #define GLOBAL __global
    #define LOCAL __local
    #define LOCAL_POINTER __local
    #define UNROLL
    #define THREAD ((int)get_local_id(0))
    #define GROUP_X ((int)get_group_id(0))
    #define GROUP_Y ((int)get_group_id(1))
    #define SYNC barrier(CLK_LOCAL_MEM_FENCE)
    typedef ulong wide;
    DEVICE float widenedBinary16(ushort bits) { return vload_half(0, (const __private half *)&bits); }
    DEVICE ushort binary16(float x) {
      ushort bits;
      vstore_half_rte(x, 0, (__private half *)&bits);
      return bits;
    }
    DEVICE float floatOfBits(uint bits) { return as_float(bits); }
    DEVICE uint bitsOfFloat(float x) { return as_uint(x); }
    DEVICE float smallest(float a, float b) { return fmin(a, b); }
    DEVICE float largest(float a, float b) { return fmax(a, b); }
    DEVICE float magnitude(float x) { return fabs(x); }
    DEVICE float multiplyAdd(float a, float b, float c) { return fma(a, b, c); }
    #define EXP(x) exp(x)
    #define LOG(x) log(x)
    #define LOG1P(x) log1p(x)
    #define SQRT(x) sqrt(x)
    #define ERFC(x) erfc(x)
    #else
    typedef unsigned int uint;
    typedef unsigned short ushort;
    typedef unsigned long long wide;
    #define KERNEL extern "C" __global__ void __launch_bounds__(GROUP_SIZE, RESIDENT_GROUPS)
    // Groups for which a multiprocessor shall have registers at the same time; a kernel may say otherwise.
    #define RESIDENT_GROUPS 1
    #define DEVICE static __device__ __forceinline__
    #define GLOBAL
    #define LOCAL __shared__
    #define LOCAL_POINTER
    #define UNROLL _Pragma("unroll")
    #define THREAD ((int)threadIdx.x)
    #define GROUP_X ((int)blockIdx.x)
    #define GROUP_Y ((int)blockIdx.y)
    #define SYNC __syncthreads()
    DEVICE float widenedBinary16(ushort bits) {
      float x;
      asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
      return x;
    }
    DEVICE ushort binary16(float x) {
      ushort bits;
      asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
      return bits;
    }
    DEVICE float floatOfBits(uint bits) { return __uint_as_float(bits); }
    DEVICE uint bitsOfFloat(float x) { return __float_as_uint(x); }
    DEVICE float smallest(float a, float b) { return fminf(a, b); }
    DEVICE float largest(float a, float b) { return fmaxf(a, b); }
    DEVICE float magnitude(float x) { return fabsf(x); }
    DEVICE float multiplyAdd(float a, float b, float c) { return fmaf(a, b, c); }
    #define EXP(x) expf(x)
    #define LOG(x) logf(x)
    #define LOG1P(x) log1pf(x)
    #define SQRT(x) sqrtf(x)
    #define ERFC(x) erfcf(x)
    #endif

    #define INPUT(name) GLOBAL const float *name, wide name##Offset
    #define INDICES(name) GLOBAL const int *name, wide name##Offset
    #define OUTPUT(name) GLOBAL float *name, wide name##Offset
    #define AT(name) name += name##Offset

    // The place of a work item among those of a one-dimensional launch.
    #define ITEM ((uint)GROUP_X * GROUP_SIZE + (uint)THREAD)

    DEVICE float widenedBfloat16(ushort bits) { return floatOfBits((uint)bits << 16); }
    // To the nearest, ties to even; what is not a number stays so.
    DEVICE ushort bfloat16(float x) {
      uint bits = bitsOfFloat(x);
      if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return (ushort)(bits >> 16 | 0x40);
      return (ushort)((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
    }

    // Formats of numbers, as NumberFormat.code: 0 single precision, 1 binary16, 2 bfloat16.
    #define TYPE_0 float
    #define TYPE_1 ushort
    #define TYPE_2 ushort
    #define WIDENED_0(x) (x)
    #define WIDENED_1(x) widenedBinary16(x)
    #define WIDENED_2(x) widenedBfloat16(x)
    #define ROUNDED_0(x) (x)
    #define ROUNDED_1(x) binary16(x)
    #define ROUNDED_2(x) bfloat16(x)
    #define JOINED(a, b) a##b
    #define JOIN(a, b) JOINED(a, b)
    #define TYPE_OF(format) JOIN(TYPE_, format)
    #define WIDENED(format) JOIN(WIDENED_, format)
    #define ROUNDED(format) JOIN(ROUNDED_, format)

    // Activations have the format ACTIVATION wherever they lie; arithmetic is in single precision. Where a kernel
    // has operands of two formats, those of the other, OTHER, say so.
    #define ACTIVATIONS(name) GLOBAL const TYPE_OF(ACTIVATION) *name, wide name##Offset
    #define RESULTS(name) GLOBAL TYPE_OF(ACTIVATION) *name, wide name##Offset
    #define LOAD(name, i) WIDENED(ACTIVATION)((name)[i])
    #define STORE(name, i, x) (name)[i] = ROUNDED(ACTIVATION)(x)
    #define OTHERS(name) GLOBAL const TYPE_OF(OTHER) *name, wide name##Offset
    #define OTHER_RESULTS(name) GLOBAL TYPE_OF(OTHER) *name, wide name##Offset
    #define LOAD_OTHER(name, i) WIDENED(OTHER)((name)[i])
    #define STORE_OTHER(name, i, x) (name)[i] = ROUNDED(OTHER)(x)

    DEVICE float sigmoid(float x) { return 1 / (1 + EXP(-x)); }
    DEVICE float silu(float x) { return x / (1 + EXP(-x)); }
    // d/dx x s(x) = s (1 + x (1 - s))
    DEVICE float siluSlope(float x) {
      float s = sigmoid(x);
      return s * (1 + x * (1 - s));
    }

    DEVICE float groupSum(LOCAL_POINTER float *scratch, float x) {
      scratch[THREAD] = x;
      SYNC;
      for (int width = GROUP_SIZE / 2; width > 0; width /= 2) {
        if (THREAD < width) scratch[THREAD] += scratch[THREAD + width];
        SYNC;
      }
      float sum = scratch[0];
      SYNC;
      return sum;
    }

    DEVICE float groupLargest(LOCAL_POINTER float *scratch, float x) {
      scratch[THREAD] = x;
      SYNC;
      for (int width = GROUP_SIZE / 2; width > 0; width /= 2) {
        if (THREAD < width) scratch[THREAD] = largest(scratch[THREAD], scratch[THREAD + width]);
        SYNC;
      }
      float most = scratch[0];
      SYNC;
      return most;
    }
    """#
}
