extension KernelSource {
  /// What products and attention share: tiles in local memory and sums in registers.
  ///
  /// A group of 16 x 16 work items computes `TILE` x `TILE` sums, `PART` x `PART` each: those of the lines
  /// `y + 16 i` and `x + 16 j`, so that neighbours read neighbouring words.
  static let tiles = #"""
    #define TILE (16 * PART)
    #define DEPTH 16
    // One word more than a line has, so that a column's words lie in different banks.
    #define PITCH (TILE + 1)
    #define OWN_X (THREAD % 16)
    #define OWN_Y (THREAD / 16)

    // Lines from `first` of a matrix of `count` lines, their elements from `start` to before `end`, into
    // [DEPTH, PITCH]: zeros beyond. Neighbouring work items read neighbouring elements of memory.
    #define DEFINE_LOAD(name, type, number) \
      DEVICE void name( \
        LOCAL_POINTER float *tile, GLOBAL const type *values, int first, int count, int start, int end, \
        uint lineStride, uint elementStride \
      ) { \
        for (int i = THREAD; i < TILE * DEPTH; i += GROUP_SIZE) { \
          int k = elementStride == 1 ? i % DEPTH : i / TILE; \
          int line = elementStride == 1 ? i / DEPTH : i % TILE; \
          int isInside = (first + line < count) & (start + k < end); \
          wide at = (wide)(first + line) * lineStride + (wide)(start + k) * elementStride; \
          tile[k * PITCH + line] = isInside ? number(values[at]) : 0; \
        } \
      }
    #define SAME(x) (x)
    DEFINE_LOAD(loadSlice, float, SAME)

    // sums[i, j] += left[:, y + 16 i] . right[:, x + 16 j] over a slice.
    DEVICE void multiplySlice(
      float *sums, LOCAL_POINTER const float *left, LOCAL_POINTER const float *right
    ) {
      UNROLL for (int k = 0; k < DEPTH; k++) {
        float a[PART], b[PART];
        UNROLL for (int i = 0; i < PART; i++) {
          a[i] = left[k * PITCH + OWN_Y + 16 * i];
          b[i] = right[k * PITCH + OWN_X + 16 * i];
        }
        UNROLL for (int i = 0; i < PART; i++)
          UNROLL for (int j = 0; j < PART; j++)
            sums[i * PART + j] = multiplyAdd(a[i], b[j], sums[i * PART + j]);
      }
    }
    """#
}
