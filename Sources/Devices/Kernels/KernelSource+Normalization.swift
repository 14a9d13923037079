extension KernelSource {
  /// Layer and group normalization.
  ///
  /// Gradients of factors and summands are sums over rows: of blocks here, then by `sumColumns`.
  static let normalization = KernelSource(
    name: "normalization",
    #"""
    KERNEL normalizeRows(
      ACTIVATIONS(input), INPUT(gamma), INPUT(beta), RESULTS(output), OUTPUT(statistics), uint width,
      float epsilon
    ) {
      LOCAL float scratch[GROUP_SIZE];
      AT(input); AT(gamma); AT(beta); AT(output); AT(statistics);
      GLOBAL const TYPE_OF(ACTIVATION) *x = input + (wide)GROUP_X * width;
      GLOBAL TYPE_OF(ACTIVATION) *y = output + (wide)GROUP_X * width;
      float sum = 0;
      for (uint i = THREAD; i < width; i += GROUP_SIZE) sum += LOAD(x, i);
      float mean = groupSum(scratch, sum) / width;
      sum = 0;
      for (uint i = THREAD; i < width; i += GROUP_SIZE) sum += (LOAD(x, i) - mean) * (LOAD(x, i) - mean);
      float scale = 1 / SQRT(groupSum(scratch, sum) / width + epsilon);
      for (uint i = THREAD; i < width; i += GROUP_SIZE)
        STORE(y, i, multiplyAdd((LOAD(x, i) - mean) * scale, gamma[i], beta[i]));
      if (THREAD == 0) {
        statistics[2 * (wide)GROUP_X] = mean;
        statistics[2 * (wide)GROUP_X + 1] = scale;
      }
    }

    // With g = dy gamma and h = (x - mean) r: dx = r (g - average(g) - h average(g h))
    KERNEL normalizeRowsGradient(
      ACTIVATIONS(input), ACTIVATIONS(gradient), INPUT(gamma), INPUT(statistics), RESULTS(inputGradient), uint width
    ) {
      LOCAL float scratch[GROUP_SIZE];
      AT(input); AT(gradient); AT(gamma); AT(statistics); AT(inputGradient);
      wide row = (wide)GROUP_X * width;
      GLOBAL const TYPE_OF(ACTIVATION) *x = input + row, *dy = gradient + row;
      GLOBAL TYPE_OF(ACTIVATION) *dx = inputGradient + row;
      float mean = statistics[2 * (wide)GROUP_X], scale = statistics[2 * (wide)GROUP_X + 1];
      float sum = 0, products = 0;
      for (uint i = THREAD; i < width; i += GROUP_SIZE) {
        float g = LOAD(dy, i) * gamma[i];
        sum += g;
        products += g * (LOAD(x, i) - mean) * scale;
      }
      float average = groupSum(scratch, sum) / width;
      float product = groupSum(scratch, products) / width;
      for (uint i = THREAD; i < width; i += GROUP_SIZE)
        STORE(dx, i, scale * (LOAD(dy, i) * gamma[i] - average - (LOAD(x, i) - mean) * scale * product));
    }

    // [chunks, 2, width]: sums of dy h, then of dy, over `chunk` rows each.
    KERNEL rowParameterSums(
      ACTIVATIONS(input), ACTIVATIONS(gradient), INPUT(statistics), OUTPUT(sums), uint count, uint rows, uint width,
      uint chunk
    ) {
      AT(input); AT(gradient); AT(statistics); AT(sums);
      if (ITEM >= count) return;
      uint column = ITEM % width, part = ITEM / width;
      uint first = part * chunk, last = first + chunk < rows ? first + chunk : rows;
      float products = 0, sum = 0;
      for (uint row = first; row < last; row++) {
        wide at = (wide)row * width + column;
        float dy = LOAD(gradient, at);
        products += dy * (LOAD(input, at) - statistics[2 * (wide)row]) * statistics[2 * (wide)row + 1];
        sum += dy;
      }
      sums[(wide)part * 2 * width + column] = products;
      sums[(wide)part * 2 * width + width + column] = sum;
    }

    // [batch, chunks, 2, channels]: each channel's mean over `chunk` positions, and the sum of the squared
    // distances from it. Sums of squares would lose what a mean far from zero leaves.
    KERNEL channelMoments(
      ACTIVATIONS(input), OUTPUT(moments), uint count, uint positions, uint channels, uint chunk, uint chunks
    ) {
      AT(input); AT(moments);
      if (ITEM >= count) return;
      uint channel = ITEM % channels, rest = ITEM / channels;
      uint part = rest % chunks, image = rest / chunks;
      uint first = part * chunk, last = first + chunk < positions ? first + chunk : positions;
      GLOBAL const TYPE_OF(ACTIVATION) *x = input + (wide)image * positions * channels + channel;
      float sum = 0;
      for (uint i = first; i < last; i++) sum += LOAD(x, (wide)i * channels);
      float mean = sum / (last - first), squares = 0;
      for (uint i = first; i < last; i++) {
        float distance = LOAD(x, (wide)i * channels) - mean;
        squares += distance * distance;
      }
      moments[(wide)rest * 2 * channels + channel] = mean;
      moments[(wide)rest * 2 * channels + channels + channel] = squares;
    }

    // Groups of the grid: groups of channels by images.
    KERNEL groupStatistics(
      INPUT(moments), OUTPUT(statistics), uint positions, uint channels, uint groups, uint chunk,
      uint chunks, float epsilon
    ) {
      LOCAL float scratch[GROUP_SIZE];
      AT(moments); AT(statistics);
      uint width = channels / groups, group = GROUP_X % groups, image = GROUP_X / groups;
      GLOBAL const float *means = moments + (wide)image * chunks * 2 * channels + group * width;
      float total = (float)positions * width, sum = 0;
      for (uint i = THREAD; i < chunks * width; i += GROUP_SIZE) {
        uint part = i / width;
        uint length = part + 1 < chunks ? chunk : positions - part * chunk;
        sum += means[(wide)part * 2 * channels + i % width] * length;
      }
      float mean = groupSum(scratch, sum) / total;
      sum = 0;
      for (uint i = THREAD; i < chunks * width; i += GROUP_SIZE) {
        uint part = i / width;
        uint length = part + 1 < chunks ? chunk : positions - part * chunk;
        wide at = (wide)part * 2 * channels + i % width;
        float distance = means[at] - mean;
        sum += means[at + channels] + length * distance * distance;
      }
      float scale = 1 / SQRT(groupSum(scratch, sum) / total + epsilon);
      if (THREAD == 0) {
        statistics[2 * (wide)GROUP_X] = mean;
        statistics[2 * (wide)GROUP_X + 1] = scale;
      }
    }

    KERNEL normalizeGroups(
      ACTIVATIONS(input), INPUT(gamma), INPUT(beta), INPUT(statistics), RESULTS(output), uint count,
      uint positions, uint channels, uint groups, int appliesSiLU
    ) {
      AT(input); AT(gamma); AT(beta); AT(statistics); AT(output);
      if (ITEM >= count) return;
      uint channel = ITEM % channels, image = ITEM / channels / positions;
      GLOBAL const float *own = statistics + 2 * (wide)(image * groups + channel / (channels / groups));
      float y = multiplyAdd((LOAD(input, ITEM) - own[0]) * own[1], gamma[channel], beta[channel]);
      STORE(output, ITEM, appliesSiLU ? silu(y) : y);
    }

    // The gradient before SiLU.
    DEVICE float gradientBefore(float dy, float h, float gamma, float beta, int appliesSiLU) {
      return appliesSiLU ? dy * siluSlope(multiplyAdd(h, gamma, beta)) : dy;
    }

    // [batch, chunks, 2, channels]: sums of dy h, then of dy, over `chunk` positions each.
    KERNEL channelParameterSums(
      ACTIVATIONS(input), ACTIVATIONS(gradient), INPUT(gamma), INPUT(beta), INPUT(statistics), OUTPUT(sums),
      uint count, uint positions, uint channels, uint groups, uint chunk, uint chunks, int appliesSiLU
    ) {
      AT(input); AT(gradient); AT(gamma); AT(beta); AT(statistics); AT(sums);
      if (ITEM >= count) return;
      uint channel = ITEM % channels, rest = ITEM / channels;
      uint part = rest % chunks, image = rest / chunks;
      uint first = part * chunk, last = first + chunk < positions ? first + chunk : positions;
      GLOBAL const float *own = statistics + 2 * (wide)(image * groups + channel / (channels / groups));
      float mean = own[0], scale = own[1], products = 0, sum = 0;
      for (uint i = first; i < last; i++) {
        wide at = ((wide)image * positions + i) * channels + channel;
        float h = (LOAD(input, at) - mean) * scale;
        float dy = gradientBefore(LOAD(gradient, at), h, gamma[channel], beta[channel], appliesSiLU);
        products += dy * h;
        sum += dy;
      }
      sums[(wide)rest * 2 * channels + channel] = products;
      sums[(wide)rest * 2 * channels + channels + channel] = sum;
    }

    // From [batch, 2, channels] to [batch, groups, 2]: the averages of g, then of g h, over a group.
    KERNEL groupAverages(
      INPUT(sums), INPUT(gamma), OUTPUT(averages), uint positions, uint channels, uint groups
    ) {
      LOCAL float scratch[GROUP_SIZE];
      AT(sums); AT(gamma); AT(averages);
      uint width = channels / groups, group = GROUP_X % groups, image = GROUP_X / groups;
      GLOBAL const float *own = sums + (wide)image * 2 * channels;
      float sum = 0, products = 0;
      for (uint i = THREAD; i < width; i += GROUP_SIZE) {
        uint channel = group * width + i;
        products += own[channel] * gamma[channel];
        sum += own[channels + channel] * gamma[channel];
      }
      float total = (float)positions * width;
      sum = groupSum(scratch, sum);
      products = groupSum(scratch, products);
      if (THREAD == 0) {
        averages[2 * (wide)GROUP_X] = sum / total;
        averages[2 * (wide)GROUP_X + 1] = products / total;
      }
    }

    KERNEL normalizeGroupsGradient(
      ACTIVATIONS(input), ACTIVATIONS(gradient), INPUT(gamma), INPUT(beta), INPUT(statistics), INPUT(averages),
      RESULTS(inputGradient), uint count, uint positions, uint channels, uint groups, int appliesSiLU
    ) {
      AT(input); AT(gradient); AT(gamma); AT(beta); AT(statistics); AT(averages); AT(inputGradient);
      if (ITEM >= count) return;
      uint channel = ITEM % channels, image = ITEM / channels / positions;
      wide own = 2 * (wide)(image * groups + channel / (channels / groups));
      float scale = statistics[own + 1], h = (LOAD(input, ITEM) - statistics[own]) * scale;
      float g = gamma[channel]
        * gradientBefore(LOAD(gradient, ITEM), h, gamma[channel], beta[channel], appliesSiLU);
      STORE(inputGradient, ITEM, scale * (g - averages[own] - h * averages[own + 1]));
    }
    """#)
}
