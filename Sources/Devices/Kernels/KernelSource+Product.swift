extension KernelSource {
  /// `output = left right + updateLeft updateRight + bias`, where the left factor is a matrix, or an image seen
  /// as one without being copied; see ``ProductForm``.
  static let product = KernelSource(
    name: "product",
    tiles + patches + #"""

      // The formats of the factors and of the result; bias and update are of single precision.
      #define READ_LEFT(values) WIDENED(LEFT_FORMAT)(*(values))
      #define READ_RIGHT(values) WIDENED(RIGHT_FORMAT)(*(values))
      DEFINE_FETCH(fetchLeft, TYPE_OF(LEFT_FORMAT), WIDENED(LEFT_FORMAT))
      DEFINE_FETCH(fetchRight, TYPE_OF(RIGHT_FORMAT), WIDENED(RIGHT_FORMAT))

      // One slice is read while another is multiplied. Local memory for two of them is there on every device
      // with tensor cores.
      #if TENSOR
      #define BUFFERS 2
      #else
      #define BUFFERS 1
      #endif

      // Groups of the grid: tiles of rows by tiles of columns; the latter once for each split of the elements,
      // each with sums of its own.
      KERNEL product(
        GLOBAL const TYPE_OF(LEFT_FORMAT) *left, wide leftOffset, GLOBAL const TYPE_OF(RIGHT_FORMAT) *right,
        wide rightOffset, INPUT(bias), INPUT(updateLeft), INPUT(updateRight),
        GLOBAL TYPE_OF(OUTPUT_FORMAT) *output, wide outputOffset, int rows, int columns, int inner, int rank,
        int hasBias, int splitLength, LEFT_PARAMETERS
      ) {
        LOCAL float leftTile[BUFFERS * TILE_SIZE(DEPTH)];
        LOCAL float rightTile[BUFFERS * TILE_SIZE(DEPTH)];
        LOCAL uint exchange[EXCHANGE_SIZE];
        AT(left); AT(right); AT(bias); AT(updateLeft); AT(updateRight); AT(output);
      \#(tileOfGroup)
      \#(factorsOfGroup(lineCount: "PART", line: "SLICE_LINE"))

        float sums[PART * PART];
        float nextLeft[PART], nextRight[PART];
        UNROLL for (int i = 0; i < PART * PART; i++) sums[i] = 0;
        int count = (end - first + DEPTH - 1) / DEPTH;
        for (int slice = 0; slice <= count; slice++) {
          int start = first + slice * DEPTH;
          if (slice < count) {
      #if LEFT == MATRIX
            fetchLeft(
              nextLeft, left, rows - rowStart, end - start, leftStride, leftElementStride, LEFT_BY_ELEMENT);
            fetchRight(
              nextRight, right, columns - columnStart, end - start, rightStride, rightElementStride,
              RIGHT_BY_ELEMENT);
            left += (wide)DEPTH * leftElementStride;
            right += (wide)DEPTH * rightElementStride;
      #elif LEFT == PATCH_COLUMNS
            UNROLL for (int i = 0; i < PART; i++) {
              int k = start + SLICE_ELEMENT(i, 0), pixel = pixelOf(k, ownTap, images);
              int isInside = (ownRow < rows) & (k < end) & (pixel >= 0);
              nextLeft[i] = isInside ? READ_LEFT(left + (wide)pixel * channels + ownChannel) : 0;
            }
      #else
            int k = start + SLICE_ELEMENT(0, 1);
            int tap = k / channels, channel = k - tap * channels;
            UNROLL for (int i = 0; i < PART; i++) {
              int pixel = pixelUnder(lines[i], tap, images), isInside = (k < end) & (pixel >= 0);
              nextLeft[i] = isInside ? READ_LEFT(left + (uint)pixel * channels + channel) : 0;
            }
      #endif
      #if LEFT == GRADIENT_PATCHES
            // `channels` are those of the output here, `columns` those of the input.
            GLOBAL const TYPE_OF(RIGHT_FORMAT) *weights =
              right + ((wide)tap * columns + columnStart) * channels + channel;
            UNROLL for (int i = 0; i < PART; i++) {
              int column = SLICE_LINE(i, 1);
              nextRight[i] = k < end && columnStart + column < columns
                ? READ_RIGHT(weights + (uint)column * channels) : 0;
            }
      #endif
      #if LEFT == PATCHES || LEFT == PATCH_COLUMNS
            fetchRight(nextRight, right, columns - columnStart, end - start, 1, columns, 0);
            right += (wide)DEPTH * columns;
      #endif
          }
          if (slice > 0) {
            int place = (slice - 1) % BUFFERS * TILE_SIZE(DEPTH);
            multiplySlice(sums, leftTile + place, rightTile + place, exchange);
          }
      #if BUFFERS == 1
          SYNC;
      #endif
          if (slice < count) {
            int place = slice % BUFFERS * TILE_SIZE(DEPTH);
            storeSlice(leftTile + place, nextLeft, LEFT_BY_ELEMENT);
            storeSlice(rightTile + place, nextRight, RIGHT_BY_ELEMENT);
          }
          SYNC;
        }
        addUpdate(
          sums, leftTile, rightTile, exchange, updateLeft, updateRight, rowStart, rows, columnStart, columns, rank);
        GLOBAL TYPE_OF(OUTPUT_FORMAT) *target = output + (wide)split * rows * columns;
        UNROLL for (int i = 0; i < PART; i++)
          UNROLL for (int j = 0; j < PART; j++) {
            int row = rowStart + OWN_ROW(i), column = columnStart + OWN_COLUMN(j);
            if (row < rows && column < columns)
              target[(wide)row * columns + column] =
                ROUNDED(OUTPUT_FORMAT)(sums[SUM(i, j)] + (hasBias ? bias[column] : 0));
          }
      }
      """#)
}
