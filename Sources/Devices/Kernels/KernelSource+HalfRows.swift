extension KernelSource {
  /// What attention in half precision and its gradients share: tokens of a head in local memory, 16 of which each of
  /// eight warps has as its own.
  static let halfRows = #"""

    // Columns of a head, rounded up to those of a matrix product.
    #define WIDTH (16 * COLUMN_PARTS)
    // Eight rows begin in different banks.
    #define ROW_PITCH (WIDTH + CHUNK)
    // Of scores, which are in powers of two.
    #define LOG2_E 1.44269504f

    DEVICE void copyRows(
      LOCAL_POINTER ushort *target, int rowCount, GLOBAL const ushort *rows, int first, int count, uint stride,
      int headWidth
    ) {
      for (int i = THREAD; i < rowCount * (WIDTH / CHUNK); i += GROUP_SIZE) {
        int row = i / (WIDTH / CHUNK), column = i % (WIDTH / CHUNK) * CHUNK;
        int isInside = (first + row < count) & (column < headWidth);
        copyChunk(
          target + row * ROW_PITCH + column, rows + (isInside ? (wide)(first + row) * stride + column : 0), isInside);
      }
      END_COPIES;
    }

    // A warp's own 16 rows as left factors, four words for each 16 columns.
    DEVICE void loadOwnRows(uint *own, LOCAL_POINTER const ushort *rows, LOCAL_POINTER uint *exchange) {
      UNROLL for (int k = 0; k < COLUMN_PARTS; k++)
        loadMatrices(own + 4 * k, rows, (16 * WARP + LANE % 16) * ROW_PITCH + 16 * k + LANE / 16 * 8, exchange);
    }

    // Adds the products of a warp's own rows with `count` times 16 others: tiles of 16 x 8.
    DEVICE void addScores(
      float *scores, const uint *own, LOCAL_POINTER const ushort *rows, int count, LOCAL_POINTER uint *exchange
    ) {
      UNROLL for (int k = 0; k < COLUMN_PARTS; k++)
        UNROLL for (int n = 0; n < count; n++) {
          uint b[4];
          loadMatrices(
            b, rows, (16 * n + LANE / 16 * 8 + LANE % 8) * ROW_PITCH + 16 * k + LANE / 8 % 2 * 8, exchange);
          multiplyHalves(scores + 8 * n, own + 4 * k, b, exchange);
          multiplyHalves(scores + 8 * n + 4, own + 4 * k, b + 2, exchange);
        }
    }

    // 16 rows from `first` as right factors, 16 of their columns: words are pairs of rows.
    DEVICE void loadPairsOfRows(
      uint *b, LOCAL_POINTER const ushort *rows, int first, int column, LOCAL_POINTER uint *exchange
    ) { loadTransposed(b, rows, (first + LANE % 16) * ROW_PITCH + column + LANE / 16 * 8, exchange); }

    // Adds 16 rows from `first`, weighted by weights of binary16.
    DEVICE void addWeighted(
      float *sums, const uint *weights, LOCAL_POINTER const ushort *rows, int first, LOCAL_POINTER uint *exchange
    ) {
      UNROLL for (int n = 0; n < COLUMN_PARTS; n++) {
        uint b[4];
        loadPairsOfRows(b, rows, first, 16 * n, exchange);
        multiplyHalves(sums + 8 * n, weights, b, exchange);
        multiplyHalves(sums + 8 * n + 4, weights, b + 2, exchange);
      }
    }
    """#
}
