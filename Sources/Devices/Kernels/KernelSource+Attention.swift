extension KernelSource {
  /// Attention and its gradients, scores recomputed a tile at a time.
  ///
  /// Groups of the grid: tiles of 64 queries (or keys) by heads of images, and those once for each `WIDTH`
  /// columns of the result, `16 * COLUMN_PARTS`: a head wider than a group's registers hold is split, and
  /// its scores are computed for each part anew.
  static let attention = KernelSource(
    name: "attention",
    tiles + #"""

      #define WIDTH (16 * COLUMN_PARTS)
      // Smaller than any score, and not so small that differences overflow.
      #define NOTHING -1e30f

      // Who has which sums of a result of TILE rows by WIDTH columns, at RESULT(i, j).
      #if TENSOR
      // A group is 4 x 2 warps.
      #define RESULT_ROWS 2
      #define RESULT_COLUMNS (2 * COLUMN_PARTS)
      #define RESULT_ROW(i) (WARP / 2 * 16 + 8 * (i) + LANE / 4)
      #define RESULT_COLUMN(j) (WARP % 2 * (WIDTH / 2) + 8 * ((j) / 2) + 2 * (LANE % 4) + (j) % 2)
      #define RESULT(i, j) ((j) / 2 * 4 + 2 * (i) + (j) % 2)
      // Four rows by eight columns lie in different banks, as WIDTH is a multiple of 16.
      #define ROW_PITCH (WIDTH + 8)
      #else
      #define RESULT_ROWS PART
      #define RESULT_COLUMNS COLUMN_PARTS
      #define RESULT_ROW(i) OWN_ROW(i)
      #define RESULT_COLUMN(j) OWN_COLUMN(j)
      #define RESULT(i, j) ((i) * COLUMN_PARTS + (j))
      #define ROW_PITCH WIDTH
      #endif
      #define RESULT_SIZE (PART * COLUMN_PARTS)

      DEFINE_FETCH(fetchActivations, TYPE_OF(ACTIVATION), WIDENED(ACTIVATION))

      // sums = left[row] . right[column], of rows of `depth` elements.
      DEVICE void multiplyRows(
        float *sums, LOCAL_POINTER float *leftTile, LOCAL_POINTER float *rightTile,
        LOCAL_POINTER uint *exchange, GLOBAL const TYPE_OF(ACTIVATION) *left, int leftFirst, int leftCount,
        uint leftStride, GLOBAL const TYPE_OF(ACTIVATION) *right, int rightFirst, int rightCount, uint rightStride,
        int depth
      ) {
        float nextLeft[PART], nextRight[PART];
        UNROLL for (int i = 0; i < PART * PART; i++) sums[i] = 0;
        left += (wide)leftFirst * leftStride;
        right += (wide)rightFirst * rightStride;
        for (int start = 0; start < depth; start += DEPTH) {
          fetchActivations(nextLeft, left + start, leftCount - leftFirst, depth - start, leftStride, 1, 1);
          fetchActivations(nextRight, right + start, rightCount - rightFirst, depth - start, rightStride, 1, 1);
          storeSlice(leftTile, nextLeft, 1);
          storeSlice(rightTile, nextRight, 1);
          SYNC;
          multiplySlice(sums, leftTile, rightTile, exchange);
          SYNC;
        }
      }

      // Adds the sum over k of weights[row, k] rows[k, column]: a tile of weights times columns from `firstColumn` of
      // TILE rows. Neither the weights nor `rowTile` may be in use by others.
      DEVICE void addWeightedRows(
        float *sums, LOCAL_POINTER const float *weights, LOCAL_POINTER float *rowTile,
        LOCAL_POINTER uint *exchange, GLOBAL const TYPE_OF(ACTIVATION) *rows, int first, int count, uint stride,
        int firstColumn, int columnCount
      ) {
        for (int start = 0; start < TILE; start += DEPTH) {
          for (int i = THREAD; i < DEPTH * WIDTH; i += GROUP_SIZE) {
            int row = first + start + i / WIDTH, column = firstColumn + i % WIDTH;
            int isInside = (row < count) & (column < columnCount);
            rowTile[i / WIDTH * ROW_PITCH + i % WIDTH] =
              isInside ? FACTOR(LOAD(rows, (wide)row * stride + column)) : 0;
          }
          SYNC;
      #if TENSOR
          UNROLL for (int step = 0; step < DEPTH; step += 8) {
            int k = step + LANE % 4;
            uint a[4], b[2];
            UNROLL for (int n = 0; n < 4; n++)
              a[n] = bitsOfFloat(weights[PLACE(start + k + 4 * (n / 2), RESULT_ROW(n % 2))]);
            UNROLL for (int j = 0; j < COLUMN_PARTS; j++) {
              UNROLL for (int n = 0; n < 2; n++)
                b[n] = bitsOfFloat(rowTile[(k + 4 * n) * ROW_PITCH + WARP % 2 * (WIDTH / 2) + 8 * j + LANE / 4]);
              multiplyTiles(sums + RESULT(0, 2 * j), a, b, exchange);
            }
          }
      #else
          for (int k = 0; k < DEPTH; k++) {
            float a[PART];
            UNROLL for (int i = 0; i < PART; i++) a[i] = weights[PLACE(start + k, OWN_ROW(i))];
            UNROLL for (int j = 0; j < COLUMN_PARTS; j++) {
              float b = rowTile[k * ROW_PITCH + OWN_COLUMN(j)];
              UNROLL for (int i = 0; i < PART; i++)
                sums[RESULT(i, j)] = multiplyAdd(a[i], b, sums[RESULT(i, j)]);
            }
          }
      #endif
          SYNC;
        }
      }

      DEVICE void storeRows(
        const float *sums, GLOBAL TYPE_OF(ACTIVATION) *rows, int first, int count, uint stride, int firstColumn,
        int columnCount
      ) {
        UNROLL for (int i = 0; i < RESULT_ROWS; i++)
          UNROLL for (int j = 0; j < RESULT_COLUMNS; j++) {
            int row = first + RESULT_ROW(i), column = firstColumn + RESULT_COLUMN(j);
            if (row < count && column < columnCount)
              STORE(rows, (wide)row * stride + column, sums[RESULT(i, j)]);
          }
      }

      #define HEAD_PLACE(count, stride) ((wide)image * count * stride + (wide)head * headWidth)
      #define FIND_HEAD \
        int rest = GROUP_Y, head = rest % heads; \
        rest /= heads; \
        int image = rest % batch, firstColumn = rest / batch * WIDTH;

      KERNEL attend(
        ACTIVATIONS(query), ACTIVATIONS(key), ACTIVATIONS(value), RESULTS(output), OUTPUT(logSumExp), int batch,
        int heads, int queryCount, int keyCount, int headWidth, uint queryStride, uint keyStride, uint valueStride,
        uint outputStride, float scale, int isCausal, int keepsLogSumExp
      ) {
        LOCAL float leftTile[TILE_SIZE(DEPTH)];
        LOCAL float rightTile[TILE_SIZE(DEPTH)];
        LOCAL float rowTile[DEPTH * ROW_PITCH];
        LOCAL float weights[TILE_SIZE(TILE)];
        LOCAL uint exchange[EXCHANGE_SIZE];
        LOCAL float parts[TILE * 16];
        LOCAL float factors[TILE];
        AT(query); AT(key); AT(value); AT(output); AT(logSumExp);
        FIND_HEAD
        int first = GROUP_X * TILE;
        query += HEAD_PLACE(queryCount, queryStride);
        key += HEAD_PLACE(keyCount, keyStride);
        value += HEAD_PLACE(keyCount, valueStride);
        float sums[RESULT_SIZE], most[PART], total[PART];
        UNROLL for (int i = 0; i < RESULT_SIZE; i++) sums[i] = 0;
        UNROLL for (int i = 0; i < PART; i++) { most[i] = NOTHING; total[i] = 0; }
        int visible = isCausal && first + TILE < keyCount ? first + TILE : keyCount;
        for (int start = 0; start < visible; start += TILE) {
          float scores[PART * PART];
          multiplyRows(
            scores, leftTile, rightTile, exchange, query, first, queryCount, queryStride, key, start,
            keyCount, keyStride, headWidth);
          UNROLL for (int i = 0; i < PART; i++) {
            float own = NOTHING;
            UNROLL for (int j = 0; j < PART; j++) {
              int k = start + OWN_COLUMN(j);
              int isVisible = (k < keyCount) & (!isCausal | (k <= first + OWN_ROW(i)));
              scores[SUM(i, j)] = isVisible ? scores[SUM(i, j)] * scale : NOTHING;
              own = largest(own, scores[SUM(i, j)]);
            }
            parts[OWN_ROW(i) * 16 + OWN_SHARE] = own;
          }
          SYNC;
          UNROLL for (int i = 0; i < PART; i++) {
            float now = most[i];
            for (int x = 0; x < 16; x++) now = largest(now, parts[OWN_ROW(i) * 16 + x]);
            float correction = EXP(most[i] - now), own = 0;
            most[i] = now;
            UNROLL for (int j = 0; j < PART; j++) {
              float score = scores[SUM(i, j)];
              // Where nothing is visible yet, the difference is 0 and not small. What is no number stays so.
              float weight = score == NOTHING ? 0 : EXP(score - now);
              weights[PLACE(OWN_COLUMN(j), OWN_ROW(i))] = FACTOR(weight);
              own += weight;
            }
            total[i] = total[i] * correction + own;
            if (OWN_SHARE == 0) factors[OWN_ROW(i)] = correction;
          }
          SYNC;
          UNROLL for (int i = 0; i < RESULT_ROWS; i++)
            UNROLL for (int j = 0; j < RESULT_COLUMNS; j++)
              sums[RESULT(i, j)] *= factors[RESULT_ROW(i)];
          addWeightedRows(
            sums, weights, rowTile, exchange, value, start, keyCount, valueStride, firstColumn, headWidth);
        }
        UNROLL for (int i = 0; i < PART; i++) parts[OWN_ROW(i) * 16 + OWN_SHARE] = total[i];
        SYNC;
        UNROLL for (int i = 0; i < PART; i++) {
          float sum = 0;
          for (int x = 0; x < 16; x++) sum += parts[OWN_ROW(i) * 16 + x];
          int row = first + OWN_ROW(i);
          if (OWN_SHARE == 0) {
            factors[OWN_ROW(i)] = 1 / sum;
            if (keepsLogSumExp && firstColumn == 0 && row < queryCount)
              logSumExp[((wide)image * heads + head) * queryCount + row] = most[i] + LOG(sum);
          }
        }
        SYNC;
        UNROLL for (int i = 0; i < RESULT_ROWS; i++)
          UNROLL for (int j = 0; j < RESULT_COLUMNS; j++)
            sums[RESULT(i, j)] *= factors[RESULT_ROW(i)];
        storeRows(
          sums, output + HEAD_PLACE(queryCount, outputStride), first, queryCount, outputStride, firstColumn,
          headWidth);
      }

      // [batch, heads, queries]: the products of each query's output with its gradient.
      KERNEL outputProducts(
        ACTIVATIONS(output), ACTIVATIONS(gradient), OUTPUT(products), uint count, uint heads, uint queryCount,
        uint headWidth, uint stride
      ) {
        AT(output); AT(gradient); AT(products);
        if (ITEM >= count) return;
        uint row = ITEM % queryCount, rest = ITEM / queryCount;
        wide at = ((wide)(rest / heads) * queryCount + row) * stride + rest % heads * headWidth;
        float sum = 0;
        for (uint i = 0; i < headWidth; i++) sum += LOAD(output, at + i) * LOAD(gradient, at + i);
        products[ITEM] = sum;
      }

      // For one tile of queries by keys, in place of scores and the gradients of the probabilities:
      //   P = exp(scale q k - logSumExp),  dS = scale P (dP - output . dOutput)
      DEVICE void makeScoreGradients(
        float *scores, float *gradients, GLOBAL const float *logSumExp, GLOBAL const float *products,
        int firstQuery, int queryCount, int linesAreQueries, int firstKey, int keyCount, float scale, int isCausal
      ) {
        UNROLL for (int i = 0; i < PART; i++)
          UNROLL for (int j = 0; j < PART; j++) {
            // The tile is queries by keys, or keys by queries.
            int line = OWN_ROW(i), column = OWN_COLUMN(j);
            int q = firstQuery + (linesAreQueries ? line : column), k = firstKey + (linesAreQueries ? column : line);
            int isVisible = (q < queryCount) & (k < keyCount) & (!isCausal | (k <= q));
            float p = isVisible ? EXP(scores[SUM(i, j)] * scale - logSumExp[q]) : 0;
            gradients[SUM(i, j)] = isVisible ? scale * p * (gradients[SUM(i, j)] - products[q]) : 0;
            scores[SUM(i, j)] = p;
          }
      }

      DEVICE void storeTile(LOCAL_POINTER float *tile, const float *sums) {
        UNROLL for (int i = 0; i < PART; i++)
          UNROLL for (int j = 0; j < PART; j++)
            tile[PLACE(OWN_COLUMN(j), OWN_ROW(i))] = FACTOR(sums[SUM(i, j)]);
        SYNC;
      }

      #define GRADIENT_PARAMETERS \
        ACTIVATIONS(query), ACTIVATIONS(key), ACTIVATIONS(value), ACTIVATIONS(gradient), INPUT(logSumExp), \
        INPUT(products)
      #define GRADIENT_SIZES \
        int batch, int heads, int queryCount, int keyCount, int headWidth, uint queryStride, \
        uint keyStride, uint valueStride, uint outputStride, float scale, int isCausal
      #define FIND_OPERANDS \
        AT(query); AT(key); AT(value); AT(gradient); AT(logSumExp); AT(products); \
        FIND_HEAD \
        query += HEAD_PLACE(queryCount, queryStride); \
        key += HEAD_PLACE(keyCount, keyStride); \
        value += HEAD_PLACE(keyCount, valueStride); \
        gradient += HEAD_PLACE(queryCount, outputStride); \
        logSumExp += ((wide)image * heads + head) * queryCount; \
        products += ((wide)image * heads + head) * queryCount;

      // dQ = dS K, for a tile of queries.
      KERNEL queryGradient(GRADIENT_PARAMETERS, RESULTS(result), GRADIENT_SIZES) {
        LOCAL float leftTile[TILE_SIZE(DEPTH)];
        LOCAL float rightTile[TILE_SIZE(DEPTH)];
        LOCAL float rowTile[DEPTH * ROW_PITCH];
        LOCAL float weights[TILE_SIZE(TILE)];
        LOCAL uint exchange[EXCHANGE_SIZE];
        AT(result);
        FIND_OPERANDS
        int first = GROUP_X * TILE;
        float sums[RESULT_SIZE];
        UNROLL for (int i = 0; i < RESULT_SIZE; i++) sums[i] = 0;
        int visible = isCausal && first + TILE < keyCount ? first + TILE : keyCount;
        for (int start = 0; start < visible; start += TILE) {
          float scores[PART * PART], gradients[PART * PART];
          multiplyRows(
            scores, leftTile, rightTile, exchange, query, first, queryCount, queryStride, key, start, keyCount,
            keyStride, headWidth);
          multiplyRows(
            gradients, leftTile, rightTile, exchange, gradient, first, queryCount, outputStride, value, start,
            keyCount, valueStride, headWidth);
          makeScoreGradients(
            scores, gradients, logSumExp, products, first, queryCount, 1, start, keyCount, scale, isCausal);
          storeTile(weights, gradients);
          addWeightedRows(
            sums, weights, rowTile, exchange, key, start, keyCount, keyStride, firstColumn, headWidth);
        }
        storeRows(
          sums, result + HEAD_PLACE(queryCount, queryStride), first, queryCount, queryStride, firstColumn,
          headWidth);
      }

      // dV = P^T dO and dK = dS^T Q, for a tile of keys.
      KERNEL keyValueGradients(
        GRADIENT_PARAMETERS, RESULTS(keyResult), RESULTS(valueResult), GRADIENT_SIZES
      ) {
        LOCAL float leftTile[TILE_SIZE(DEPTH)];
        LOCAL float rightTile[TILE_SIZE(DEPTH)];
        LOCAL float rowTile[DEPTH * ROW_PITCH];
        LOCAL float weights[TILE_SIZE(TILE)];
        LOCAL uint exchange[EXCHANGE_SIZE];
        AT(keyResult); AT(valueResult);
        FIND_OPERANDS
        int first = GROUP_X * TILE;
        float keySums[RESULT_SIZE], valueSums[RESULT_SIZE];
        UNROLL for (int i = 0; i < RESULT_SIZE; i++) { keySums[i] = 0; valueSums[i] = 0; }
        // Queries before the first of these keys do not see them.
        for (int start = isCausal ? first : 0; start < queryCount; start += TILE) {
          float scores[PART * PART], gradients[PART * PART];
          multiplyRows(
            scores, leftTile, rightTile, exchange, key, first, keyCount, keyStride, query, start, queryCount,
            queryStride, headWidth);
          multiplyRows(
            gradients, leftTile, rightTile, exchange, value, first, keyCount, valueStride, gradient, start,
            queryCount, outputStride, headWidth);
          makeScoreGradients(
            scores, gradients, logSumExp, products, start, queryCount, 0, first, keyCount, scale, isCausal);
          storeTile(weights, scores);
          addWeightedRows(
            valueSums, weights, rowTile, exchange, gradient, start, queryCount, outputStride, firstColumn,
            headWidth);
          storeTile(weights, gradients);
          addWeightedRows(
            keySums, weights, rowTile, exchange, query, start, queryCount, queryStride, firstColumn,
            headWidth);
        }
        storeRows(
          keySums, keyResult + HEAD_PLACE(keyCount, keyStride), first, keyCount, keyStride, firstColumn,
          headWidth);
        storeRows(
          valueSums, valueResult + HEAD_PLACE(keyCount, valueStride), first, keyCount, valueStride,
          firstColumn, headWidth);
      }
      """#)
}
