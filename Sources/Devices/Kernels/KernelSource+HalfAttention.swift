extension KernelSource {
  /// The same as the kernel `attend` where all activations are binary16, on tensor cores.
  ///
  /// Groups of the grid: tiles of 128 queries by heads of images. A warp has 16 queries in registers; their weights
  /// become a factor without leaving them.
  static let halfAttention = KernelSource(
    name: "halfAttention",
    tiles + halfTiles + halfRows + #"""

      #define QUERIES (GROUP_SIZE / 2)
      // Fewer keys at a time where a head's columns take most registers.
      #define KEYS (COLUMN_PARTS > 8 ? 32 : 64)
      // Smaller than any score, and not so small that differences overflow.
      #define NOTHING -1e30f

      KERNEL halfAttend(
        GLOBAL const ushort *query, wide queryOffset, GLOBAL const ushort *key, wide keyOffset,
        GLOBAL const ushort *value, wide valueOffset, GLOBAL ushort *output, wide outputOffset, OUTPUT(logSumExp),
        int batch, int heads, int queryCount, int keyCount, int headWidth, uint queryStride, uint keyStride,
        uint valueStride, uint outputStride, float scale, int isCausal, int keepsLogSumExp
      ) {
        // The queries first; then keys, and values behind them.
        LOCAL ALIGNED ushort keys[QUERIES * ROW_PITCH];
        LOCAL uint exchange[EXCHANGE_SIZE];
        LOCAL_POINTER ushort *values = keys + KEYS * ROW_PITCH;
        AT(query); AT(key); AT(value); AT(output); AT(logSumExp);
        int image = GROUP_Y / heads, head = GROUP_Y % heads;
        key += (wide)image * keyCount * keyStride + (wide)head * headWidth;
        value += (wide)image * keyCount * valueStride + (wide)head * headWidth;
        int first = GROUP_X * QUERIES;
        copyRows(
          keys, QUERIES, query + (wide)image * queryCount * queryStride + (wide)head * headWidth, first, queryCount,
          queryStride, headWidth);
        AWAIT_COPIES(0);
        SYNC;
        uint queries[COLUMN_PARTS][4];
        loadOwnRows(queries[0], keys, exchange);
        SYNC;

        // Of rows g and g + 8: scores in powers of two.
        float sums[2 * COLUMN_PARTS][4], most[2] = {NOTHING, NOTHING}, total[2] = {0, 0};
        UNROLL for (int n = 0; n < 2 * COLUMN_PARTS; n++)
          UNROLL for (int i = 0; i < 4; i++) sums[n][i] = 0;
        int visible = isCausal && first + QUERIES < keyCount ? first + QUERIES : keyCount;
        // All of these queries see all keys before this one.
        int alwaysVisible = isCausal && first < keyCount ? first : keyCount;
        copyRows(keys, KEYS, key, 0, keyCount, keyStride, headWidth);
        for (int start = 0; start < visible; start += KEYS) {
          AWAIT_COPIES(0);
          SYNC;
          copyRows(values, KEYS, value, start, keyCount, valueStride, headWidth);
          float scores[KEYS / 8][4];
          UNROLL for (int n = 0; n < KEYS / 8; n++)
            UNROLL for (int i = 0; i < 4; i++) scores[n][i] = 0;
          addScores(scores[0], queries[0], keys, KEYS / 16, exchange);
          AWAIT_COPIES(0);
          SYNC;
          // While they are used no more.
          if (start + KEYS < visible) copyRows(keys, KEYS, key, start + KEYS, keyCount, keyStride, headWidth);

          UNROLL for (int n = 0; n < KEYS / 8; n++)
            UNROLL for (int i = 0; i < 4; i++) scores[n][i] *= scale * 1.44269504f;
          if (start + KEYS > alwaysVisible) {
            UNROLL for (int n = 0; n < KEYS / 8; n++)
              UNROLL for (int i = 0; i < 4; i++) {
                int k = start + 8 * n + 2 * (LANE % 4) + i % 2, q = first + 16 * WARP + LANE / 4 + i / 2 * 8;
                if (k >= keyCount || (isCausal && k > q)) scores[n][i] = NOTHING;
              }
          }
          UNROLL for (int h = 0; h < 2; h++) {
            float now = most[h];
            UNROLL for (int n = 0; n < KEYS / 8; n++)
              now = largest(now, largest(scores[n][2 * h], scores[n][2 * h + 1]));
            now = largest(now, fromNeighbour(now, 1, exchange));
            now = largest(now, fromNeighbour(now, 2, exchange));
            // The first key is visible to all, so the most is a score.
            float correction = EXP2(most[h] - now), own = 0;
            most[h] = now;
            UNROLL for (int n = 0; n < KEYS / 8; n++)
              UNROLL for (int i = 2 * h; i < 2 * h + 2; i++) {
                scores[n][i] = EXP2(scores[n][i] - now);
                own += scores[n][i];
              }
            total[h] = total[h] * correction + own;
            UNROLL for (int n = 0; n < 2 * COLUMN_PARTS; n++) {
              sums[n][2 * h] *= correction;
              sums[n][2 * h + 1] *= correction;
            }
          }
          UNROLL for (int k = 0; k < KEYS / 16; k++) {
            uint a[4] = {
              pairOf(scores[2 * k][0], scores[2 * k][1]), pairOf(scores[2 * k][2], scores[2 * k][3]),
              pairOf(scores[2 * k + 1][0], scores[2 * k + 1][1]), pairOf(scores[2 * k + 1][2], scores[2 * k + 1][3])
            };
            addWeighted(sums[0], a, values, 16 * k, exchange);
          }
        }

        output += (wide)image * queryCount * outputStride + (wide)head * headWidth;
        logSumExp += ((wide)image * heads + head) * queryCount;
        UNROLL for (int h = 0; h < 2; h++) {
          float sum = total[h];
          sum += fromNeighbour(sum, 1, exchange);
          sum += fromNeighbour(sum, 2, exchange);
          int row = first + 16 * WARP + LANE / 4 + 8 * h;
          if (row < queryCount) {
            if (keepsLogSumExp && LANE % 4 == 0) logSumExp[row] = most[h] * 0.693147181f + LOG(sum);
            UNROLL for (int n = 0; n < 2 * COLUMN_PARTS; n++) {
              int column = 8 * n + 2 * (LANE % 4);
              if (column < headWidth)
                *(GLOBAL uint *)(output + (wide)row * outputStride + column) =
                  pairOf(sums[n][2 * h] / sum, sums[n][2 * h + 1] / sum);
            }
          }
        }
      }
      """#)
}
