extension KernelSource {
  /// The same as the gradients of ``attention`` where all activations are binary16, on tensor cores.
  ///
  /// Groups of the grid: tiles of 128 queries, or keys, by heads of images. Gradients of scores are not rounded to
  /// binary16, in which small ones would vanish, but as in TF32.
  static let halfAttentionGradients = KernelSource(
    name: "halfAttentionGradients",
    tiles + halfTiles + halfRows + #"""

      // Tokens of a group, and of those that it meets at a time.
      #define OWN (GROUP_SIZE / 2)
      #define OTHERS_AT_ONCE 32
      #define SCORES (OTHERS_AT_ONCE / 8)
      // Where one of two arrays of the other tokens lies, while one pair of them is on its way.
      #define STAGE(rows, stage, array) ((rows) + (2 * (stage) + (array)) * OTHERS_AT_ONCE * ROW_PITCH)

      // Adds 16 rows from `first`, weighted by two tiles of weights in registers, rounded as in TF32. Words of rows are
      // pairs of neighbours, as weights are, so that k counts the first ones of pairs, and then the second ones.
      DEVICE void addWeightedExactly(
        float *sums, const float *weights, LOCAL_POINTER const ushort *rows, int first, LOCAL_POINTER uint *exchange
      ) {
        uint a[2][4];
        UNROLL for (int j = 0; j < 2; j++)
          UNROLL for (int n = 0; n < 4; n++)
            a[j][n] = bitsOfFloat(tensorNumber(weights[4 * j + n % 2 * 2 + n / 2]));
        UNROLL for (int n = 0; n < COLUMN_PARTS; n++) {
          uint pairs[4];
          loadPairsOfRows(pairs, rows, first, 16 * n, exchange);
          UNROLL for (int i = 0; i < 4; i++) {
            uint b[2] = {
              bitsOfFloat(widenedBinary16((ushort)pairs[i])), bitsOfFloat(widenedBinary16((ushort)(pairs[i] >> 16)))
            };
            multiplyTiles(sums + 8 * n + i / 2 * 4, a[i % 2], b, exchange);
          }
        }
      }

      DEVICE void storeOwnRows(
        GLOBAL ushort *rows, const float *sums, int first, int count, uint stride, int headWidth
      ) {
        UNROLL for (int h = 0; h < 2; h++) {
          int row = first + 16 * WARP + LANE / 4 + 8 * h;
          UNROLL for (int n = 0; n < 2 * COLUMN_PARTS; n++) {
            int column = 8 * n + 2 * (LANE % 4);
            if (row < count && column < headWidth)
              *(GLOBAL uint *)(rows + (wide)row * stride + column) =
                pairOf(sums[4 * n + 2 * h], sums[4 * n + 2 * h + 1]);
          }
        }
      }

      #define PARAMETERS \
        GLOBAL const ushort *query, wide queryOffset, GLOBAL const ushort *key, wide keyOffset, \
        GLOBAL const ushort *value, wide valueOffset, GLOBAL const ushort *gradient, wide gradientOffset, \
        INPUT(logSumExp), INPUT(products)
      #define SIZES \
        int batch, int heads, int queryCount, int keyCount, int headWidth, uint queryStride, uint keyStride, \
        uint valueStride, uint outputStride, float scale, int isCausal
      #define HEAD_PLACE(count, stride) ((wide)image * count * stride + (wide)head * headWidth)
      #define FIND_OPERANDS \
        AT(query); AT(key); AT(value); AT(gradient); AT(logSumExp); AT(products); \
        int image = GROUP_Y / heads, head = GROUP_Y % heads; \
        query += HEAD_PLACE(queryCount, queryStride); \
        key += HEAD_PLACE(keyCount, keyStride); \
        value += HEAD_PLACE(keyCount, valueStride); \
        gradient += HEAD_PLACE(queryCount, outputStride); \
        logSumExp += ((wide)image * heads + head) * queryCount; \
        products += ((wide)image * heads + head) * queryCount;

      // P = exp(scale q k - logSumExp), in place of the score, and dS = scale P (dP - output . dOutput)
      #define MAKE_SCORE_GRADIENT(score, gradient, q, k, logOfSum, product) \
        { \
          int isVisible = ((q) < queryCount) & ((k) < keyCount) & (!isCausal | ((k) <= (q))); \
          score = isVisible ? EXP2(score * scale * LOG2_E - (logOfSum)) : 0; \
          gradient = isVisible ? scale * score * (gradient - (product)) : 0; \
        }

      // dQ = dS K, for a tile of queries.
      KERNEL halfQueryGradient(PARAMETERS, GLOBAL ushort *result, wide resultOffset, SIZES) {
        LOCAL ALIGNED ushort rows[OWN * ROW_PITCH];
        LOCAL uint exchange[EXCHANGE_SIZE];
        AT(result);
        FIND_OPERANDS
        int first = GROUP_X * OWN;
        uint queries[4 * COLUMN_PARTS], gradients[4 * COLUMN_PARTS];
        copyRows(rows, OWN, query, first, queryCount, queryStride, headWidth);
        AWAIT_COPIES(0);
        SYNC;
        loadOwnRows(queries, rows, exchange);
        SYNC;
        copyRows(rows, OWN, gradient, first, queryCount, outputStride, headWidth);
        AWAIT_COPIES(0);
        SYNC;
        loadOwnRows(gradients, rows, exchange);
        SYNC;
        float sums[8 * COLUMN_PARTS], logOfSum[2], product[2];
        UNROLL for (int i = 0; i < 8 * COLUMN_PARTS; i++) sums[i] = 0;
        UNROLL for (int h = 0; h < 2; h++) {
          int q = first + 16 * WARP + LANE / 4 + 8 * h;
          logOfSum[h] = q < queryCount ? logSumExp[q] * LOG2_E : 0;
          product[h] = q < queryCount ? products[q] : 0;
        }
        int visible = isCausal && first + OWN < keyCount ? first + OWN : keyCount;
        copyRows(STAGE(rows, 0, 0), OTHERS_AT_ONCE, key, 0, keyCount, keyStride, headWidth);
        copyRows(STAGE(rows, 0, 1), OTHERS_AT_ONCE, value, 0, keyCount, valueStride, headWidth);
        for (int start = 0; start < visible; start += OTHERS_AT_ONCE) {
          int stage = start / OTHERS_AT_ONCE % 2, next = start + OTHERS_AT_ONCE;
          AWAIT_COPIES(0);
          SYNC;
          if (next < visible) {
            copyRows(STAGE(rows, 1 - stage, 0), OTHERS_AT_ONCE, key, next, keyCount, keyStride, headWidth);
            copyRows(STAGE(rows, 1 - stage, 1), OTHERS_AT_ONCE, value, next, keyCount, valueStride, headWidth);
          }
          float scores[4 * SCORES], scoreGradients[4 * SCORES];
          UNROLL for (int i = 0; i < 4 * SCORES; i++) { scores[i] = 0; scoreGradients[i] = 0; }
          addScores(scores, queries, STAGE(rows, stage, 0), OTHERS_AT_ONCE / 16, exchange);
          addScores(scoreGradients, gradients, STAGE(rows, stage, 1), OTHERS_AT_ONCE / 16, exchange);
          UNROLL for (int n = 0; n < SCORES; n++)
            UNROLL for (int i = 0; i < 4; i++) {
              int k = start + 8 * n + 2 * (LANE % 4) + i % 2, q = first + 16 * WARP + LANE / 4 + i / 2 * 8;
              MAKE_SCORE_GRADIENT(
                scores[4 * n + i], scoreGradients[4 * n + i], q, k, logOfSum[i / 2], product[i / 2])
            }
          UNROLL for (int k = 0; k < OTHERS_AT_ONCE / 16; k++)
            addWeightedExactly(sums, scoreGradients + 8 * k, STAGE(rows, stage, 0), 16 * k, exchange);
        }
        storeOwnRows(
          result + HEAD_PLACE(queryCount, queryStride), sums, first, queryCount, queryStride, headWidth);
      }

      // dV = P^T dO and dK = dS^T Q, for a tile of keys.
      KERNEL halfKeyValueGradients(
        PARAMETERS, GLOBAL ushort *keyResult, wide keyResultOffset, GLOBAL ushort *valueResult,
        wide valueResultOffset, SIZES
      ) {
        LOCAL ALIGNED ushort rows[OWN * ROW_PITCH];
        LOCAL float logsOfSums[2 * OTHERS_AT_ONCE];
        LOCAL float productsAtOnce[2 * OTHERS_AT_ONCE];
        LOCAL uint exchange[EXCHANGE_SIZE];
        AT(keyResult); AT(valueResult);
        FIND_OPERANDS
        int first = GROUP_X * OWN;
        uint keys[4 * COLUMN_PARTS], values[4 * COLUMN_PARTS];
        copyRows(rows, OWN, key, first, keyCount, keyStride, headWidth);
        AWAIT_COPIES(0);
        SYNC;
        loadOwnRows(keys, rows, exchange);
        SYNC;
        copyRows(rows, OWN, value, first, keyCount, valueStride, headWidth);
        AWAIT_COPIES(0);
        SYNC;
        loadOwnRows(values, rows, exchange);
        SYNC;
        float keySums[8 * COLUMN_PARTS], valueSums[8 * COLUMN_PARTS];
        UNROLL for (int i = 0; i < 8 * COLUMN_PARTS; i++) { keySums[i] = 0; valueSums[i] = 0; }
        // Queries before the first of these keys do not see them.
        int begin = isCausal ? first : 0;
        for (int next = begin; next - OTHERS_AT_ONCE < queryCount; next += OTHERS_AT_ONCE) {
          int start = next - OTHERS_AT_ONCE, stage = next / OTHERS_AT_ONCE % 2;
          AWAIT_COPIES(0);
          SYNC;
          if (next < queryCount) {
            copyRows(STAGE(rows, stage, 0), OTHERS_AT_ONCE, query, next, queryCount, queryStride, headWidth);
            copyRows(STAGE(rows, stage, 1), OTHERS_AT_ONCE, gradient, next, queryCount, outputStride, headWidth);
            int q = next + THREAD, place = stage * OTHERS_AT_ONCE + THREAD;
            if (THREAD < OTHERS_AT_ONCE) {
              logsOfSums[place] = q < queryCount ? logSumExp[q] * LOG2_E : 0;
              productsAtOnce[place] = q < queryCount ? products[q] : 0;
            }
          }
          // Nothing has come yet.
          if (start < begin) continue;
          stage = 1 - stage;
          float scores[4 * SCORES], scoreGradients[4 * SCORES];
          UNROLL for (int i = 0; i < 4 * SCORES; i++) { scores[i] = 0; scoreGradients[i] = 0; }
          addScores(scores, keys, STAGE(rows, stage, 0), OTHERS_AT_ONCE / 16, exchange);
          addScores(scoreGradients, values, STAGE(rows, stage, 1), OTHERS_AT_ONCE / 16, exchange);
          UNROLL for (int n = 0; n < SCORES; n++)
            UNROLL for (int i = 0; i < 4; i++) {
              int other = 8 * n + 2 * (LANE % 4) + i % 2, place = stage * OTHERS_AT_ONCE + other;
              int k = first + 16 * WARP + LANE / 4 + i / 2 * 8, q = start + other;
              MAKE_SCORE_GRADIENT(
                scores[4 * n + i], scoreGradients[4 * n + i], q, k, logsOfSums[place], productsAtOnce[place])
            }
          UNROLL for (int k = 0; k < OTHERS_AT_ONCE / 16; k++) {
            const float *p = scores + 8 * k;
            uint weights[4] = {
              pairOf(p[0], p[1]), pairOf(p[2], p[3]), pairOf(p[4], p[5]), pairOf(p[6], p[7])
            };
            addWeighted(valueSums, weights, STAGE(rows, stage, 1), 16 * k, exchange);
            addWeightedExactly(keySums, scoreGradients + 8 * k, STAGE(rows, stage, 0), 16 * k, exchange);
          }
        }
        storeOwnRows(keyResult + HEAD_PLACE(keyCount, keyStride), keySums, first, keyCount, keyStride, headWidth);
        storeOwnRows(
          valueResult + HEAD_PLACE(keyCount, valueStride), valueSums, first, keyCount, valueStride, headWidth);
      }
      """#)
}
