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

      // sums[i, j] = left[y + 16 i] . right[x + 16 j], of rows of `depth` elements.
      DEVICE void multiplyRows(
        float *sums, LOCAL_POINTER float *leftTile, LOCAL_POINTER float *rightTile,
        GLOBAL const float *left, int leftFirst, int leftCount, uint leftStride,
        GLOBAL const float *right, int rightFirst, int rightCount, uint rightStride, int depth
      ) {
        UNROLL for (int i = 0; i < PART * PART; i++) sums[i] = 0;
        for (int start = 0; start < depth; start += DEPTH) {
          loadSlice(leftTile, left, leftFirst, leftCount, start, depth, leftStride, 1);
          loadSlice(rightTile, right, rightFirst, rightCount, start, depth, rightStride, 1);
          SYNC;
          multiplySlice(sums, leftTile, rightTile);
          SYNC;
        }
      }

      // sums[i, j] += over k of weights[y + 16 i, k] rows[k, x + 16 j]: a tile of weights times columns from
      // `firstColumn` of TILE rows. Neither the weights nor `rowTile` may be in use by others.
      DEVICE void addWeightedRows(
        float *sums, LOCAL_POINTER const float *weights,
        LOCAL_POINTER float *rowTile, GLOBAL const float *rows, int first, int count, uint stride,
        int firstColumn, int columnCount
      ) {
        for (int start = 0; start < TILE; start += DEPTH) {
          for (int i = THREAD; i < DEPTH * WIDTH; i += GROUP_SIZE) {
            int row = first + start + i / WIDTH, column = firstColumn + i % WIDTH;
            rowTile[i] = (row < count) & (column < columnCount) ? rows[(wide)row * stride + column] : 0;
          }
          SYNC;
          for (int k = 0; k < DEPTH; k++) {
            float a[PART];
            UNROLL for (int i = 0; i < PART; i++)
              a[i] = weights[(OWN_Y + 16 * i) * PITCH + start + k];
            UNROLL for (int j = 0; j < COLUMN_PARTS; j++) {
              float b = rowTile[k * WIDTH + OWN_X + 16 * j];
              UNROLL for (int i = 0; i < PART; i++)
                sums[i * COLUMN_PARTS + j] = multiplyAdd(a[i], b, sums[i * COLUMN_PARTS + j]);
            }
          }
          SYNC;
        }
      }

      DEVICE void storeRows(
        const float *sums, GLOBAL float *rows, int first, int count, uint stride, int firstColumn,
        int columnCount
      ) {
        UNROLL for (int i = 0; i < PART; i++)
          UNROLL for (int j = 0; j < COLUMN_PARTS; j++) {
            int row = first + OWN_Y + 16 * i, column = firstColumn + OWN_X + 16 * j;
            if (row < count && column < columnCount)
              rows[(wide)row * stride + column] = sums[i * COLUMN_PARTS + j];
          }
      }

      #define HEAD_PLACE(count, stride) ((wide)image * count * stride + (wide)head * headWidth)
      #define FIND_HEAD \
        int rest = GROUP_Y, head = rest % heads; \
        rest /= heads; \
        int image = rest % batch, firstColumn = rest / batch * WIDTH;

      KERNEL attend(
        INPUT(query), INPUT(key), INPUT(value), OUTPUT(output), OUTPUT(logSumExp), int batch, int heads,
        int queryCount, int keyCount, int headWidth, uint queryStride, uint keyStride, uint valueStride,
        uint outputStride, float scale, int isCausal, int keepsLogSumExp
      ) {
        LOCAL float leftTile[DEPTH * PITCH];
        LOCAL float rightTile[DEPTH * PITCH];
        LOCAL float rowTile[DEPTH * WIDTH];
        LOCAL float weights[TILE * PITCH];
        LOCAL float parts[TILE * 16];
        AT(query); AT(key); AT(value); AT(output); AT(logSumExp);
        FIND_HEAD
        int first = GROUP_X * TILE;
        query += HEAD_PLACE(queryCount, queryStride);
        key += HEAD_PLACE(keyCount, keyStride);
        value += HEAD_PLACE(keyCount, valueStride);
        float sums[PART * COLUMN_PARTS], most[PART], total[PART];
        UNROLL for (int i = 0; i < PART * COLUMN_PARTS; i++) sums[i] = 0;
        UNROLL for (int i = 0; i < PART; i++) { most[i] = NOTHING; total[i] = 0; }
        int visible = isCausal && first + TILE < keyCount ? first + TILE : keyCount;
        for (int start = 0; start < visible; start += TILE) {
          float scores[PART * PART];
          multiplyRows(
            scores, leftTile, rightTile, query, first, queryCount, queryStride, key, start, keyCount,
            keyStride, headWidth);
          UNROLL for (int i = 0; i < PART; i++) {
            float own = NOTHING;
            UNROLL for (int j = 0; j < PART; j++) {
              int k = start + OWN_X + 16 * j;
              int isVisible = (k < keyCount) & (!isCausal | (k <= first + OWN_Y + 16 * i));
              scores[i * PART + j] = isVisible ? scores[i * PART + j] * scale : NOTHING;
              own = largest(own, scores[i * PART + j]);
            }
            parts[(OWN_Y + 16 * i) * 16 + OWN_X] = own;
          }
          SYNC;
          UNROLL for (int i = 0; i < PART; i++) {
            float now = most[i];
            for (int x = 0; x < 16; x++) now = largest(now, parts[(OWN_Y + 16 * i) * 16 + x]);
            float correction = EXP(most[i] - now), own = 0;
            most[i] = now;
            UNROLL for (int j = 0; j < PART; j++) {
              float score = scores[i * PART + j];
              // Where nothing is visible yet, the difference is 0 and not small.
              float weight = score > NOTHING ? EXP(score - now) : 0;
              weights[(OWN_Y + 16 * i) * PITCH + OWN_X + 16 * j] = weight;
              own += weight;
            }
            total[i] = total[i] * correction + own;
            UNROLL for (int j = 0; j < COLUMN_PARTS; j++) sums[i * COLUMN_PARTS + j] *= correction;
          }
          SYNC;
          addWeightedRows(
            sums, weights, rowTile, value, start, keyCount, valueStride, firstColumn, headWidth);
        }
        UNROLL for (int i = 0; i < PART; i++) parts[(OWN_Y + 16 * i) * 16 + OWN_X] = total[i];
        SYNC;
        UNROLL for (int i = 0; i < PART; i++) {
          float sum = 0;
          for (int x = 0; x < 16; x++) sum += parts[(OWN_Y + 16 * i) * 16 + x];
          UNROLL for (int j = 0; j < COLUMN_PARTS; j++) sums[i * COLUMN_PARTS + j] /= sum;
          int row = first + OWN_Y + 16 * i;
          if (keepsLogSumExp && firstColumn == 0 && OWN_X == 0 && row < queryCount)
            logSumExp[((wide)image * heads + head) * queryCount + row] = most[i] + LOG(sum);
        }
        storeRows(
          sums, output + HEAD_PLACE(queryCount, outputStride), first, queryCount, outputStride, firstColumn,
          headWidth);
      }

      // [batch, heads, queries]: the products of each query's output with its gradient.
      KERNEL outputProducts(
        INPUT(output), INPUT(gradient), OUTPUT(products), uint count, uint heads, uint queryCount,
        uint headWidth, uint stride
      ) {
        AT(output); AT(gradient); AT(products);
        if (ITEM >= count) return;
        uint row = ITEM % queryCount, rest = ITEM / queryCount;
        wide at = ((wide)(rest / heads) * queryCount + row) * stride + rest % heads * headWidth;
        float sum = 0;
        for (uint i = 0; i < headWidth; i++) sum += output[at + i] * gradient[at + i];
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
            int line = OWN_Y + 16 * i, column = OWN_X + 16 * j;
            int q = firstQuery + (linesAreQueries ? line : column), k = firstKey + (linesAreQueries ? column : line);
            int isVisible = (q < queryCount) & (k < keyCount) & (!isCausal | (k <= q));
            float p = isVisible ? EXP(scores[i * PART + j] * scale - logSumExp[q]) : 0;
            gradients[i * PART + j] = isVisible ? scale * p * (gradients[i * PART + j] - products[q]) : 0;
            scores[i * PART + j] = p;
          }
      }

      DEVICE void storeTile(LOCAL_POINTER float *tile, const float *sums) {
        UNROLL for (int i = 0; i < PART; i++)
          UNROLL for (int j = 0; j < PART; j++)
            tile[(OWN_Y + 16 * i) * PITCH + OWN_X + 16 * j] = sums[i * PART + j];
        SYNC;
      }

      #define GRADIENT_PARAMETERS \
        INPUT(query), INPUT(key), INPUT(value), INPUT(gradient), INPUT(logSumExp), INPUT(products)
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
      KERNEL queryGradient(GRADIENT_PARAMETERS, OUTPUT(result), GRADIENT_SIZES) {
        LOCAL float leftTile[DEPTH * PITCH];
        LOCAL float rightTile[DEPTH * PITCH];
        LOCAL float rowTile[DEPTH * WIDTH];
        LOCAL float weights[TILE * PITCH];
        AT(result);
        FIND_OPERANDS
        int first = GROUP_X * TILE;
        float sums[PART * COLUMN_PARTS];
        UNROLL for (int i = 0; i < PART * COLUMN_PARTS; i++) sums[i] = 0;
        int visible = isCausal && first + TILE < keyCount ? first + TILE : keyCount;
        for (int start = 0; start < visible; start += TILE) {
          float scores[PART * PART], gradients[PART * PART];
          multiplyRows(
            scores, leftTile, rightTile, query, first, queryCount, queryStride, key, start, keyCount,
            keyStride, headWidth);
          multiplyRows(
            gradients, leftTile, rightTile, gradient, first, queryCount, outputStride, value, start,
            keyCount, valueStride, headWidth);
          makeScoreGradients(
            scores, gradients, logSumExp, products, first, queryCount, 1, start, keyCount, scale, isCausal);
          storeTile(weights, gradients);
          addWeightedRows(
            sums, weights, rowTile, key, start, keyCount, keyStride, firstColumn, headWidth);
        }
        storeRows(
          sums, result + HEAD_PLACE(queryCount, queryStride), first, queryCount, queryStride, firstColumn,
          headWidth);
      }

      // dV = P^T dO and dK = dS^T Q, for a tile of keys.
      KERNEL keyValueGradients(
        GRADIENT_PARAMETERS, OUTPUT(keyResult), OUTPUT(valueResult), GRADIENT_SIZES
      ) {
        LOCAL float leftTile[DEPTH * PITCH];
        LOCAL float rightTile[DEPTH * PITCH];
        LOCAL float rowTile[DEPTH * WIDTH];
        LOCAL float weights[TILE * PITCH];
        AT(keyResult); AT(valueResult);
        FIND_OPERANDS
        int first = GROUP_X * TILE;
        float keySums[PART * COLUMN_PARTS], valueSums[PART * COLUMN_PARTS];
        UNROLL for (int i = 0; i < PART * COLUMN_PARTS; i++) { keySums[i] = 0; valueSums[i] = 0; }
        // Queries before the first of these keys do not see them.
        for (int start = isCausal ? first : 0; start < queryCount; start += TILE) {
          float scores[PART * PART], gradients[PART * PART];
          multiplyRows(
            scores, leftTile, rightTile, key, first, keyCount, keyStride, query, start, queryCount,
            queryStride, headWidth);
          multiplyRows(
            gradients, leftTile, rightTile, value, first, keyCount, valueStride, gradient, start,
            queryCount, outputStride, headWidth);
          makeScoreGradients(
            scores, gradients, logSumExp, products, start, queryCount, 0, first, keyCount, scale, isCausal);
          storeTile(weights, scores);
          addWeightedRows(
            valueSums, weights, rowTile, gradient, start, queryCount, outputStride, firstColumn,
            headWidth);
          storeTile(weights, gradients);
          addWeightedRows(
            keySums, weights, rowTile, query, start, queryCount, queryStride, firstColumn,
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
