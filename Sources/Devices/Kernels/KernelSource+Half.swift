extension KernelSource {
  /// What a warp does on tensor cores with numbers of binary16 in local memory: two factors of 16 elements, which it
  /// reads as matrices of 8 x 8.
  ///
  /// Off NVIDIA's devices the same goes through local memory, as in ``tiles``, which stand before it.
  static let halfTiles = #"""

    #ifdef __OPENCL_VERSION__
    #define ALIGNED __attribute__((aligned(16)))
    #else
    #define ALIGNED __align__(16)
    #endif
    // What is copied at once, 16 bytes.
    #define CHUNK 8

    #ifndef __OPENCL_VERSION__
    DEVICE uint localAddress(const void *place) { return (uint)__cvta_generic_to_shared(place); }

    // 16 bytes to local memory, or as many zeros; there after AWAIT_COPIES and SYNC.
    DEVICE void copyChunk(ushort *target, const ushort *source, int isInside) {
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
        :: "r"(localAddress(target)), "l"(source), "r"(isInside ? 16 : 0) : "memory");
    }
    #define END_COPIES asm volatile("cp.async.commit_group;" ::: "memory")
    // All but the last `count` that were ended.
    #define AWAIT_COPIES(count) asm volatile("cp.async.wait_group %0;" :: "n"(count) : "memory")

    // Four matrices of 8 x 8, of which each work item gives the place of a row of eight: 0 to 7 those of the first.
    // It has elements 2 t and 2 t + 1 of row g of each, with g = LANE / 4, t = LANE % 4.
    DEVICE void loadMatrices(uint *r, const ushort *tile, int place, uint *exchange) {
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
        : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(localAddress(tile + place)) : "memory");
    }
    // The same with each matrix transposed.
    DEVICE void loadTransposed(uint *r, const ushort *tile, int place, uint *exchange) {
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
        : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(localAddress(tile + place)) : "memory");
    }

    // d += a b of 16 x 16 and 16 x 8, as the PTX manual lays out m16n8k16, k being 2 t and 2 t + 1, or 8 more:
    // a: (g, k), (g + 8, k), (g, k + 8), (g + 8, k + 8); b: (k, g), (k + 8, g); d: rows g, g + 8 by columns 2 t, 2 t + 1.
    DEVICE void multiplyHalves(float *d, const uint *a, const uint *b, uint *exchange) {
      asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    }

    // What a work item of the same warp has whose number differs in one bit.
    DEVICE float fromNeighbour(float x, int bit, uint *exchange) {
      float y;
      asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 0x1f, 0xffffffff;" : "=f"(y) : "f"(x), "r"(bit));
      return y;
    }
    #define EXP2(x) exp2f(x)
    #else
    DEVICE void copyChunk(__local ushort *target, __global const ushort *source, int isInside) {
      for (int i = 0; i < CHUNK; i++) target[i] = isInside ? source[i] : (ushort)0;
    }
    #define END_COPIES
    #define AWAIT_COPIES(count)

    DEVICE void loadMatrices(uint *r, __local const ushort *tile, int place, __local uint *exchange) {
      exchange[THREAD] = (uint)place;
      SYNC;
      for (int n = 0; n < 4; n++) {
        uint row = exchange[32 * WARP + 8 * n + LANE / 4] + 2 * (LANE % 4);
        r[n] = tile[row] | (uint)tile[row + 1] << 16;
      }
      SYNC;
    }
    DEVICE void loadTransposed(uint *r, __local const ushort *tile, int place, __local uint *exchange) {
      exchange[THREAD] = (uint)place;
      SYNC;
      for (int n = 0; n < 4; n++) {
        __local const uint *rows = exchange + 32 * WARP + 8 * n + 2 * (LANE % 4);
        r[n] = tile[rows[0] + LANE / 4] | (uint)tile[rows[1] + LANE / 4] << 16;
      }
      SYNC;
    }

    DEVICE void multiplyHalves(float *d, const uint *a, const uint *b, __local uint *exchange) {
      for (int n = 0; n < 4; n++) exchange[6 * THREAD + n] = a[n];
      for (int n = 0; n < 2; n++) exchange[6 * THREAD + 4 + n] = b[n];
      SYNC;
      for (int n = 0; n < 4; n++) {
        int row = LANE / 4 + 8 * (n / 2), column = 2 * (LANE % 4) + n % 2;
        for (int k = 0; k < 8; k++) {
          uint left = exchange[6 * (32 * WARP + row % 8 * 4 + k % 4) + row / 8 + 2 * (k / 4)];
          uint right = exchange[6 * (32 * WARP + column * 4 + k % 4) + 4 + k / 4];
          d[n] = multiplyAdd(
            widenedBinary16((ushort)left), widenedBinary16((ushort)right), d[n]);
          d[n] = multiplyAdd(
            widenedBinary16((ushort)(left >> 16)), widenedBinary16((ushort)(right >> 16)), d[n]);
        }
      }
      SYNC;
    }

    DEVICE float fromNeighbour(float x, int bit, __local uint *exchange) {
      exchange[THREAD] = bitsOfFloat(x);
      SYNC;
      float y = floatOfBits(exchange[THREAD ^ bit]);
      SYNC;
      return y;
    }
    #define EXP2(x) exp2(x)
    #endif

    DEVICE uint pairOf(float first, float second) {
      return (uint)binary16(first) | (uint)binary16(second) << 16;
    }
    """#
}
