extension KernelSource {
  /// `output = left right + updateLeft updateRight + bias`, where the left factor is a matrix, or an image seen
  /// as one without being copied; see ``ProductForm``.
  static let product = KernelSource(
    name: "product",
    tiles + #"""

      // What the rows of the left factor and its elements are; as ProductForm.Left.
      #define MATRIX 0
      // Rows: pixels of the output. Elements: kernel positions by input channels.
      #define PATCHES 1
      // Rows: pixels of the input. Elements: kernel positions by output channels.
      #define GRADIENT_PATCHES 2
      // Rows: kernel positions by input channels. Elements: pixels of the output.
      #define PATCH_COLUMNS 3

      // Whether neighbours in memory are elements of a line, rather than lines; defined for matrices.
      #if LEFT == PATCHES
      #define LEFT_BY_ELEMENT 1
      #define RIGHT_BY_ELEMENT 0
      #elif LEFT == GRADIENT_PATCHES
      #define LEFT_BY_ELEMENT 1
      #define RIGHT_BY_ELEMENT 1
      #elif LEFT == PATCH_COLUMNS
      #define LEFT_BY_ELEMENT 0
      #define RIGHT_BY_ELEMENT 0
      #endif

      // The formats of the factors and of the result; bias and update are of single precision. With PAIRS both
      // factors are binary16, and a slice is read two numbers at a time.
      #if PAIRS
      #define FETCHED uint
      #define FETCHED_COUNT (PART / 2)
      #define TILE_WORDS TILE_SIZE(DEPTH / 2)
      #define FETCHED_ELEMENT (2 * PAIR(0, 1))
      #define FETCHED_LINE(i) PAIR_LINE(i, 1)
      #define READ_LEFT(values) READ_PAIR(values)
      #define READ_RIGHT(values) READ_PAIR(values)
      #define fetchLeft fetchPairs
      #define fetchRight fetchPairs
      #define storeFetched storePairs
      #define multiplyFetched multiplyPairSlice
      #else
      #define FETCHED float
      #define FETCHED_COUNT PART
      #define TILE_WORDS TILE_SIZE(DEPTH)
      #define FETCHED_ELEMENT SLICE_ELEMENT(0, 1)
      #define FETCHED_LINE(i) SLICE_LINE(i, 1)
      #define READ_LEFT(values) WIDENED(LEFT_FORMAT)(*(values))
      #define READ_RIGHT(values) WIDENED(RIGHT_FORMAT)(*(values))
      DEFINE_FETCH(fetchLeft, TYPE_OF(LEFT_FORMAT), WIDENED(LEFT_FORMAT))
      DEFINE_FETCH(fetchRight, TYPE_OF(RIGHT_FORMAT), WIDENED(RIGHT_FORMAT))
      #define storeFetched storeSlice
      #define multiplyFetched multiplySlice
      #endif

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
        int hasBias, int splitLength,
      #if LEFT == MATRIX
        uint leftStride, uint leftElementStride, uint rightStride, uint rightElementStride
      #else
        int height, int width, int channels, int outputHeight, int outputWidth, int kernelWidth, int stride,
        int top, int leading, int upsamples
      #endif
      ) {
        LOCAL FETCHED leftTile[BUFFERS * TILE_WORDS];
        LOCAL FETCHED rightTile[BUFFERS * TILE_WORDS];
        LOCAL uint exchange[EXCHANGE_SIZE];
        AT(left); AT(right); AT(bias); AT(updateLeft); AT(updateRight); AT(output);
        int columnTiles = (columns + TILE - 1) / TILE;
        int split = GROUP_Y / columnTiles;
        int rowStart = GROUP_X * TILE, columnStart = GROUP_Y % columnTiles * TILE;
        int first = split * splitLength;
        int end = inner < first + splitLength ? inner : first + splitLength;

        // Where this work item's lines of the left factor lie.
      #if LEFT == PATCHES || LEFT == GRADIENT_PATCHES
      #if LEFT == PATCHES
        int pixels = outputHeight * outputWidth, lineLength = outputWidth;
        int imageWidth = width >> upsamples, imagePixels = (height >> upsamples) * imageWidth;
      #else
        int pixels = height * width, lineLength = width;
        int imageWidth = outputWidth, imagePixels = outputHeight * outputWidth;
      #endif
        int firstImage = rowStart / pixels;
        left += (wide)firstImage * imagePixels * channels;
        // The pixel of an image's first corner, and where the kernel begins: 16 bits each for y and x.
        int corners[FETCHED_COUNT], places[FETCHED_COUNT];
        UNROLL for (int i = 0; i < FETCHED_COUNT; i++) {
          int row = rowStart + FETCHED_LINE(i), image = row / pixels, pixel = row - image * pixels;
          int y = pixel / lineLength, x = pixel - y * lineLength;
      #if LEFT == PATCHES
          y = y * stride - top;
          x = x * stride - leading;
      #else
          y += top;
          x += leading;
      #endif
          corners[i] = (image - firstImage) * imagePixels;
          // No element of a row beyond the last is inside of the image.
          places[i] = row < rows ? (int)((uint)y << 16 | ((uint)x & 0xFFFFu)) : (int)0x80008000u;
        }
      #define PLACE_Y(i) (places[i] >> 16)
      #define PLACE_X(i) ((int)((uint)places[i] << 16) >> 16)
      #elif LEFT == PATCH_COLUMNS
        int ownRow = rowStart + SLICE_LINE(0, 0);
        int ownTap = ownRow / channels, ownChannel = ownRow - ownTap * channels;
        int ownY = ownTap / kernelWidth - top, ownX = ownTap % kernelWidth - leading;
      #else
        left += (wide)rowStart * leftStride + (wide)first * leftElementStride;
        right += (wide)columnStart * rightStride + (wide)first * rightElementStride;
      #endif
      #if LEFT == PATCHES || LEFT == PATCH_COLUMNS
        right += (wide)first * columns + columnStart;
      #endif

        float sums[PART * PART];
        FETCHED nextLeft[FETCHED_COUNT], nextRight[FETCHED_COUNT];
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
      #elif LEFT == PATCHES
            int k = start + FETCHED_ELEMENT;
            int tap = k / channels, channel = k - tap * channels;
            int ky = tap / kernelWidth, kx = tap - ky * kernelWidth;
            UNROLL for (int i = 0; i < FETCHED_COUNT; i++) {
              int y = PLACE_Y(i) + ky, x = PLACE_X(i) + kx;
              int isInside = (k < end) & (y >= 0) & (y < height) & (x >= 0) & (x < width);
              int pixel = corners[i] + (y >> upsamples) * imageWidth + (x >> upsamples);
              nextLeft[i] = isInside ? READ_LEFT(left + (uint)pixel * channels + channel) : 0;
            }
      #elif LEFT == GRADIENT_PATCHES
            // `channels` are those of the output here, `columns` those of the input.
            int k = start + FETCHED_ELEMENT;
            int tap = k / channels, channel = k - tap * channels;
            int ky = tap / kernelWidth, kx = tap - ky * kernelWidth;
            GLOBAL const TYPE_OF(RIGHT_FORMAT) *weights =
              right + ((wide)tap * columns + columnStart) * channels + channel;
            UNROLL for (int i = 0; i < FETCHED_COUNT; i++) {
              int y = PLACE_Y(i) - ky, x = PLACE_X(i) - kx;
              int isInside = (k < end) & (y >= 0) & (x >= 0);
              int outputY = isInside ? y / stride : 0, outputX = isInside ? x / stride : 0;
              isInside &= (outputY * stride == y) & (outputX * stride == x) & (outputY < outputHeight)
                & (outputX < outputWidth);
              int pixel = corners[i] + outputY * imageWidth + outputX;
              nextLeft[i] = isInside ? READ_LEFT(left + (uint)pixel * channels + channel) : 0;
              int column = FETCHED_LINE(i);
              nextRight[i] = k < end && columnStart + column < columns
                ? READ_RIGHT(weights + (uint)column * channels) : 0;
            }
      #else
            UNROLL for (int i = 0; i < PART; i++) {
              int k = start + SLICE_ELEMENT(i, 0);
              int image = k / (outputHeight * outputWidth), pixel = k - image * outputHeight * outputWidth;
              int y = pixel / outputWidth * stride + ownY, x = pixel % outputWidth * stride + ownX;
              int isInside = (ownRow < rows) & (k < end) & (y >= 0) & (y < height) & (x >= 0) & (x < width);
              nextLeft[i] = isInside
                ? READ_LEFT(left + ((wide)(image * height + y) * width + x) * channels + ownChannel) : 0;
            }
      #endif
      #if LEFT == PATCHES || LEFT == PATCH_COLUMNS
            fetchRight(nextRight, right, columns - columnStart, end - start, 1, columns, 0);
            right += (wide)DEPTH * columns;
      #endif
          }
          if (slice > 0) {
            int place = (slice - 1) % BUFFERS * TILE_WORDS;
            multiplyFetched(sums, leftTile + place, rightTile + place, exchange);
          }
      #if BUFFERS == 1
          SYNC;
      #endif
          if (slice < count) {
            int place = slice % BUFFERS * TILE_WORDS;
            storeFetched(leftTile + place, nextLeft, LEFT_BY_ELEMENT);
            storeFetched(rightTile + place, nextRight, RIGHT_BY_ELEMENT);
          }
          SYNC;
        }
        updateLeft += (wide)rowStart * rank;
        updateRight += columnStart;
        // Two tiles of pairs are as large as one of numbers.
        LOCAL_POINTER float *updateLeftTile = (LOCAL_POINTER float *)leftTile;
        LOCAL_POINTER float *updateRightTile = (LOCAL_POINTER float *)rightTile;
        for (int start = 0; start < rank; start += DEPTH) {
          float leftSlice[PART], rightSlice[PART];
          fetchSlice(leftSlice, updateLeft + start, rows - rowStart, rank - start, rank, 1, 1);
          fetchSlice(
            rightSlice, updateRight + (wide)start * columns, columns - columnStart, rank - start, 1, columns, 0);
          storeSlice(updateLeftTile, leftSlice, 1);
          storeSlice(updateRightTile, rightSlice, 0);
          SYNC;
          multiplySlice(sums, updateLeftTile, updateRightTile, exchange);
          SYNC;
        }
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
