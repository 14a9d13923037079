extension KernelSource {
  /// The same as ``product`` where both factors are binary16, on tensor cores: copied 16 bytes at a time while others
  /// are multiplied.
  ///
  /// Elements, rows and columns that lie next to each other come in eights, and begin at multiples of eight.
  static let halfProduct = KernelSource(
    name: "halfProduct",
    tiles + patches + halfTiles + #"""

      #define HALF_DEPTH 32
      // Slices in local memory: two are on their way while one is multiplied.
      #define STAGES 3
      #define SLICE_SIZE (TILE * HALF_DEPTH)
      // Chunks of a slice that each work item copies.
      #define COPIES (TILE / 64)

      // The chunk of a slice of a factor that a work item copies as its i-th. Lines of elements are four chunks, and
      // where neighbours are lines, elements are of TILE / CHUNK chunks.
      #define CHUNK_LINE(i, isByElement) \
        ((isByElement) ? THREAD / 4 + 64 * (i) : THREAD % (TILE / CHUNK) * CHUNK)
      #define CHUNK_ELEMENT(i, isByElement) \
        ((isByElement) ? THREAD % 4 * CHUNK : THREAD / (TILE / CHUNK) + GROUP_SIZE / (TILE / CHUNK) * (i))
      // Where the chunk of a line and an element lies: rows of matrices of 8 x 8 are in different banks.
      DEVICE int chunkPlace(int line, int element, int isByElement) {
        return isByElement
          ? line * HALF_DEPTH + ((element / CHUNK ^ (line >> 1 & 3)) * CHUNK)
          : element * TILE + ((line / CHUNK ^ (element & 7)) * CHUNK);
      }
      #define CHUNK_PLACE(i, isByElement) \
        chunkPlace(CHUNK_LINE(i, isByElement), CHUNK_ELEMENT(i, isByElement), isByElement)

      // Of a matrix that has so many lines and elements from the first of the slice on.
      DEVICE void copySlice(
        LOCAL_POINTER ushort *slice, GLOBAL const ushort *values, int lines, int elements, uint lineStride,
        uint elementStride, int isByElement
      ) {
        UNROLL for (int i = 0; i < COPIES; i++) {
          int line = CHUNK_LINE(i, isByElement), k = CHUNK_ELEMENT(i, isByElement);
          int isInside = (line < lines) & (k < elements);
          copyChunk(
            slice + CHUNK_PLACE(i, isByElement),
            values + (isInside ? (uint)line * lineStride + (uint)k * elementStride : 0), isInside);
        }
      }

      // 16 lines by 16 elements of the left factor, and of the right one.
      DEVICE void loadLeft(
        uint *a, LOCAL_POINTER const ushort *slice, int line, int element, LOCAL_POINTER uint *exchange
      ) {
      #if LEFT_BY_ELEMENT
        loadMatrices(a, slice, chunkPlace(line + LANE % 16, element + LANE / 16 * 8, 1), exchange);
      #else
        loadTransposed(
          a, slice, chunkPlace(line + LANE / 8 % 2 * 8, element + LANE % 8 + LANE / 16 * 8, 0), exchange);
      #endif
      }
      DEVICE void loadRight(
        uint *b, LOCAL_POINTER const ushort *slice, int line, int element, LOCAL_POINTER uint *exchange
      ) {
      #if RIGHT_BY_ELEMENT
        loadMatrices(
          b, slice, chunkPlace(line + LANE % 8 + LANE / 16 * 8, element + LANE / 8 % 2 * 8, 1), exchange);
      #else
        loadTransposed(b, slice, chunkPlace(line + LANE / 16 * 8, element + LANE % 16, 0), exchange);
      #endif
      }

      #if OUTPUT_FORMAT
      #define STORE_PAIR(values, x, y) *(GLOBAL uint *)(values) = pairOf(x, y)
      #else
      #define STORE_PAIR(values, x, y) ((values)[0] = (x), (values)[1] = (y))
      #endif

      #undef RESIDENT_GROUPS
      #define RESIDENT_GROUPS 2
      KERNEL halfProduct(
        GLOBAL const ushort *left, wide leftOffset, GLOBAL const ushort *right, wide rightOffset, INPUT(bias),
        INPUT(updateLeft), INPUT(updateRight), GLOBAL TYPE_OF(OUTPUT_FORMAT) *output, wide outputOffset, int rows,
        int columns, int inner, int rank, int hasBias, int splitLength, LEFT_PARAMETERS
      ) {
        LOCAL ALIGNED ushort leftSlices[STAGES * SLICE_SIZE];
        LOCAL ALIGNED ushort rightSlices[STAGES * SLICE_SIZE];
        LOCAL uint exchange[EXCHANGE_SIZE];
        AT(left); AT(right); AT(bias); AT(updateLeft); AT(updateRight); AT(output);
      \#(tileOfGroup)
        float sums[PART * PART];
        UNROLL for (int i = 0; i < PART * PART; i++) sums[i] = 0;
        // While little else takes registers.
        addUpdate(
          sums, (LOCAL_POINTER float *)leftSlices, (LOCAL_POINTER float *)rightSlices, exchange, updateLeft,
          updateRight, rowStart, rows, columnStart, columns, rank);

      \#(factorsOfGroup(lineCount: "COPIES", line: "CHUNK_LINE"))

        int count = (end - first + HALF_DEPTH - 1) / HALF_DEPTH;
        // What is copied is that many slices ahead of what is multiplied.
        for (int slice = 1 - STAGES; slice < count; slice++) {
          int next = slice + STAGES - 1;
          if (slice >= 0) {
            AWAIT_COPIES(STAGES - 2);
            SYNC;
          }
          if (next < count) {
            int start = first + next * HALF_DEPTH;
            LOCAL_POINTER ushort *leftSlice = leftSlices + next % STAGES * SLICE_SIZE;
            LOCAL_POINTER ushort *rightSlice = rightSlices + next % STAGES * SLICE_SIZE;
      #if LEFT == MATRIX
            copySlice(
              leftSlice, left, rows - rowStart, end - start, leftStride, leftElementStride, LEFT_BY_ELEMENT);
            copySlice(
              rightSlice, right, columns - columnStart, end - start, rightStride, rightElementStride,
              RIGHT_BY_ELEMENT);
            left += (wide)HALF_DEPTH * leftElementStride;
            right += (wide)HALF_DEPTH * rightElementStride;
      #elif LEFT == PATCH_COLUMNS
            UNROLL for (int i = 0; i < COPIES; i++) {
              int k = start + CHUNK_ELEMENT(i, 0), pixel = pixelOf(k, ownTap, images);
              int isInside = (ownRow < rows) & (k < end) & (pixel >= 0);
              copyChunk(
                leftSlice + CHUNK_PLACE(i, 0), left + (isInside ? (wide)pixel * channels + ownChannel : 0), isInside);
            }
      #else
            int k = start + CHUNK_ELEMENT(0, 1);
            int tap = k / channels, channel = k - tap * channels;
            UNROLL for (int i = 0; i < COPIES; i++) {
              int pixel = pixelUnder(lines[i], tap, images), isInside = (k < end) & (pixel >= 0);
              copyChunk(
                leftSlice + CHUNK_PLACE(i, 1), left + (isInside ? (uint)pixel * channels + channel : 0), isInside);
            }
      #endif
      #if LEFT == GRADIENT_PATCHES
            // `channels` are those of the output here, `columns` those of the input.
            UNROLL for (int i = 0; i < COPIES; i++) {
              int column = columnStart + CHUNK_LINE(i, 1), isInside = (k < end) & (column < columns);
              copyChunk(
                rightSlice + CHUNK_PLACE(i, 1),
                right + (isInside ? ((wide)tap * columns + column) * channels + channel : 0), isInside);
            }
      #endif
      #if LEFT == PATCHES || LEFT == PATCH_COLUMNS
            copySlice(rightSlice, right, columns - columnStart, end - start, 1, columns, 0);
            right += (wide)HALF_DEPTH * columns;
      #endif
          }
          END_COPIES;
          if (slice >= 0) {
            LOCAL_POINTER const ushort *leftSlice = leftSlices + slice % STAGES * SLICE_SIZE;
            LOCAL_POINTER const ushort *rightSlice = rightSlices + slice % STAGES * SLICE_SIZE;
            UNROLL for (int k = 0; k < HALF_DEPTH; k += 16) {
              uint a[PART / 2][4], b[PART / 4][4];
              UNROLL for (int i = 0; i < PART / 2; i++)
                loadLeft(a[i], leftSlice, WARP / 4 * (TILE / 2) + 16 * i, k, exchange);
              UNROLL for (int j = 0; j < PART / 4; j++)
                loadRight(b[j], rightSlice, WARP % 4 * (TILE / 4) + 16 * j, k, exchange);
              UNROLL for (int i = 0; i < PART / 2; i++)
                UNROLL for (int j = 0; j < PART / 2; j++)
                  multiplyHalves(sums + SUM(2 * i, 2 * j), a[i], b[j / 2] + 2 * (j % 2), exchange);
            }
          }
        }
        GLOBAL TYPE_OF(OUTPUT_FORMAT) *target = output + (wide)split * rows * columns;
        UNROLL for (int i = 0; i < PART; i++)
          UNROLL for (int j = 0; j < PART; j += 2) {
            int row = rowStart + OWN_ROW(i), column = columnStart + OWN_COLUMN(j);
            if (row < rows && column < columns)
              STORE_PAIR(
                target + (wide)row * columns + column, sums[SUM(i, j)] + (hasBias ? bias[column] : 0),
                sums[SUM(i, j + 1)] + (hasBias ? bias[column + 1] : 0));
          }
      }
      """#)
}
