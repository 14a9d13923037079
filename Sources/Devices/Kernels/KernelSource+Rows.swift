extension KernelSource {
  /// Sums, and functions of whole rows: one work group for each row, or for a block of them.
  static let rows = KernelSource(
    name: "rows",
    #"""
    // [outer, repeats, inner] to [outer, chunks, inner]: each work item adds `chunk` repeats of one column.
    KERNEL sumColumns(
      ACTIVATIONS(input), OTHER_RESULTS(output), uint count, uint repeats, uint inner, uint chunk, uint chunks
    ) {
      AT(input); AT(output);
      if (ITEM >= count) return;
      uint column = ITEM % inner, rest = ITEM / inner;
      uint first = rest % chunks * chunk, last = first + chunk < repeats ? first + chunk : repeats;
      GLOBAL const TYPE_OF(ACTIVATION) *x = input + (wide)(rest / chunks) * repeats * inner + column;
      float sum = 0;
      for (uint i = first; i < last; i++) sum += LOAD(x, (wide)i * inner);
      STORE_OTHER(output, ITEM, sum);
    }

    // Sums of `chunk` neighbours each, or of their squares: one for each group.
    KERNEL sumNeighbours(ACTIVATIONS(input), OTHER_RESULTS(output), uint count, uint chunk, int isOfSquares) {
      LOCAL float scratch[GROUP_SIZE];
      AT(input); AT(output);
      wide first = (wide)GROUP_X * chunk;
      uint length = count - first < chunk ? (uint)(count - first) : chunk;
      float sum = 0;
      for (uint i = THREAD; i < length; i += GROUP_SIZE) {
        float x = LOAD(input, first + i);
        sum += isOfSquares ? x * x : x;
      }
      sum = groupSum(scratch, sum);
      if (THREAD == 0) STORE_OTHER(output, GROUP_X, sum);
    }

    // The sums of each row of `width`.
    KERNEL sumRows(ACTIVATIONS(input), OTHER_RESULTS(output), uint width) {
      LOCAL float scratch[GROUP_SIZE];
      AT(input); AT(output);
      GLOBAL const TYPE_OF(ACTIVATION) *x = input + (wide)GROUP_X * width;
      float sum = 0;
      for (uint i = THREAD; i < width; i += GROUP_SIZE) sum += LOAD(x, i);
      sum = groupSum(scratch, sum);
      if (THREAD == 0) STORE_OTHER(output, GROUP_X, sum);
    }

    // The largest magnitude in each piece, of numbers.
    KERNEL largestMagnitudes(ACTIVATIONS(input), OUTPUT(output), uint count, uint piece) {
      LOCAL float scratch[GROUP_SIZE];
      AT(input); AT(output);
      uint first = (uint)GROUP_X * piece;
      uint last = count - first < piece ? count : first + piece;
      float most = 0;
      for (uint i = first + THREAD; i < last; i += GROUP_SIZE) most = largest(most, magnitude(LOAD(input, i)));
      most = groupLargest(scratch, most);
      if (THREAD == 0) output[GROUP_X] = most;
    }

    // The smallest index in each piece whose number is not finite, or -1.
    KERNEL firstNonFinite(ACTIVATIONS(input), GLOBAL int *output, wide outputOffset, uint count, uint piece) {
      LOCAL uint found[GROUP_SIZE];
      AT(input); AT(output);
      uint first = (uint)GROUP_X * piece;
      uint last = count - first < piece ? count : first + piece;
      found[THREAD] = 0xFFFFFFFFu;
      for (uint i = first + THREAD; i < last; i += GROUP_SIZE)
        if ((bitsOfFloat(LOAD(input, i)) & 0x7FFFFFFFu) >= 0x7F800000u && i < found[THREAD]) found[THREAD] = i;
      SYNC;
      for (int width = GROUP_SIZE / 2; width > 0; width /= 2) {
        if (THREAD < width && found[THREAD + width] < found[THREAD]) found[THREAD] = found[THREAD + width];
        SYNC;
      }
      if (THREAD == 0) output[GROUP_X] = (int)found[0];
    }

    KERNEL normalizeLengths(ACTIVATIONS(input), RESULTS(output), uint width) {
      LOCAL float scratch[GROUP_SIZE];
      AT(input); AT(output);
      GLOBAL const TYPE_OF(ACTIVATION) *x = input + (wide)GROUP_X * width;
      GLOBAL TYPE_OF(ACTIVATION) *y = output + (wide)GROUP_X * width;
      float sum = 0;
      for (uint i = THREAD; i < width; i += GROUP_SIZE) sum += LOAD(x, i) * LOAD(x, i);
      float scale = 1 / SQRT(groupSum(scratch, sum));
      for (uint i = THREAD; i < width; i += GROUP_SIZE) STORE(y, i, LOAD(x, i) * scale);
    }

    // dx = (dy - y (y . dy)) / |x|
    KERNEL normalizeLengthsGradient(
      ACTIVATIONS(input), ACTIVATIONS(output), ACTIVATIONS(gradient), RESULTS(inputGradient), uint width
    ) {
      LOCAL float scratch[GROUP_SIZE];
      AT(input); AT(output); AT(gradient); AT(inputGradient);
      wide row = (wide)GROUP_X * width;
      GLOBAL const TYPE_OF(ACTIVATION) *x = input + row, *y = output + row, *dy = gradient + row;
      GLOBAL TYPE_OF(ACTIVATION) *dx = inputGradient + row;
      float squares = 0, products = 0;
      for (uint i = THREAD; i < width; i += GROUP_SIZE) {
        squares += LOAD(x, i) * LOAD(x, i);
        products += LOAD(y, i) * LOAD(dy, i);
      }
      float scale = 1 / SQRT(groupSum(scratch, squares));
      float projection = groupSum(scratch, products);
      for (uint i = THREAD; i < width; i += GROUP_SIZE)
        STORE(dx, i, (LOAD(dy, i) - LOAD(y, i) * projection) * scale);
    }

    // y = x - log sum exp x
    KERNEL logSoftmax(ACTIVATIONS(input), RESULTS(output), uint width) {
      LOCAL float scratch[GROUP_SIZE];
      AT(input); AT(output);
      GLOBAL const TYPE_OF(ACTIVATION) *x = input + (wide)GROUP_X * width;
      GLOBAL TYPE_OF(ACTIVATION) *y = output + (wide)GROUP_X * width;
      float most = LOAD(x, 0);
      for (uint i = THREAD; i < width; i += GROUP_SIZE) most = largest(most, LOAD(x, i));
      most = groupLargest(scratch, most);
      float sum = 0;
      for (uint i = THREAD; i < width; i += GROUP_SIZE) sum += EXP(LOAD(x, i) - most);
      float logarithm = LOG(groupSum(scratch, sum));
      for (uint i = THREAD; i < width; i += GROUP_SIZE) STORE(y, i, LOAD(x, i) - most - logarithm);
    }

    // dx = dy - exp(y) sum dy
    KERNEL logSoftmaxGradient(ACTIVATIONS(output), ACTIVATIONS(gradient), RESULTS(inputGradient), uint width) {
      LOCAL float scratch[GROUP_SIZE];
      AT(output); AT(gradient); AT(inputGradient);
      wide row = (wide)GROUP_X * width;
      GLOBAL const TYPE_OF(ACTIVATION) *y = output + row, *dy = gradient + row;
      GLOBAL TYPE_OF(ACTIVATION) *dx = inputGradient + row;
      float sum = 0;
      for (uint i = THREAD; i < width; i += GROUP_SIZE) sum += LOAD(dy, i);
      sum = groupSum(scratch, sum);
      for (uint i = THREAD; i < width; i += GROUP_SIZE) STORE(dx, i, LOAD(dy, i) - EXP(LOAD(y, i)) * sum);
    }
    """#)
}
