extension KernelSource {
  /// What products and attention share: tiles in local memory and sums in registers.
  ///
  /// A group computes `TILE` x `TILE` sums, a work item `PART` x `PART` of them: those of its rows `OWN_ROW(i)` and
  /// columns `OWN_COLUMN(j)`, at `SUM(i, j)`. There are two ways to add a slice of `DEPTH` elements to them, by
  /// work items on their own or by tensor cores (`TENSOR`), which differ in who has which sums and in nothing
  /// that the kernels say.
  static let tiles =
    tensor + #"""

      #define TILE (16 * PART)
      #define DEPTH 16

      #if TENSOR
      // A group is 2 x 4 warps, whose sums are tiles of 16 x 8.
      #define OWN_ROW(i) (WARP / 4 * (TILE / 2) + 16 * ((i) / 2) + 8 * ((i) % 2) + LANE / 4)
      #define OWN_COLUMN(j) (WARP % 4 * (TILE / 4) + 8 * ((j) / 2) + 2 * (LANE % 4) + (j) % 2)
      #define SUM(i, j) (4 * ((i) / 2 * (PART / 2) + (j) / 2) + 2 * ((i) % 2) + (j) % 2)
      // Which of the 16 work items that share a row's columns.
      #define OWN_SHARE (WARP % 4 * 4 + LANE % 4)
      // Four neighbours along the depth by eight lines lie in different banks.
      #define PITCH (TILE + 8)
      #define ELEMENT_IN_ORDER (LANE % 4 + 4 * (WARP % 4))
      #define LINE_IN_ORDER (LANE / 4 + 8 * (WARP / 4))
      #define FACTOR(x) tensorNumber(x)
      #else
      // Neighbours read neighbouring words.
      #define OWN_ROW(i) (THREAD / 16 + 16 * (i))
      #define OWN_COLUMN(j) (THREAD % 16 + 16 * (j))
      #define SUM(i, j) ((i) * PART + (j))
      #define OWN_SHARE (THREAD % 16)
      // One word more than there are lines, so that a line's words lie in different banks.
      #define PITCH (TILE + 1)
      #define ELEMENT_IN_ORDER (THREAD % DEPTH)
      #define LINE_IN_ORDER (THREAD / DEPTH)
      #define FACTOR(x) (x)
      #endif
      #define PLACE(k, line) ((k) * PITCH + (line))
      #define TILE_SIZE(depth) ((depth) * PITCH)

      // The element and the line of the i-th number of a slice that a work item brings to a tile: what is next to
      // each other in memory goes to neighbours, which write to different banks.
      #define SLICE_ELEMENT(i, isByElement) \
        ((isByElement) ? ELEMENT_IN_ORDER : (THREAD + GROUP_SIZE * (i)) / TILE)
      #define SLICE_LINE(i, isByElement) \
        ((isByElement) ? LINE_IN_ORDER + GROUP_SIZE / DEPTH * (i) : (THREAD + GROUP_SIZE * (i)) % TILE)

      // Reads a slice of a matrix that has so many lines from the first of the slice on, and so many elements;
      // zeros beyond. Offsets in a slice take 32 bits, and fewer registers.
      #define DEFINE_FETCH(name, type, number) \
        DEVICE void name( \
          float *slice, GLOBAL const type *values, int lines, int elements, uint lineStride, \
          uint elementStride, int isByElement \
        ) { \
          UNROLL for (int i = 0; i < PART; i++) { \
            int k = SLICE_ELEMENT(i, isByElement), line = SLICE_LINE(i, isByElement); \
            int isInside = (line < lines) & (k < elements); \
            slice[i] = isInside ? number(values[(uint)line * lineStride + (uint)k * elementStride]) : 0; \
          } \
        }
      DEFINE_FETCH(fetchSlice, float, WIDENED(0))

      DEVICE void storeSlice(LOCAL_POINTER float *tile, const float *slice, int isByElement) {
        UNROLL for (int i = 0; i < PART; i++)
          tile[PLACE(SLICE_ELEMENT(i, isByElement), SLICE_LINE(i, isByElement))] = FACTOR(slice[i]);
      }

      // Adds left[k, row] right[k, column] over a slice.
      DEVICE void multiplySlice(
        float *sums, LOCAL_POINTER const float *left, LOCAL_POINTER const float *right,
        LOCAL_POINTER uint *exchange
      ) {
      #if TENSOR
        UNROLL for (int start = 0; start < DEPTH; start += 8) {
          uint a[PART / 2][4], b[PART / 2][2];
          int k = start + LANE % 4;
          UNROLL for (int i = 0; i < PART / 2; i++)
            UNROLL for (int n = 0; n < 4; n++)
              a[i][n] = bitsOfFloat(left[PLACE(k + 4 * (n / 2), OWN_ROW(2 * i + n % 2))]);
          UNROLL for (int j = 0; j < PART / 2; j++)
            UNROLL for (int n = 0; n < 2; n++)
              b[j][n] = bitsOfFloat(right[PLACE(k + 4 * n, WARP % 4 * (TILE / 4) + 8 * j + LANE / 4)]);
          UNROLL for (int i = 0; i < PART / 2; i++)
            UNROLL for (int j = 0; j < PART / 2; j++)
              multiplyTiles(sums + SUM(2 * i, 2 * j), a[i], b[j], exchange);
        }
      #else
        UNROLL for (int k = 0; k < DEPTH; k++) {
          float a[PART], b[PART];
          UNROLL for (int i = 0; i < PART; i++) {
            a[i] = left[PLACE(k, OWN_ROW(i))];
            b[i] = right[PLACE(k, OWN_COLUMN(i))];
          }
          UNROLL for (int i = 0; i < PART; i++)
            UNROLL for (int j = 0; j < PART; j++)
              sums[SUM(i, j)] = multiplyAdd(a[i], b[j], sums[SUM(i, j)]);
        }
      #endif
      }

      // Adds the product of two matrices of single precision, [rows, rank] and [rank, columns], to a tile of sums.
      DEVICE void addUpdate(
        float *sums, LOCAL_POINTER float *leftTile, LOCAL_POINTER float *rightTile, LOCAL_POINTER uint *exchange,
        GLOBAL const float *left, GLOBAL const float *right, int firstRow, int rows, int firstColumn, int columns,
        int rank
      ) {
        left += (wide)firstRow * rank;
        right += firstColumn;
        for (int start = 0; start < rank; start += DEPTH) {
          // One after the other, for want of registers.
          float slice[PART];
          fetchSlice(slice, left + start, rows - firstRow, rank - start, rank, 1, 1);
          storeSlice(leftTile, slice, 1);
          fetchSlice(slice, right + (wide)start * columns, columns - firstColumn, rank - start, 1, columns, 0);
          storeSlice(rightTile, slice, 0);
          SYNC;
          multiplySlice(sums, leftTile, rightTile, exchange);
          SYNC;
        }
      }
      """#

  /// What the 32 work items of a warp do together on tensor cores, with `TENSOR`.
  ///
  /// Off NVIDIA's devices the same goes through local memory, so that the kernels can be tested without one. A
  /// barrier of the group stands for the warp's there: all of a group call these alike.
  private static let tensor = #"""
    #define LANE (THREAD % 32)
    #define WARP (THREAD / 32)

    #if TENSOR && !defined(__OPENCL_VERSION__)
    #define EXCHANGE_SIZE 1
    // TF32: 10 bits of fraction, rounded to nearest.
    DEVICE float tensorNumber(float x) {
      uint bits;
      asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
      return floatOfBits(bits);
    }
    // d += a b of 16 x 8 and 8 x 8, as the PTX manual lays out m16n8k8 for TF32: with g = LANE / 4, t = LANE % 4,
    // a: (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4); b: (t, g), (t + 4, g); d: rows g, g + 8 by columns 2t, 2t + 1.
    DEVICE void multiplyTiles(float *d, const uint *a, const uint *b, LOCAL_POINTER uint *exchange) {
      asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    }
    #elif TENSOR
    #define EXCHANGE_SIZE (6 * GROUP_SIZE)
    DEVICE float tensorNumber(float x) {
      uint bits = bitsOfFloat(x);
      return (bits & 0x7F800000u) == 0x7F800000u ? x : floatOfBits((bits + 0x1000u) & 0xFFFFE000u);
    }
    DEVICE void multiplyTiles(float *d, const uint *a, const uint *b, LOCAL_POINTER uint *exchange) {
      for (int n = 0; n < 4; n++) exchange[6 * THREAD + n] = a[n];
      for (int n = 0; n < 2; n++) exchange[6 * THREAD + 4 + n] = b[n];
      SYNC;
      for (int n = 0; n < 4; n++) {
        int row = LANE / 4 + 8 * (n / 2), column = 2 * (LANE % 4) + n % 2;
        for (int k = 0; k < 8; k++) {
          uint left = exchange[6 * (32 * WARP + row % 8 * 4 + k % 4) + row / 8 + 2 * (k / 4)];
          uint right = exchange[6 * (32 * WARP + column * 4 + k % 4) + 4 + k / 4];
          d[n] = multiplyAdd(floatOfBits(left), floatOfBits(right), d[n]);
        }
      }
      SYNC;
    }
    #else
    #define EXCHANGE_SIZE 1
    #endif
    """#
}
